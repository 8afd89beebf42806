"""How a toxic is declared: its type's name, its attributes with their bounds, what it may be drawn for, its stage.

All of Toxiproxy's attributes are whole numbers, and so are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from harness.proxy.stage import Host, Stage

HOUR_MS = 3_600_000
MS = 1_000_000
"""Nanoseconds."""


class Per(Enum):
    """What toxicity is drawn for: a connection, an HTTP/1.1 message (downstream, the response), or a line."""

    CONNECTION = "connection"
    REQUEST = "request"
    RECORD = "record"


EACH = (Per.CONNECTION, Per.REQUEST, Per.RECORD)
"""For toxics that may hit a part of a stream and leave the next part alone."""


@dataclass(frozen=True)
class Attribute:
    """`least_served` is the least that works at all: below it Toxiproxy hangs or dies, so not even `compat` takes it."""

    default: int = 0
    least: int = 0
    most: int = HOUR_MS
    least_served: int | None = None


@dataclass
class Counts:
    """What a toxic really did. `units` are requests or records; `unframed` are connections with bytes in no unit."""

    connections: int = 0
    units: int = 0
    chunks: int = 0
    bytes: int = 0
    unframed: int = 0


class Settings(Protocol):
    """What a stage sees of its toxic: the attributes as they are now, the seed of its draws, and where to count."""

    attributes: dict[str, int]
    seed: int
    per: Per
    compat: bool
    counts: Counts

    def hits(self, *ordinals: int) -> bool:
        """Whether toxicity hits the connection, or the unit, with these ordinals."""


class ToxicStage(Stage, Protocol):
    """A stage that can also let bytes by. `unit` is the ordinal of the unit that `feed` gets a part of."""

    unit: int

    def past(self, data: bytes) -> None:
        """Bytes that aren't hit: given on as they are, behind all that came before them."""


def _nothing_wrong(attributes: Mapping[str, int]) -> str:
    del attributes
    return ""


@dataclass(frozen=True)
class Declaration:
    """`check` says what is wrong with attributes that are each in range, or nothing. `ours`: Toxiproxy doesn't have it."""

    type: str
    stage: Callable[[Settings, Host], ToxicStage]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    per: tuple[Per, ...] = (Per.CONNECTION,)
    check: Callable[[Mapping[str, int]], str] = _nothing_wrong
    ours: bool = False
