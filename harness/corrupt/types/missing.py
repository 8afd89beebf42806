"""Values vanish, and what is written in their place: nothing, NaN, an empty text, a sentinel, an imputed default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import TIMES, Column
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import Hit
from harness.corrupt.types.base import CellDamage, DType

FORMS = ("gap", "none", "nan", "empty", "value", "median")


@dataclass(frozen=True, kw_only=True)
class Missing(CellDamage):
    """`form` gap: None among objects and text, NaN among numbers, NaT among times; whole numbers become floats, text and
    booleans objects, for only those can hold a gap. none, nan, empty: that, in whatever column. value: the sentinel or
    default given as `value` (-999, "N/A", 0). median: imputed as the reference's median."""

    name: ClassVar[str] = "missing"

    form: str = "gap"
    value: str | int | float | bool | None = None

    @property
    def mixes(self) -> bool:
        return self.form == "empty" or isinstance(self.value, str)

    def check(self) -> None:
        if self.form not in FORMS:
            raise CorruptionError(f"form: '{self.form}' is not legal; legal is one of {', '.join(FORMS)}")
        if (self.form == "value") != (self.value is not None):
            raise CorruptionError("value: needed where form is value, and only there")

    def dtype(self, column: Column, *, name: str) -> DType:
        kind = column.dtype.kind
        if kind == "O" or self.form in ("none", "empty"):
            return np.dtype(object)
        if kind in TIMES and self.form == "gap":
            return column.dtype
        if self.form == "value" and not isinstance(self.value, bool):
            if isinstance(self.value, str):
                return np.dtype(object)
            if kind in "iu" and isinstance(self.value, int):
                return np.dtype(np.int64)
        if kind in "iuf" and not isinstance(self.value, bool):
            return column.dtype if kind == "f" else np.dtype(np.float64)
        return np.dtype(object)

    def values(self, hit: Hit) -> Column:
        wanted = self.dtype(hit.column, name=hit.name)
        out = np.empty(len(hit.rows), dtype=wanted)
        if self.form == "median":
            out[:] = hit.reference.quantile(hit.name, 0.5)
        elif self.form == "gap":
            out[:] = np.datetime64("NaT") if wanted.kind == "M" else _gap(wanted)
        else:
            out[:] = {"none": None, "nan": float("nan"), "empty": "", "value": self.value}[self.form]
        return out


def _gap(dtype: DType) -> object:
    return np.timedelta64("NaT") if dtype.kind == "m" else float("nan") if dtype.kind == "f" else None
