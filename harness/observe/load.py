"""What the load generator is told, as data on its standard input."""

from __future__ import annotations

import msgspec


class LoadConfig(msgspec.Struct, frozen=True):
    """Open-loop load: `file` has `requests(seed, urls=...)`; `base_url` is where users come in; `rate` a second."""

    file: str
    base_url: str
    urls: dict[str, str]
    rate: float
    seed: int
