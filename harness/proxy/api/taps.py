"""Calls on the taps of a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.refusal import TAP_NOT_FOUND, Refusal, refuse, unknown
from harness.proxy.tap.asked import http_tap
from harness.proxy.tap.masklog import PAGE_MAX, MaskLog
from harness.proxy.tap.redis_asked import redis_tap
from harness.proxy.tap.tap import Tap

CURSOR_MAX = 2**62
Maker = Callable[[Mapping[str, object], int, Callable[[str], MaskLog]], Tap]
KINDS: dict[str, Maker] = {"http": http_tap, "redis": redis_tap}
"""By what stands on the link; each gets the fields, the link's seed, and where to ask for the mask log."""


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
        kind = checked.text(fields, "kind", "http")
        if kind not in KINDS:
            raise Refusal(unknown("kind of tap", kind, known=KINDS))
        self._leases.require(checked.text(fields, "lease"))
        tap = KINDS[kind](fields, link.seed, link.log_for)
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
