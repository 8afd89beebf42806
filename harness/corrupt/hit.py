"""What a type of damage is given: the rows that are hit in one column, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.corrupt import draw
from harness.corrupt.column import Column, Columns, Mask, Rows, common, taken
from harness.corrupt.errors import CorruptionError
from harness.corrupt.reference import Reference
from harness.corrupt.table import Table

WHOLE_LEAST, WHOLE_MOST = -(2**63) + 1, 2**63 - 1
"""Of 64 bits, without the lowest, which among times is NaT and as a number has no negative."""


@dataclass(frozen=True)
class Hit:
    """`table` is the batch with all its columns as they came; `before` the rows that came before it, the last last."""

    name: str
    rows: Rows
    table: Table
    before: Columns
    reference: Reference
    seed: int
    partners: tuple[str, ...]
    """All columns that the corruption is about."""
    first: int
    """The place of the batch's first row in what this corruption is given, from 0 over all batches."""

    @property
    def column(self) -> Column:
        return self.table.columns[self.name]

    @cached_property
    def values(self) -> Column:
        """As they came."""
        return taken(self.column, self.rows)

    def fractions(self, purpose: str) -> draw.Fractions:
        """A draw for each row that is hit, besides the one that hit it."""
        return draw.fractions(self.table.keys_of(self.rows), seed=self.seed, name=f"{self.name}/{purpose}")

    def within(self, numbers: Column, change: Callable[[int], int], *, kind: str) -> None:
        """Raises CorruptionError where one of `numbers` (whole, one for each row that is hit) becomes one beyond 64 bits, which
        numpy would wrap around to another without a word. `change` keeps their order, or turns it round."""
        if not len(numbers) or all(
            WHOLE_LEAST <= change(end) <= WHOLE_MOST for end in (int(numbers.min()), int(numbers.max()))
        ):
            return
        for row, number in zip(self.rows.tolist(), numbers.tolist(), strict=True):
            if not WHOLE_LEAST <= change(number) <= WHOLE_MOST:
                raise CorruptionError(
                    f"column '{self.name}', row {self.first + row}: {kind} would make {self.column[row]} larger than "
                    f"{numbers.dtype} can hold; legal are numbers within 64 bits, or a column of objects"
                )

    def at(self, places: Rows) -> tuple[Column, Mask]:
        """The column's values at places counted from the batch's first row, negative ones before it, and which there are."""
        before = self.before.get(self.name)
        if not len(places) or places.min() >= 0:  # nearly always: all are in this batch
            return taken(self.column, places), np.ones(len(places), dtype=bool)
        known = 0 if before is None else len(before)
        there: Mask = np.asarray(places >= -known)
        found = self.column[np.maximum(places, 0)]
        early = np.flatnonzero(there & (places < 0))
        if before is not None and len(early):
            found = found.astype(common(found.dtype, before.dtype), copy=False)
            found[early] = before[places[early] + known]
        return found, there
