"""A window: rows from one time (or place) until another, the end left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.corrupt.column import Mask, missing
from harness.corrupt.errors import CorruptionError
from harness.corrupt.mechanism.base import Mechanism, Place
from harness.corrupt.reference import floats


@dataclass(frozen=True, kw_only=True)
class Window(Mechanism):
    """`since` and `until` are compared with `column`: a number as it is, a text such as 2026-01-31T12:00 where the column
    holds times. Without `column` they are places in the input, from 0."""

    name: ClassVar[str] = "window"

    since: str | int | float
    until: str | int | float
    column: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,) if self.column else ()

    def check(self) -> None:
        if not self.column and (isinstance(self.since, str) or isinstance(self.until, str)):
            raise CorruptionError("mechanism.column: missing; a window of times needs the column that holds them")

    def undecided(self, place: Place) -> int:
        return int(missing(place.table.columns[self.column]).sum()) if self.column else 0

    def eligible(self, place: Place) -> Mask:
        if not self.column:
            return _between(place.places, self.since, self.until)
        column = place.table.columns[self.column]
        if column.dtype.kind == "M":
            since, until = (self._time(key, value, column.dtype) for key, value in self._ends())
            return np.asarray((column >= since) & (column < until))
        if isinstance(self.since, str) or isinstance(self.until, str):
            return np.array(
                [isinstance(v, str) and str(self.since) <= v < str(self.until) for v in column.tolist()], bool
            )
        numbers = floats(column)
        return _between(numbers, self.since, self.until)

    def _ends(self) -> tuple[tuple[str, str | int | float], ...]:
        return ("since", self.since), ("until", self.until)

    def _time(self, key: str, value: str | int | float, dtype: np.dtype[Any]) -> np.datetime64:
        try:
            moment: np.datetime64 = np.datetime64(str(value)).astype(dtype)
        except ValueError:
            raise CorruptionError(
                f"mechanism.{key}: '{value}' is not legal; legal is a time such as 2026-01-31T12:00"
            ) from None
        return moment


def _between(values: np.ndarray[Any, Any], since: Any, until: Any) -> Mask:
    return np.asarray((values >= since) & (values < until))
