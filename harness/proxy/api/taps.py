"""Calls on the taps of a link."""

from __future__ import annotations

from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler
from harness.proxy.lease import Leases
from harness.proxy.link import STREAMS, Links
from harness.proxy.refusal import INVALID_STREAM, TAP_NOT_FOUND, Refusal, refuse
from harness.proxy.tap import Match, Tap, recordpath
from harness.proxy.tap.damaging import Damaging
from harness.proxy.tap.masklog import PAGE_MAX

CURSOR_MAX = 2**62
TAP_KEYS = ("name", "stream", "match", "record", "id", "corrupt", "lease")


class TapCalls:
    def __init__(self, links: Links, leases: Leases) -> None:
        self._links = links
        self._leases = leases

    def routes(self, link: str) -> list[tuple[str, dict[str, Handler]]]:
        """`link` is the pattern of a link's path."""
        tap = link + "/taps/([^/]+)"
        return [
            (link + "/taps", {"GET": self._tap_list, "POST": self._tap_create}),
            (tap, {"GET": self._tap_show, "DELETE": self._tap_delete}),
            (tap + "/mask", {"GET": self._tap_mask}),
        ]

    def _tap_list(self, call: Call) -> Answer:
        return Answer(200, [tap.shown() for tap in self._links.get(call.names[0]).taps])

    def _tap_create(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        fields = call.fields()
        checked.known_keys(fields, "field", TAP_KEYS)
        name = checked.text(fields, "name")
        if not name:
            raise Refusal("missing required field: name")
        stream = checked.text(fields, "stream", "downstream")
        if stream not in STREAMS:
            raise refuse(INVALID_STREAM)
        matching = checked.as_object(fields.get("match"), "match")
        checked.known_keys(matching, "field of match", ("method", "path"))
        record = checked.text(fields, "record", "$")
        path = recordpath.parse(record)
        lease = checked.text(fields, "lease")
        self._leases.require(lease)
        from harness.proxy.tap.damage import damage_of  # numpy, only for those who tap

        spec = checked.as_object(fields.get("corrupt"), "corrupt")
        columns, damage = damage_of(spec)
        tap = Tap(
            name=name,
            stream=stream,
            match=Match(checked.text(matching, "method").upper(), checked.text(matching, "path")),
            record=record,
            path=path,
            id_key=checked.text(fields, "id", "id"),
            damaging=Damaging(columns, damage, link.log_for(name)),
            spec=spec,
            lease=lease,
        )
        link.add_tap(tap)
        return Answer(200, tap.shown())

    def _tap_show(self, call: Call) -> Answer:
        return Answer(200, self._links.get(call.names[0]).tap(call.names[1]).shown())

    def _tap_delete(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        link.remove_tap(link.tap(call.names[1]))
        return Answer(204)

    def _tap_mask(self, call: Call) -> Answer:
        """Also of a tap that is gone, until the reset."""
        log = self._links.get(call.names[0]).masks.get(call.names[1])
        if log is None:
            raise refuse(TAP_NOT_FOUND)
        limit = call.number("limit", 1000, most=PAGE_MAX)
        return Answer(200, log.page(call.number("after", 0, most=CURSOR_MAX), limit))
