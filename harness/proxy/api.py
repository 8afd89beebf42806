"""The HTTP API, without HTTP: (method, path, query, body) -> (status, body). Toxiproxy 2.12's, leases and taps.

What Toxiproxy answers was taken from the server itself: create and populate 201, create toxic 200, delete and reset
204. On purpose different: misspelt or out-of-range attributes of a toxic are a 400 that names the nearest match, and
removing a toxic never waits.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from harness import seeds
from harness.proxy import checked, recordpath
from harness.proxy.lease import TTL_MS_MAX, TTL_MS_MIN, Leases
from harness.proxy.link import STREAMS, TOXICS_MAX, Link, Links
from harness.proxy.masklog import PAGE_MAX
from harness.proxy.refusal import (
    INVALID_STREAM,
    INVALID_TOXIC_TYPE,
    PROXY_EXISTS,
    TAP_NOT_FOUND,
    TOXIC_EXISTS,
    Refusal,
    bad_body,
    refuse,
    unknown,
)
from harness.proxy.tap import Match, Tap
from harness.proxy.toxic import TYPES, Toxic

VERSION = "2.12.0"
"""The version of Toxiproxy whose API this is."""

_TAPS = re.compile("/proxies/[^/]+/taps")
CURSOR_MAX = 2**62
TOXIC_KEYS = ("name", "type", "stream", "toxicity", "attributes", "lease")
TAP_KEYS = ("name", "stream", "match", "record", "id", "corrupt", "lease")


@dataclass(frozen=True)
class Call:
    """One request. `names` are the parts of the path that the route leaves open."""

    method: str
    names: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes

    def document(self) -> object:
        if not self.body.strip():
            raise bad_body("EOF")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise bad_body(str(error)[:200]) from None

    def fields(self) -> dict[str, object]:
        return checked.as_object(self.document(), "the body")

    @property
    def counters(self) -> bool:
        return self.query.get("counters") == "1"

    def number(self, key: str, default: int, *, most: int) -> int:
        text = self.query.get(key, str(default))
        if not text.isascii() or not text.isdigit() or int(text[:30]) > most:
            raise Refusal(f"{key} must be a whole number from 0 to {most}")
        return int(text)


@dataclass(frozen=True)
class Answer:
    """`body` None for 204; `text` instead of JSON where Toxiproxy sends text."""

    status: int
    body: object = None
    text: str = ""


Handler = Callable[[Call], Answer]


def refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, {"error": refusal.message, "status": refusal.status})


class Api:
    def __init__(self, links: Links, leases: Leases) -> None:
        self._links = links
        self._leases = leases
        link, toxic, tap = r"/proxies/([^/]+)", r"/toxics/([^/]+)", r"/taps/([^/]+)"
        routes: list[tuple[str, dict[str, Handler]]] = [
            ("/version", {"GET": self._version}),
            ("/reset", {"POST": self._reset}),
            ("/populate", {"POST": self._populate}),
            ("/proxies", {"GET": self._links_list, "POST": self._link_create}),
            (link, _updates(self._link_update) | {"GET": self._link_show, "DELETE": self._link_delete}),
            (link + "/toxics", {"GET": self._toxic_list, "POST": self._toxic_create}),
            (link + toxic, _updates(self._toxic_update) | {"GET": self._toxic_show, "DELETE": self._toxic_delete}),
            (link + "/taps", {"GET": self._tap_list, "POST": self._tap_create}),
            (link + tap, {"GET": self._tap_show, "DELETE": self._tap_delete}),
            (link + tap + "/mask", {"GET": self._tap_mask}),
            ("/leases", {"GET": self._lease_list, "POST": self._lease_renew}),
            ("/leases/([^/]+)", {"DELETE": self._lease_drop}),
        ]
        self._routes = [(re.compile(pattern), handlers) for pattern, handlers in routes]

    def slow_import(self, method: str, path: str) -> str:
        """The module that this call will load, which takes long; whoever serves the API loads it beside the loop."""
        needed = "harness.proxy.tapdamage"
        taps = method == "POST" and _TAPS.fullmatch(path) is not None
        return needed if taps and needed not in sys.modules else ""

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        for pattern, handlers in self._routes:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            handler = handlers.get(method)
            if handler is None:
                return Answer(405)
            try:
                return handler(Call(method, found.groups(), query, body))
            except Refusal as refusal:
                return refused(refusal)
        return Answer(404, text="404 page not found\n")

    # the whole

    def _version(self, call: Call) -> Answer:
        return Answer(200, {"version": VERSION})

    def _reset(self, call: Call) -> Answer:
        for link in self._links.by_name.values():
            link.reset()
        return Answer(204)

    def _populate(self, call: Call) -> Answer:
        made: list[dict[str, object]] = []
        try:
            for fields in _proxy_list(call.document()):
                made.append(self.put(fields).shown(counters=False))
        except Refusal as refusal:
            error: dict[str, object] = {"error": refusal.message, "status": refusal.status}
            return Answer(refusal.status, error | {"proxies": made or None})
        return Answer(201, {"proxies": made or None})  # Go's empty list

    def put(self, fields: Mapping[str, object]) -> Link:
        """One entry of populate: an equal proxy keeps its toxics and connections."""
        name, listen, upstream = (checked.text(fields, key) for key in ("name", "listen", "upstream"))
        old = self._links.by_name.get(name)
        if old is not None:
            if old.listen == listen and old.upstream == upstream:
                return old
            self._links.remove(name)
        link = self._links.make(name, listen, upstream)
        self._links.add(link, start=checked.flag(fields, "enabled", True))
        return link

    # links

    def _links_list(self, call: Call) -> Answer:
        shown = {name: link.shown(counters=call.counters) for name, link in sorted(self._links.by_name.items())}
        return Answer(200, shown)

    def _link_create(self, call: Call) -> Answer:
        fields = call.fields()
        name, listen, upstream = (checked.text(fields, key) for key in ("name", "listen", "upstream"))
        for key, value in (("name", name), ("upstream", upstream)):
            if not value:
                raise Refusal(f"missing required field: {key}")
        if name in self._links.by_name:
            raise refuse(PROXY_EXISTS)
        link = self._links.make(name, listen, upstream)
        self._links.add(link, start=checked.flag(fields, "enabled", True))
        return Answer(201, link.shown(counters=False))

    def _link_show(self, call: Call) -> Answer:
        return Answer(200, self._links.get(call.names[0]).shown(counters=call.counters))

    def _link_update(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        fields = call.fields()
        enabled = checked.flag(fields, "enabled", link.enabled)
        lease = checked.text(fields, "lease")
        self._leases.require(lease)
        link.move(checked.text(fields, "listen", link.listen), checked.text(fields, "upstream", link.upstream))
        if enabled:
            link.start()
            link.down_lease = ""
        else:
            if link.enabled:
                link.stop(keep_port=True)
            if "enabled" in fields:
                link.down_lease = lease
        return Answer(200, link.shown(counters=False))

    def _link_delete(self, call: Call) -> Answer:
        self._links.remove(call.names[0])
        return Answer(204)

    # toxics

    def _toxic_list(self, call: Call) -> Answer:
        return Answer(200, self._links.get(call.names[0]).toxics_shown(counters=call.counters))

    def _toxic_create(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        fields = call.fields()
        kind = checked.text(fields, "type")
        stream = checked.text(fields, "stream", "downstream")
        if stream not in STREAMS:
            raise refuse(INVALID_STREAM)
        if kind not in TYPES:
            # Toxiproxy's own words first: its clients show them.
            raise Refusal(f"{INVALID_TOXIC_TYPE[0]}: {unknown('type', kind, known=TYPES)}")
        checked.known_keys(fields, "field", TOXIC_KEYS)
        name = checked.text(fields, "name") or f"{kind}_{stream}"
        if any(toxic.name == name for toxic in link.toxics):
            raise refuse(TOXIC_EXISTS)
        if len(link.toxics) >= TOXICS_MAX:
            raise Refusal(f"too many toxics: at most {TOXICS_MAX}", status=409)
        toxic = Toxic(
            name=name,
            type=kind,
            stream=stream,
            toxicity=checked.share(fields, "toxicity", 1.0),
            attributes=_attributes(fields, kind, {key: a.default for key, a in TYPES[kind].attributes.items()}),
            seed=seeds.derive(link.seed, "toxic", link.name, name),
            lease=checked.text(fields, "lease"),
        )
        self._leases.require(toxic.lease)
        link.add_toxic(toxic)
        return Answer(200, toxic.shown(counters=False))

    def _toxic_show(self, call: Call) -> Answer:
        toxic = self._links.get(call.names[0]).toxic(call.names[1])
        return Answer(200, toxic.shown(counters=call.counters))

    def _toxic_update(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        toxic = link.toxic(call.names[1])
        fields = call.fields()
        checked.known_keys(fields, "field", TOXIC_KEYS)
        attributes = _attributes(fields, toxic.type, toxic.attributes)
        toxicity = checked.share(fields, "toxicity", toxic.toxicity)
        lease = checked.text(fields, "lease", toxic.lease)
        self._leases.require(lease)
        toxic.attributes, toxic.toxicity, toxic.lease = attributes, toxicity, lease
        link.toxic_updated(toxic)
        return Answer(200, toxic.shown(counters=False))

    def _toxic_delete(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        link.remove_toxic(link.toxic(call.names[1]))
        return Answer(204)

    # taps

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
        from harness.proxy.tapdamage import damage_of  # numpy, only for those who tap

        spec = checked.as_object(fields.get("corrupt"), "corrupt")
        columns, damage = damage_of(spec)
        tap = Tap(
            name=name,
            stream=stream,
            match=Match(checked.text(matching, "method").upper(), checked.text(matching, "path")),
            record=record,
            path=path,
            id_key=checked.text(fields, "id", "id"),
            columns=columns,
            damage=damage,
            spec=spec,
            log=link.log_for(name),
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

    # leases

    def _lease_list(self, call: Call) -> Answer:
        return Answer(200, {"leases": self._leases.shown()})

    def _lease_renew(self, call: Call) -> Answer:
        """201 where it is new, 200 where it ran: who renews learns that everything under it had been undone."""
        fields = call.fields()
        checked.known_keys(fields, "field", ("id", "ttl_ms"))
        lease_id = checked.text(fields, "id")
        for key in ("id", "ttl_ms"):
            if not fields.get(key):
                raise Refusal(f"missing required field: {key}")
        ttl_ms = checked.whole(fields, "ttl_ms", 0, least=TTL_MS_MIN, most=TTL_MS_MAX)
        lease, new = self._leases.renew(lease_id, ttl_ms)
        return Answer(201 if new else 200, {"id": lease.id, "ttl_ms": lease.ttl_ms, "new": new})

    def _lease_drop(self, call: Call) -> Answer:
        self._leases.drop(call.names[0])
        return Answer(204)


def _updates(handler: Handler) -> dict[str, Handler]:
    return {"POST": handler, "PATCH": handler}


def _proxy_list(document: object) -> list[Mapping[str, object]]:
    """All entries are looked at before any is made. Unknown keys of older clients are tolerated, as in Toxiproxy."""
    if document is None:
        return []
    if not isinstance(document, list):
        raise bad_body("a list of proxies is expected")
    for n, entry in enumerate(document, start=1):
        fields = checked.as_object(entry, f"proxy {n}")
        for key in ("name", "upstream"):
            if not checked.text(fields, key):
                raise Refusal(f"missing required field: {key} at proxy {n}")
        checked.text(fields, "listen")
        checked.flag(fields, "enabled", True)
    return cast("list[Mapping[str, object]]", document)


def _attributes(fields: Mapping[str, object], kind: str, now: Mapping[str, int]) -> dict[str, int]:
    given = checked.as_object(fields.get("attributes"), "attributes")
    legal = TYPES[kind].attributes
    checked.known_keys(given, f"attribute of {kind}", legal)
    return {
        key: checked.whole(given, key, now[key], least=attribute.least, most=attribute.most)
        for key, attribute in legal.items()
    }
