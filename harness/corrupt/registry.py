"""Which types of damage and mechanisms there are. To add one: a small class in `types/` or `mechanism/`, and its line here.

A class is loaded when its name is first asked for: a corruption uses one or two of them, and declaring them all took most of
the time that `import harness.corrupt` took. So a class is named here as an entry point names it, and a test loads every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

from harness.corrupt.mechanism.base import Mechanism
from harness.corrupt.types.base import Damage

Kind = TypeVar("Kind")


class Kinds(Mapping[str, type[Kind]]):
    """Classes by their names in a corruption; which names there are is known without loading any."""

    def __init__(self, room: str, places: Mapping[str, str]) -> None:
        self._room = room
        self._places = places

    def __getitem__(self, name: str) -> type[Kind]:
        module, _, kind = self._places[name].partition(":")
        found: type[Kind] = getattr(import_module(f"{self._room}.{module}"), kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # Mapping's own would load it


DAMAGES: Mapping[str, type[Damage]] = Kinds(
    "harness.corrupt.types",
    {
        # Numbers.
        "scale": "numbers:Scale",
        "offset": "numbers:Offset",
        "sign": "numbers:Sign",
        "round": "numbers:Round",
        "clip": "numbers:Clip",
        "outlier": "numbers:Outlier",
        # Any cells.
        "missing": "missing:Missing",
        "stuck": "neighbours:Stuck",
        "misjoined": "neighbours:Misjoined",
        "swapped": "neighbours:Swapped",
        "as-text": "text:AsText",
        "remap": "text:Remap",
        "new-category": "text:NewCategory",
        "typo": "text:Typo",
        "mojibake": "text:Mojibake",
        "truncated": "text:Truncated",
        "poison": "text:Poison",
        # Times and labels.
        "time-zone": "times:TimeZone",
        "future": "times:Future",
        "flip": "label:Flip",
        # Rows.
        "duplicate": "rows:Duplicate",
        "drop": "rows:Drop",
        "reorder": "rows:Reorder",
        "late": "rows:Late",
        # Which columns there are.
        "renamed": "columns:Renamed",
        "added": "columns:Added",
        "absent": "columns:Absent",
        "doubled": "columns:Doubled",
    },
)
MECHANISMS: Mapping[str, type[Mechanism]] = Kinds(
    "harness.corrupt.mechanism",
    {
        "at-random": "at_random:AtRandom",
        "where": "where:Where",
        "itself": "itself:Itself",
        "graded": "graded:Graded",
        "burst": "runs:Burst",
        "batch": "runs:Batch",
        "window": "window:Window",
        "near": "near:Near",
    },
)
