"""The HTTP API, without HTTP: (method, path, query, body) -> (status, body). Toxiproxy 2.12's, leases and taps.

What Toxiproxy answers was taken from the server itself: create and populate 201, create toxic 200, delete and reset
204. On purpose different: misspelt or out-of-range attributes of a toxic are a 400 that names the nearest match, and
removing a toxic never waits.

Each resource has a file of its own, with its routes; here they are joined.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from harness.proxy.api.call import Answer, Call, Handler, refused
from harness.proxy.api.leases import LeaseCalls
from harness.proxy.api.proxies import ProxyCalls
from harness.proxy.api.taps import TapCalls
from harness.proxy.api.toxics import ToxicCalls
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.refusal import Refusal

__all__ = ["VERSION", "Answer", "Api", "Call", "refused"]

VERSION = "2.12.0"
"""The version of Toxiproxy whose API this is."""

_LINK = r"/proxies/([^/]+)"
_TAPS = re.compile("/proxies/[^/]+/taps")


class Api:
    def __init__(self, links: Links, leases: Leases) -> None:
        self._links = links
        routes: list[tuple[str, dict[str, Handler]]] = [
            ("/version", {"GET": self._version}),
            ("/reset", {"POST": self._reset}),
            *ProxyCalls(links, leases).routes(_LINK),
            *ToxicCalls(links, leases).routes(_LINK),
            *TapCalls(links, leases).routes(_LINK),
            *LeaseCalls(leases).routes(),
        ]
        self._routes = [(re.compile(pattern), handlers) for pattern, handlers in routes]

    def slow_import(self, method: str, path: str) -> str:
        """The module that this call will load, which takes long; whoever serves the API loads it beside the loop."""
        needed = "harness.proxy.tap.damage"
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

    def _version(self, call: Call) -> Answer:
        return Answer(200, {"version": VERSION})

    def _reset(self, call: Call) -> Answer:
        for link in self._links.by_name.values():
            link.reset()
        return Answer(204)
