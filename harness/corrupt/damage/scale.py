"""A unit change: numbers are multiplied by a factor (euros sent as cents: 100).

A record is wrong in its unit as a whole, so the draw is per record, not per value. Whole numbers stay whole where the
factor is; what isn't a number (missing values, text among objects) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column
from harness.corrupt.errors import CorruptionError


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Multiplies by `factor` (any finite number)."""

    name: ClassVar[str] = "scale"
    per_value: ClassVar[bool] = False

    factor: float

    def damaged(self, column: Column, *, name: str) -> Column:
        """All values damaged; the caller picks. Raises CorruptionError where the column has no numbers."""
        if column.dtype == object:
            # Not by assignment, which would take lists of one length for a second dimension.
            return np.fromiter((self._one(value) for value in column.tolist()), dtype=object, count=len(column))
        if column.dtype.kind == "f":
            return np.asarray(column * self.factor, dtype=column.dtype)
        if column.dtype.kind in "iu":
            return self._whole(column)
        raise CorruptionError(f"column '{name}': scale needs numbers, not {column.dtype}")

    def _one(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if isinstance(value, int):
            return value * int(self.factor) if self.factor.is_integer() else _float(value) * self.factor
        return value * self.factor

    def _whole(self, column: Column) -> Column:
        scaled = column.astype(np.float64) * self.factor
        limits = np.iinfo(column.dtype)
        fits = not len(column) or (scaled.min() > limits.min and scaled.max() < limits.max)
        if self.factor.is_integer() and fits:
            return np.asarray(column * column.dtype.type(int(self.factor)), dtype=column.dtype)
        return scaled


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
