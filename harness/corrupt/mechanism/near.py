"""Near a boundary: rows whose `column` is within `width` of `at` (labels that a model is least sure of: adversarial flips)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Mask, missing
from harness.corrupt.errors import CorruptionError
from harness.corrupt.mechanism.base import Mechanism, Place
from harness.corrupt.reference import floats


@dataclass(frozen=True, kw_only=True)
class Near(Mechanism):
    name: ClassVar[str] = "near"

    column: str
    at: float
    width: float

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self) -> None:
        if self.width <= 0:
            raise CorruptionError(f"mechanism.width: {self.width:g} is not legal; legal is a number above 0")

    def eligible(self, place: Place) -> Mask:
        return np.asarray(np.abs(floats(place.table.columns[self.column]) - self.at) <= self.width)

    def undecided(self, place: Place) -> int:
        return int(missing(place.table.columns[self.column]).sum())
