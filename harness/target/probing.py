"""From a link's description and what a witness asks to one request, and from what was seen to a reading.

The same for every driver: only where the request is made differs (this host, or inside the caller's container).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.contract.probe import LinkProbe, ProbeAsk, ProbeReading
from harness.errors import EnvironmentProblem
from harness.spec.target import LinkSpec


def request_of(link: LinkSpec, ask: ProbeAsk) -> dict[str, Any]:
    """The arguments of `asking.ask`. The large answer is fetched by GET."""
    wanted = link.asks
    bulk = ask.bulk and wanted.bulk is not None
    path = wanted.bulk if bulk and wanted.bulk is not None else wanted.path
    sent = None if bulk else wanted.body
    return {
        "method": "GET" if bulk else wanted.method,
        "path": f"/{path.lstrip('/')}",
        "body": b"" if sent is None else msgspec.json.encode(sent),
        "padding": ask.padding,
        "closes": ask.closes,
        "requests": ask.requests,
    }


def probe_of(link: LinkSpec) -> LinkProbe:
    """What planning may know of it."""
    wanted = link.asks
    path = f"/{wanted.path.lstrip('/')}"
    return LinkProbe(wanted.method, path, f"/{wanted.bulk.lstrip('/')}" if wanted.bulk else path, wanted.bytes)


def told(seen: Sequence[Mapping[str, Any]]) -> ProbeReading:
    """A reading of what `asking.ask` gave. Raises `EnvironmentProblem` for what isn't that."""
    try:
        first, *rest = [msgspec.convert(one, ProbeReading) for one in seen]
    except (ValueError, msgspec.ValidationError) as error:
        raise EnvironmentProblem(f"the probe's record can't be read: {error}") from None
    return msgspec.structs.replace(first, rest=tuple(rest))
