"""The toxics: one small file each. Every module of this package declares one (`TOXIC`), and is found by itself.

A declaration says what the attributes may be, what toxicity may be drawn for (`per`) and which stage stands in the
stream; `parts` has what stages have in common. docs/adding-a-toxic.md shows a whole one.

Where toxics differ from Toxiproxy's on purpose, `compat` (a switch of the whole proxy) gives back Toxiproxy's ways:

- `timeout` starts its time anew with each chunk, and its removal closes connections that lost nothing too.
- Unknown attributes, and unknown keys of a toxic, are ignored.
- Any 64-bit number is taken for an attribute, and any toxicity: a negative time is none, a toxicity above 1 is 1, below
  0 is 0, and the API shows what was given. Not taken is what would hang or kill Toxiproxy (`rate` below 1;
  `average_size` below 1, or not above `size_variation`). Toxics that Toxiproxy doesn't have keep their bounds.

It doesn't give back what helps nobody: removals that block, a toxicity drawn anew at each update, draws without a seed.
"""

from __future__ import annotations

import pkgutil
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

from harness import seeds
from harness.proxy.stage import Host, Owner, Stage
from harness.proxy.toxic.parts.declaration import Counts, Declaration, Per

__all__ = ["TYPES", "Declaration", "Per", "Toxic", "declared"]


def declared(modules: Iterable[ModuleType]) -> dict[str, Declaration]:
    """By type. A module without a declaration, or two of one type, are a mistake that the proxy won't start with."""
    types: dict[str, Declaration] = {}
    for module in modules:
        declaration = getattr(module, "TOXIC", None)
        if not isinstance(declaration, Declaration):
            raise TypeError(f"{module.__name__} declares no toxic: TOXIC = Declaration(...) is missing")
        if declaration.type in types:
            raise TypeError(f"{module.__name__} declares a second toxic '{declaration.type}'")
        types[declaration.type] = declaration
    return types


TYPES = declared(
    import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__) if not found.ispkg
)


@dataclass(eq=False)
class Toxic:
    """One toxic on one direction of a link, with its counters of what was really affected."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]
    seed: int
    lease: str = ""
    per: Per = Per.CONNECTION
    compat: bool = False
    stream_given: str = ""
    counts: Counts = field(default_factory=Counts)
    asked: dict[int, deque[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._watcher = _Watcher(self)  # one only: owners are known by identity

    def hits(self, *ordinals: int) -> bool:
        """Drawn for (seed, link and toxic, connection, unit): an update changes the bound, never the draw."""
        return self.toxicity >= 1 or seeds.fraction(self.seed, "toxicity", *ordinals) < self.toxicity

    def applies(self, ordinal: int) -> bool:
        """Units are drawn when they come."""
        return self.per is not Per.CONNECTION or self.hits(ordinal)

    def stage(self, pipe: Host) -> Stage:
        stage = TYPES[self.type].stage(self, pipe)
        if self.per is Per.CONNECTION:
            return stage
        from harness.proxy.toxic.parts import units  # only for those who cut

        return units.cut(self, pipe, stage, self.asked if self.stream == "downstream" else None)

    def watcher(self, stream: str) -> Owner | None:
        """What has to stand in the other direction, so that responses can be told apart."""
        responses = self.per is Per.REQUEST and self.stream == "downstream"
        return self._watcher if responses and stream == "upstream" else None

    def shown(self, *, counters: bool) -> dict[str, object]:
        """In Toxiproxy's order of keys. What it doesn't have is only there when asked for, or set."""
        body: dict[str, object] = {
            "attributes": self.attributes,
            "name": self.name,
            "type": self.type,
            "stream": self.stream_given or self.stream,
            "toxicity": _as_float32(self.toxicity),
        }
        if self.per is not Per.CONNECTION:
            body["per"] = self.per.value
        if self.lease:
            body["lease"] = self.lease
        if counters:
            body["affected"] = self._affected()
        return body

    def _affected(self) -> dict[str, int]:
        counts = self.counts
        shown = {"connections": counts.connections, "chunks": counts.chunks, "bytes": counts.bytes}
        if self.per is not Per.CONNECTION:
            shown |= {f"{self.per.value}s": counts.units, "unframed": counts.unframed}
        return shown


class _Watcher:
    def __init__(self, toxic: Toxic) -> None:
        self._toxic = toxic

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    def stage(self, pipe: Host) -> Stage:
        from harness.proxy.toxic.parts import units  # only for those who cut

        return units.AskedStage(self._toxic, pipe, self._toxic.asked)


def _as_float32(value: float) -> float | int:
    """As Toxiproxy shows it: the shortest number that is the same in 32 bits."""
    if value.is_integer():
        return int(value)
    stored = struct.pack("f", value)
    (exact,) = struct.unpack("f", stored)
    for digits in range(1, 9):
        short = float(f"{exact:.{digits}g}")
        if struct.pack("f", short) == stored:
            return short
    return float(f"{exact:.9g}")
