"""Calls on the proxies themselves: one by one, and many at once by populate."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.proxy import address, checked
from harness.proxy.api.call import JSON, Answer, Call, Handler, fields_of, updates
from harness.proxy.lease import Leases
from harness.proxy.link import Link, Links
from harness.proxy.refusal import PROXY_EXISTS, Refusal, bad_body, refuse

Routes = list[tuple[str, dict[str, Handler]]]


class ProxyCalls:
    """`toxics` are the routes of toxics, first those of the list, then those of one: populate may make toxics as well."""

    def __init__(self, links: Links, leases: Leases, toxics: Routes) -> None:
        self._links = links
        self._leases = leases
        self._toxic_create = toxics[0][1]["POST"]
        self._toxic_update = toxics[1][1]["PATCH"]

    def routes(self, link: str) -> Routes:
        """`link` is the pattern of a link's path."""
        return [
            ("/populate", {"POST": self._populate}),
            ("/proxies", {"GET": self._links_list, "POST": self._link_create}),
            (link, updates(self._link_update) | {"GET": self._link_show, "DELETE": self._link_delete}),
        ]

    def _populate(self, call: Call) -> Answer:
        made: list[dict[str, object]] = []
        with_toxics = call.query.get("toxics") == "1"
        try:
            for fields in proxy_list(call.document()):
                link = self.put(fields)
                try:
                    if with_toxics:
                        self.put_toxics(link, fields)
                finally:
                    made.append(link.shown(counters=False))
        except Refusal as refusal:
            error: dict[str, object] = {"error": refusal.message, "status": refusal.status}
            return Answer(refusal.status, error | {"proxies": made or None}, type=JSON)
        return Answer(201, {"proxies": made or None})  # Go's empty list

    def put(self, fields: Mapping[str, object]) -> Link:
        """One entry of populate: an equal proxy keeps its toxics and connections."""
        name, listen, upstream = (checked.text(fields, key) for key in ("name", "listen", "upstream"))
        old = self._links.by_name.get(name)
        if old is not None:
            if old.upstream == upstream and old.listen in (listen, address.settled(listen)):
                return old
            old.stop(keep_port=False)  # should the new one fail, the old one is still there, and disabled
        link = self._links.make(name, listen, upstream)
        self._links.add(link, start=checked.flag(fields, "enabled", True))
        return link

    def put_toxics(self, link: Link, fields: Mapping[str, object]) -> None:
        """The entry's toxics, by the bodies that the API takes; one that is there by this name is updated."""
        for n, toxic in enumerate(toxic_list(fields), start=1):
            name = toxic.get("name") or f"{toxic.get('type')}_{toxic.get('stream') or 'downstream'}"
            there = next((old for old in link.toxics if old.name == name), None)
            body = json.dumps(toxic).encode()
            if there is not None and there.type == toxic.get("type"):
                answer = self._told(link, n, name, Call("PATCH", (link.name, there.name), {}, body), self._toxic_update)
            else:
                answer = self._told(link, n, name, Call("POST", (link.name,), {}, body), self._toxic_create)
            assert answer.status == 200

    def _told(self, link: Link, n: int, name: object, call: Call, handler: Handler) -> Answer:
        try:
            return handler(call)
        except Refusal as refusal:
            where = f"proxy '{link.name}', toxic {n} '{str(name)[:100]}'"
            raise Refusal(f"{where}: {refusal.message}", status=refusal.status) from None

    def _links_list(self, call: Call) -> Answer:
        shown = {name: link.shown(counters=call.counters) for name, link in sorted(self._links.by_name.items())}
        return Answer(200, shown)

    def _link_create(self, call: Call) -> Answer:
        fields = call.fields()
        name, listen, upstream = (checked.text(fields, key) for key in ("name", "listen", "upstream"))
        enabled = checked.flag(fields, "enabled", True)
        for key, value in (("name", name), ("upstream", upstream)):
            if not value:
                raise Refusal(f"missing required field: {key}")
        if name in self._links.by_name:
            raise refuse(PROXY_EXISTS)
        link = self._links.make(name, listen, upstream)
        self._links.add(link, start=enabled)
        return Answer(201, link.shown(counters=False))

    def _link_show(self, call: Call) -> Answer:
        return Answer(200, self._links.get(call.names[0]).shown(counters=call.counters))

    def _link_update(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        fields = call.fields()
        enabled = checked.flag(fields, "enabled", link.enabled)
        lease = checked.text(fields, "lease")
        self._leases.require(lease)
        listen = checked.text(fields, "listen", link.listen)
        same = listen == link.listen or address.settled(listen) == link.listen
        link.move(link.listen if same else listen, checked.text(fields, "upstream", link.upstream))
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


def proxy_list(document: object) -> list[Mapping[str, object]]:
    """All entries are looked at before any is made. Unknown keys of older clients are tolerated, as in Toxiproxy."""
    if document is None:
        return []
    if not isinstance(document, list):
        raise bad_body("a list of proxies is expected")
    entries: list[Mapping[str, object]] = []
    for n, entry in enumerate(document, start=1):
        fields = fields_of(entry, f"proxy {n}")
        for key in ("name", "listen", "upstream"):
            checked.text(fields, key)
        checked.flag(fields, "enabled", True)
        entries.append(fields)
    for n, looked_at in enumerate(entries, start=1):
        for key in ("name", "upstream"):
            if not looked_at.get(key):
                raise Refusal(f"missing required field: {key} at proxy {n}")
    return entries


def toxic_list(fields: Mapping[str, object]) -> list[dict[str, object]]:
    toxics = fields.get("toxics") or []
    if not isinstance(toxics, list):
        raise bad_body(f"toxics of proxy '{fields['name']}' must be a list")
    return [fields_of(toxic, f"toxic {n} of proxy '{fields['name']}'") for n, toxic in enumerate(toxics, start=1)]
