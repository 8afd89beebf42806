"""Calls on the proxies themselves: one by one, and many at once by populate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler, updates
from harness.proxy.lease import Leases
from harness.proxy.link import Link, Links
from harness.proxy.refusal import PROXY_EXISTS, Refusal, bad_body, refuse


class ProxyCalls:
    def __init__(self, links: Links, leases: Leases) -> None:
        self._links = links
        self._leases = leases

    def routes(self, link: str) -> list[tuple[str, dict[str, Handler]]]:
        """`link` is the pattern of a link's path."""
        return [
            ("/populate", {"POST": self._populate}),
            ("/proxies", {"GET": self._links_list, "POST": self._link_create}),
            (link, updates(self._link_update) | {"GET": self._link_show, "DELETE": self._link_delete}),
        ]

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
