"""A condition on a value: equal to one, among some, within bounds, or within quantiles of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.corrupt.column import Column, Mask
from harness.corrupt.errors import CorruptionError
from harness.corrupt.mechanism.base import Mechanism
from harness.corrupt.reference import Reference, floats

Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Condition(Mechanism):
    """Parts that are given must all hold. `equals` and `among` compare with the type: the text "7" is not the number 7."""

    equals: Scalar | None = None
    among: tuple[Scalar, ...] = ()
    least: float | None = None
    most: float | None = None
    above_quantile: float | None = None
    below_quantile: float | None = None

    def check(self) -> None:
        given = (self.equals, self.least, self.most, self.above_quantile, self.below_quantile)
        if all(part is None for part in given) and not self.among:
            raise CorruptionError(
                f"mechanism: {self.name} needs a condition: equals, among, least, most, above_quantile or below_quantile"
            )
        for key in ("above_quantile", "below_quantile"):
            share = getattr(self, key)
            if share is not None and not 0 <= share <= 1:
                raise CorruptionError(f"mechanism.{key}: {share} is not legal; legal is a share from 0 to 1")

    def meets(self, column: Column, *, name: str, reference: Reference) -> Mask:
        met = np.ones(len(column), dtype=bool)
        wanted = (*self.among, *(() if self.equals is None else (self.equals,)))
        if wanted:
            met &= _among(column, wanted)
        least, most = self._bounds(name, reference)
        if least is not None or most is not None:
            numbers = floats(column)
            with np.errstate(invalid="ignore"):
                if least is not None:
                    met &= numbers >= least
                if most is not None:
                    met &= numbers <= most
        return met

    def _bounds(self, name: str, reference: Reference) -> tuple[float | None, float | None]:
        least, most = self.least, self.most
        if self.above_quantile is not None:
            low = reference.quantile(name, self.above_quantile)
            least = low if least is None else max(least, low)
        if self.below_quantile is not None:
            high = reference.quantile(name, self.below_quantile)
            most = high if most is None else min(most, high)
        return least, most


def _among(column: Column, wanted: tuple[Scalar, ...]) -> Mask:
    if column.dtype.kind in "fiuU":  # one type in the whole column: numpy may compare
        fitting = [w for w in wanted if isinstance(w, str) == (column.dtype.kind == "U") and not isinstance(w, bool)]
        return np.isin(column, fitting) if fitting else np.zeros(len(column), dtype=bool)
    return np.array([any(_equal(value, one) for one in wanted) for value in column.tolist()], dtype=bool)


def _equal(value: object, wanted: Scalar) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
