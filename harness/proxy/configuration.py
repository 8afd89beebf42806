"""The configuration file: Toxiproxy's list of proxies, and under each, if wanted, its `toxics` as the API takes them.

A file that can't be had whole ends the start: a link that silently isn't proxied, or a toxic that silently isn't there,
would make a drill lie. So a key that looks like a slip is refused too, while the keys of older clients are tolerated,
and told. Leases are refused: when the file is read nobody has renewed one yet.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from harness.proxy import bodies
from harness.proxy.api.proxies import ProxyCalls, proxy_list, toxic_list
from harness.proxy.refusal import Refusal

BYTES_MAX = 4 << 20
KEYS = ("name", "listen", "upstream", "enabled", "toxics")
OLDER = ("logger",)
"""Shown by Toxiproxy itself, so that what it shows can be saved as a configuration."""


def load(path: Path, proxies: ProxyCalls) -> None:
    """Raises Refusal or OSError. Every entry is looked at before anything listens."""
    with path.open("rb") as file:
        text = file.read(BYTES_MAX + 1)
    try:
        if len(text) > BYTES_MAX:
            raise Refusal(f"larger than {BYTES_MAX} bytes")
        entries = proxy_list(bodies.read(text))
        _look(entries)
        for fields in entries:
            link = proxies.put(fields)
            proxies.put_toxics(link, fields)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal.message}", status=refusal.status) from None


def _look(entries: list[Mapping[str, object]]) -> None:
    seen: set[object] = set()
    for fields in entries:
        name = fields["name"]
        if name in seen:
            raise Refusal(f"proxy '{name}' is there twice")
        seen.add(name)
        for key in fields:
            _look_at_key(key, f"proxy '{name}'")
        for toxic in toxic_list(fields):
            if toxic.get("lease"):
                _no_lease(f"proxy '{name}', toxic '{toxic.get('name') or toxic.get('type')}'")


def _look_at_key(key: str, where: str) -> None:
    if key in KEYS or key in OLDER:
        return
    if key == "lease":
        _no_lease(where)
    from difflib import get_close_matches  # only when something is odd: it costs milliseconds to import

    near = get_close_matches(key, KEYS, n=1, cutoff=0.75)
    if near:
        raise Refusal(f"{where}: unknown key '{key[:100]}'. Did you mean '{near[0]}'?")
    print(f"proxy: {where}: key '{key[:100]}' means nothing here", file=sys.stderr)


def _no_lease(where: str) -> None:
    raise Refusal(f"{where}: a lease can't be named in a file, since nobody has renewed one yet")
