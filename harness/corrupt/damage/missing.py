"""Nulls: values vanish, each by a draw of its own. None among objects and text, NaN among numbers, NaT among times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Makes values missing. Whole numbers become floats, text and booleans objects: only those can hold a gap."""

    name: ClassVar[str] = "missing"
    per_value: ClassVar[bool] = True

    def damaged(self, column: Column, *, name: str) -> Column:
        """All values missing; the caller picks."""
        del name
        if column.dtype.kind in "fiu":
            kind = column.dtype if column.dtype.kind == "f" else np.dtype(np.float64)
            return np.full(len(column), np.nan, dtype=kind)
        if column.dtype.kind in "mM":
            return np.full(len(column), np.array("NaT", dtype=column.dtype))
        return np.full(len(column), None, dtype=object)
