"""Values that belong elsewhere: stuck at an older one, joined to the wrong row, swapped with another column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import Hit
from harness.corrupt.types.base import CellDamage

LAG_MAX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Stuck(CellDamage):
    """Repeats itself: of each stretch of `length` rows, those hit say what the first one said."""

    name: ClassVar[str] = "stuck"

    length: int

    @property
    def lag(self) -> int:
        return self.length - 1

    def check(self) -> None:
        _legal("length", self.length, least=2)

    def values(self, hit: Hit) -> Column:
        places = hit.rows + hit.first
        return _from(hit, places // self.length * self.length - hit.first)  # numpy's % takes twice as long


@dataclass(frozen=True, kw_only=True)
class Misjoined(CellDamage):
    """A misaligned join: the value of the row `lag` places before. What the column says over all stays as it was."""

    name: ClassVar[str] = "misjoined"
    per_value: ClassVar[bool] = False

    rows: int = 1

    @property
    def lag(self) -> int:
        return self.rows

    def check(self) -> None:
        _legal("rows", self.rows, least=1)

    def values(self, hit: Hit) -> Column:
        return _from(hit, hit.rows - self.rows)


@dataclass(frozen=True, kw_only=True)
class Swapped(CellDamage):
    """Two columns changed places. Needs exactly two."""

    name: ClassVar[str] = "swapped"
    per_value: ClassVar[bool] = False

    def check_columns(self, names: tuple[str, ...]) -> None:
        if len(names) != 2:
            raise CorruptionError(f"columns: swapped needs exactly two, not {len(names)}: {', '.join(names)}")

    def borrows(self, name: str, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(other for other in names if other != name)

    def values(self, hit: Hit) -> Column:
        (other,) = self.borrows(hit.name, hit.partners)
        return hit.table.columns[other][hit.rows]


def _from(hit: Hit, places: np.ndarray) -> Column:
    """Where the row isn't there (before the first of all), the value stays."""
    found, there = hit.at(places)
    return found if there.all() else np.where(there, found, hit.values)


def _legal(key: str, value: int, *, least: int) -> None:
    if not least <= value <= LAG_MAX:
        raise CorruptionError(f"{key}: {value} is not legal; legal is a whole number from {least} to {LAG_MAX}")
