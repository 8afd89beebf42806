"""What the prober process is told, as data on its standard input: it shares no memory with the run it observes for."""

from __future__ import annotations

import msgspec

from harness.contract.undo import Json


class GoldenRequest(msgspec.Struct, frozen=True):
    """A request whose right answer is known: the fields of the answer that must be equal."""

    id: str
    method: str
    path: str
    expect: dict[str, Json]
    body: Json = None


class GoldenConfig(msgspec.Struct, frozen=True):
    """Where golden requests go, how often, and which fields of an answer carry what."""

    base_url: str
    requests: tuple[GoldenRequest, ...]
    every_s: float
    timeout_s: float
    kinds: tuple[str, ...]
    latency_max_s: float | None = None
    fallback_field: str | None = None
    freshness_field: str | None = None


class ReadingConfig(msgspec.Struct, frozen=True):
    """A record reading to follow."""

    name: str
    url: str
    id: str
    every_s: float


class QualityConfig(msgspec.Struct, frozen=True):
    """How decision quality is joined. Newer than `last` decisions are looked at."""

    decisions: str
    truth: str
    decision: str
    positive: str
    label: str
    synthetic: str | None
    last: int
    id: str = "id"
    time: str | None = "t"


class ProberConfig(msgspec.Struct, frozen=True):
    """The whole of it."""

    golden: GoldenConfig | None
    readings: tuple[ReadingConfig, ...]
    quality: QualityConfig | None


COLLECTED = "collected"
"""The note by which the prober says that all readings were read to their end."""
