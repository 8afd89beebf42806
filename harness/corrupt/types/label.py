"""Labels turned: each that is hit becomes another of the classes. Whom it hits (everybody, a segment, those near the
boundary) is the mechanism's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column, is_number, objects
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import Hit
from harness.corrupt.types.base import CellDamage, DType

Label = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Flip(CellDamage):
    """`classes` are the labels there are; a label that is none of them stays."""

    name: ClassVar[str] = "flip"

    classes: tuple[Label, ...] = (0, 1)

    def check(self) -> None:
        if len(set(self.classes)) < 2:
            raise CorruptionError("classes: flip needs at least two different ones")

    def dtype(self, column: Column, *, name: str) -> DType:
        if column.dtype.kind not in "fiubUO":
            raise CorruptionError(f"column '{name}': flip needs labels, not {column.dtype}")
        if column.dtype.kind in "fiu" and not all(is_number(one) for one in self.classes):
            raise CorruptionError(f"classes: not all are numbers, and column '{name}' holds {column.dtype}")
        return np.dtype(object) if column.dtype.kind == "U" else column.dtype

    def values(self, hit: Hit) -> Column:
        before, draws = hit.values, hit.fractions("class")
        after = [self._one(v, d) for v, d in zip(before.tolist(), draws.tolist(), strict=True)]
        wanted = self.dtype(hit.column, name=hit.name)
        return objects(after) if wanted.kind == "O" else np.array(after, dtype=wanted)

    def _one(self, label: object, draw: float) -> object:
        """Two booleans count as the classes 0 and 1 where nothing else is said."""
        if isinstance(label, bool) and self.classes == (0, 1):
            return not label
        if label not in self.classes:
            return label
        others = [one for one in self.classes if one != label]
        return others[int(draw * len(others))]
