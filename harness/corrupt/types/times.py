"""Damage to times: another time zone, timestamps in the future. Times are datetime64, seconds as numbers, or ISO text."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import ClassVar

import numpy as np

from harness.corrupt.column import NUMBERS, Column, is_number, objects
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import Hit
from harness.corrupt.types.base import CellDamage, DType

_NANOSECONDS: dict[str, Fraction] = {
    **{unit: Fraction(10**power) for unit, power in (("ns", 0), ("us", 3), ("ms", 6), ("s", 9))},
    **{unit: Fraction(1, 10**power) for unit, power in (("ps", 3), ("fs", 6), ("as", 9))},
    **{unit: Fraction(seconds * 10**9) for unit, seconds in (("m", 60), ("h", 3600), ("D", 86_400), ("W", 604_800))},
}


@dataclass(frozen=True, kw_only=True)
class _Shifted(CellDamage):
    per_value: ClassVar[bool] = False

    @property
    @abstractmethod
    def seconds(self) -> float:
        """How far off."""

    def dtype(self, column: Column, *, name: str) -> DType:
        if column.dtype.kind not in "MUO" and column.dtype.kind not in NUMBERS:
            raise CorruptionError(
                f"column '{name}': {self.name} needs times (datetime64, seconds or ISO text), not {column.dtype}"
            )
        if column.dtype.kind == "M":
            unit, _ = np.datetime_data(column.dtype)
            if unit in ("Y", "M", "W", "D") and self.seconds % 86_400:
                return np.dtype("datetime64[s]")
        if column.dtype.kind in "iu":
            return np.dtype(np.int64 if self.seconds.is_integer() else np.float64)
        return np.dtype(object) if column.dtype.kind in "UO" else column.dtype

    def values(self, hit: Hit) -> Column:
        before = hit.values
        wanted = self.dtype(before, name=hit.name)
        if before.dtype.kind == "M":
            return self._moved(hit, before.astype(wanted))
        if before.dtype.kind in NUMBERS:
            if wanted.kind == "i":
                hit.within(before, lambda number: number + int(self.seconds), kind=self.name)
            return np.asarray(before.astype(wanted) + wanted.type(self.seconds))
        return objects([self._one(value) for value in before.tolist()])

    def _moved(self, hit: Hit, moments: Column) -> Column:
        """In their own unit: counted in nanoseconds, the year 9999 would be in 1816."""
        unit, step = np.datetime_data(moments.dtype)
        if unit in ("Y", "M"):  # these are of no one length, and such columns go by days
            days: Column = moments.astype("datetime64[D]") + np.timedelta64(int(self.seconds // 86_400), "D")
            return days.astype(moments.dtype)
        nanoseconds = _NANOSECONDS[unit] * step
        shift = int(Fraction(round(self.seconds * 1e9)) // nanoseconds)
        known = moments[~np.isnat(moments)]
        there = replace(hit, rows=hit.rows[~np.isnat(moments)])
        there.within(known.view(np.int64), lambda moment: moment + shift, kind=self.name)
        moved: Column = moments + np.array(shift * step).astype(f"timedelta64[{unit}]")
        return moved

    def _one(self, value: object) -> object:
        if is_number(value):
            return value + (int(self.seconds) if isinstance(value, int) and self.seconds.is_integer() else self.seconds)  # type: ignore[operator]  # is_number
        if not isinstance(value, str):
            return value
        try:
            moved = datetime.fromisoformat(value) + timedelta(seconds=self.seconds)
        except (ValueError, OverflowError):  # the second: 9999-12-31, by which tables say "for ever", can't be later
            return value
        return _spelled_as(value, moved) or moved.isoformat(sep="T" if "T" in value else " ")


_USUAL = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d(:\d\d)?([.,]\d+)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def _spelled_as(old: str, moved: datetime) -> str | None:
    """With the digits behind the second, the Z and the leaving out of seconds that the old text has: a clock that is wrong
    doesn't write in another way, and a check of the form must not be what finds it. None where it can't be said so."""
    form = _USUAL.fullmatch(old)
    if form is None:
        return None
    separator, seconds, fraction, zone = form.groups()
    whole = moved.replace(microsecond=0, tzinfo=None).isoformat(sep=separator)
    if not seconds:
        return whole[: -len(":00")] + (zone or "") if moved.second == moved.microsecond == 0 else None
    if moved.microsecond != _microseconds(fraction):
        return None
    return whole + (fraction or "") + (zone or "")


def _microseconds(fraction: str | None) -> int:
    """As Python reads them: what is finer is cut off."""
    return int(fraction[1:7].ljust(6, "0")) if fraction else 0


@dataclass(frozen=True, kw_only=True)
class TimeZone(_Shifted):
    """Local time taken for another zone's: off by `hours`."""

    name: ClassVar[str] = "time-zone"

    hours: float

    @property
    def seconds(self) -> float:
        return self.hours * 3600


@dataclass(frozen=True, kw_only=True)
class Future(_Shifted):
    """A clock that is ahead by `seconds_ahead`: events that haven't happened yet."""

    name: ClassVar[str] = "future"

    seconds_ahead: float

    @property
    def seconds(self) -> float:
        return self.seconds_ahead

    def check(self) -> None:
        if self.seconds_ahead <= 0:
            raise CorruptionError(f"seconds_ahead: {self.seconds_ahead:g} is not legal; legal is a number above 0")
