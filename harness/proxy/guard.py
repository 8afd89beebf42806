"""Who may not use the API: pages in a browser. A page that somebody visits must not steer a proxy on their machine.

Three ways a page could: as a browser (its user agent, as in Toxiproxy), from another origin (`Origin`, which no program
sends by itself, and `Sec-Fetch-Site`, which no page can leave out), and through a name of its own that it lets point to
us (DNS rebinding, which only `Host` shows). So a host is an IP literal, `localhost`, a name without dots such as a
container's, or one that was allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

BROWSER = "User agent not allowed\n"
_FOUR = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_SITES = ("", "none", "same-origin")


@dataclass(frozen=True)
class Guard:
    """`hosts` are names that are ours, beside those that can't be anybody else's."""

    hosts: frozenset[str]

    @classmethod
    def of(cls, hosts: Iterable[str]) -> Guard:
        return cls(frozenset(host.lower().strip("[]").rstrip(".") for host in hosts))

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Why not, or nothing."""
        host = headers.get("host", "")
        if host and not self._ours(_name(host)):
            return f"host {host[:100]} not allowed: see --allow-host\n"
        origin = headers.get("origin", "")
        if origin and origin.lower() != f"http://{host.lower()}":
            return f"origin {origin[:100]} not allowed\n"
        if headers.get("sec-fetch-site", "").lower() not in _SITES:
            return "pages of other sites not allowed\n"
        return ""

    def _ours(self, name: str) -> bool:
        return ":" in name or "." not in name or _FOUR.fullmatch(name) is not None or name in self.hosts


def browser(headers: Mapping[str, str]) -> bool:
    return headers.get("user-agent", "").startswith("Mozilla/")


def _name(host: str) -> str:
    """Without its port and brackets; something that is no host at all is nobody's."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    return (name or "not.a.host").rstrip(".")
