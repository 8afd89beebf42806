"""What every mechanism can tell: who may be hit, with what chance, and what the draw belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.corrupt import draw
from harness.corrupt.column import Mask
from harness.corrupt.reference import Reference
from harness.corrupt.table import Table


@dataclass(frozen=True)
class Place:
    """A column of a batch that is to be damaged. `first` is the place of its first row, from 0 over all batches."""

    name: str
    table: Table
    reference: Reference
    first: int

    @property
    def places(self) -> NDArray[np.int64]:
        return np.arange(self.first, self.first + len(self.table), dtype=np.int64)


class Mechanism:
    """Completely at random, unless a mechanism says otherwise. Each is a frozen dataclass, its fields are its parameters."""

    name: ClassVar[str]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at, besides the one that is damaged."""
        return ()

    @property
    def of_cell(self) -> bool:
        """Whether it looks at the cell itself, so that each column is told by itself."""
        return False

    @property
    def everybody(self) -> bool:
        """Whether a dose of 1 hits every row there will ever be."""
        return False

    def check(self) -> None:
        """Raises CorruptionError where the parameters make no sense together."""

    def eligible(self, place: Place) -> Mask | None:
        """Who may be hit; None: everybody."""
        return None

    def undecided(self, place: Place) -> int:
        """Of how many rows it can't tell, because what it looks at is missing. They aren't hit."""
        return 0

    def chances(self, place: Place, dose: float) -> float | NDArray[np.float64]:
        """How likely each of those is hit. On average over the reference it is the dose."""
        return dose

    def keys(self, place: Place) -> draw.Ids | None:
        """What a draw belongs to; None: the row itself."""
        return None
