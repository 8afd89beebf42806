"""The higher a value stands among what is usual, the likelier the cell is hit (or the lower).

The chance is dose x (1 + steep) x rank ^ steep, with the rank in the reference from 0 to 1, so that its mean over the
reference is the dose. Without `column` it is the cell's own value: not at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.column import missing
from harness.corrupt.errors import CorruptionError
from harness.corrupt.mechanism.base import Mechanism, Place


@dataclass(frozen=True, kw_only=True)
class Graded(Mechanism):
    """`toward` is high or low. A steepness that would need chances over 1 at this dose is refused."""

    name: ClassVar[str] = "graded"

    column: str = ""
    toward: str = "high"
    steep: float = 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,) if self.column else ()

    @property
    def of_cell(self) -> bool:
        return not self.column

    def check(self) -> None:
        if self.toward not in ("high", "low"):
            raise CorruptionError(f"mechanism.toward: '{self.toward}' is not legal; legal is high or low")
        if self.steep <= 0:
            raise CorruptionError(f"mechanism.steep: {self.steep:g} is not legal; legal is a number above 0")

    def undecided(self, place: Place) -> int:
        return int(missing(place.table.columns[self.column or place.name]).sum())

    def chances(self, place: Place, dose: float) -> NDArray[np.float64]:
        if dose * (1 + self.steep) > 1:
            raise CorruptionError(
                f"dose: {dose:g} is too much for a steepness of {self.steep:g}; legal is up to {1 / (1 + self.steep):g}"
            )
        name = self.column or place.name
        rank = place.reference.rank(name, place.table.columns[name])
        if self.toward == "low":
            rank = 1 - rank
        return np.nan_to_num(dose * (1 + self.steep) * rank**self.steep, nan=0.0)
