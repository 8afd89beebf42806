"""The HTTP API, without HTTP: (method, path, query, body) -> an answer. Toxiproxy 2.12's, leases and taps.

What Toxiproxy answers was taken from the server itself, and a suite (`tests/conformance/proxy`) runs against both. What
differs on purpose is a row in `docs/moving-from-toxiproxy.md`, and nothing else differs.

Each resource has a file of its own, with its routes; here they are joined.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from harness.proxy.api.call import Answer, Call, Handler, refused
from harness.proxy.api.folders import FolderCalls
from harness.proxy.api.leases import LeaseCalls
from harness.proxy.api.proxies import ProxyCalls
from harness.proxy.api.taps import TapCalls
from harness.proxy.api.toxics import ToxicCalls
from harness.proxy.folder.link import Folders
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.metrics import Metrics
from harness.proxy.refusal import Refusal

__all__ = ["VERSION", "Answer", "Api", "Call", "refused"]

VERSION = "2.12.0"
"""The version of Toxiproxy whose API this is."""

_LINK = r"/proxies/([^/]+)"
_TAPS = re.compile("/(proxies|folders)/[^/]+/taps")


@dataclass(frozen=True)
class Found:
    """A call that there is. `slow` is a module that it will load, and that takes long to load."""

    handler: Handler
    names: tuple[str, ...]
    method: str
    slow: str

    def answer(self, query: Mapping[str, str], body: bytes) -> Answer:
        try:
            return self.handler(Call(self.method, self.names, query, body))
        except Refusal as refusal:
            return refused(refusal)


class Api:
    """`find` looks for a call, which then answers; what isn't there is answered at once."""

    def __init__(self, links: Links, folders: Folders, leases: Leases, metrics: Metrics | None = None) -> None:
        self._links = links
        self._folders = folders
        toxics = ToxicCalls(links, leases)
        self.proxies = ProxyCalls(links, leases, toxics.routes(_LINK))
        routes: list[tuple[str, dict[str, Handler]]] = [
            ("/version", {"GET": self._version}),
            ("/reset", {"POST": self._reset}),
            *self.proxies.routes(_LINK),
            *toxics.routes(_LINK),
            *TapCalls(links, leases).routes(_LINK),
            *FolderCalls(folders, leases).routes(),
            *LeaseCalls(leases).routes(),
        ]
        if metrics is not None:
            shown = metrics.answer  # by any method, as in Toxiproxy
            routes.append(("/metrics", dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), shown)))
        self._routes = [(re.compile(pattern), handlers) for pattern, handlers in routes]

    def find(self, method: str, path: str) -> Found | Answer:
        clean = _clean(path)
        if clean != path:
            return Answer(301, location=clean)
        for pattern, handlers in self._routes:
            found = pattern.fullmatch(path)
            if found is not None:
                handler = handlers.get(method)
                return Answer(405) if handler is None else Found(handler, found.groups(), method, _slow(method, path))
        return Answer(404, text="404 page not found\n")

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        found = self.find(method, path)
        return found if isinstance(found, Answer) else found.answer(query, body)

    def _version(self, call: Call) -> Answer:
        return Answer(200, text=f'{{"version": "{VERSION}"}}\n', type="application/json;charset=utf-8")

    def _reset(self, call: Call) -> Answer:
        for link in self._links.by_name.values():
            link.reset()
        self._folders.reset()
        return Answer(204)


def _slow(method: str, path: str) -> str:
    needed = "harness.proxy.tap.damage"
    taps = method == "POST" and _TAPS.fullmatch(path) is not None
    return needed if taps and needed not in sys.modules else ""


def _clean(path: str) -> str:
    """Without `//`, `.` and `..`; a slash at the end stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean
