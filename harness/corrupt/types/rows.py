"""Damage to the stream of rows: some come twice, are lost, late, or out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.errors import CorruptionError
from harness.corrupt.types.base import RowDamage

ROWS_MAX = 1_000_000


def _legal(key: str, value: int, *, least: int) -> None:
    if not least <= value <= ROWS_MAX:
        raise CorruptionError(f"{key}: {value} is not legal; legal is a whole number from {least} to {ROWS_MAX}")


@dataclass(frozen=True, kw_only=True)
class Duplicate(RowDamage):
    """Delivered `copies` more times, the copies `after` rows later (0: at once)."""

    name: ClassVar[str] = "duplicate"
    stays: ClassVar[bool] = True

    copies: int = 1
    after: int = 0

    def check(self) -> None:
        _legal("copies", self.copies, least=1)
        _legal("after", self.after, least=0)

    def arrivals(self, places: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        again = places + (self.after + (0.25 if self.after == 0 else 0.5))
        return np.tile(again, (self.copies, 1))


@dataclass(frozen=True, kw_only=True)
class Drop(RowDamage):
    """Lost."""

    name: ClassVar[str] = "drop"

    def arrivals(self, places: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.empty((0, len(places)))


@dataclass(frozen=True, kw_only=True)
class Late(RowDamage):
    """Arrives `by` rows later than it should."""

    name: ClassVar[str] = "late"

    by: int

    def check(self) -> None:
        _legal("by", self.by, least=1)

    def arrivals(self, places: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        return (places.astype(np.float64) + (self.by + 0.5))[np.newaxis, :]


@dataclass(frozen=True, kw_only=True)
class Reorder(RowDamage):
    """Overtaken by up to `within` rows, as drawn."""

    name: ClassVar[str] = "reorder"
    drawn: ClassVar[bool] = True

    within: int

    def check(self) -> None:
        _legal("within", self.within, least=1)

    def arrivals(self, places: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        return (places.astype(np.float64) + np.floor(draws * self.within) + 1.5)[np.newaxis, :]
