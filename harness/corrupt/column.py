"""What types of damage and mechanisms share about arrays: which values are the same, and which are numbers or times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.errors import CorruptionError

Column = NDArray[Any]
Columns = Mapping[str, Column]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

NUMBERS = "fiu"
TIMES = "mM"


class _Absent:
    """The value of a field that a record doesn't have; only in columns of objects."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


_FEW = 0.001, 0.08
"""Between these shares of a mask, looking at eight cells at once takes half as long as numpy's own search."""


def rows_of(mask: Mask) -> Rows:
    """`np.flatnonzero` of one mask. Where few rows are hit, first the words of eight cells that have any, then in these."""
    whole = len(mask) // 8 * 8
    if not _FEW[0] * len(mask) < np.count_nonzero(mask) < _FEW[1] * len(mask) or not mask.flags.c_contiguous:
        return np.flatnonzero(mask)
    words = mask[:whole].view(np.uint64)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words.take(some).view(np.bool_))
    found = some.take(within >> 3)
    found <<= 3
    within &= 7
    found += within
    return found if whole == len(mask) else np.concatenate([found, whole + np.flatnonzero(mask[whole:])])


def taken(column: Column, rows: Rows) -> Column:
    """`column[rows]` in three quarters of its time. `take` first copies what lies in pieces, so it isn't asked for that."""
    return column.take(rows, axis=0) if column.flags.c_contiguous else column[rows]


def changed(before: Column, after: Column) -> Mask:
    """Which values became others; a missing value that stays missing did not."""
    if before.dtype == object or after.dtype == object:
        return _changed_objects(before.astype(object), after.astype(object))
    different: Mask = np.asarray(before != after, dtype=bool)
    if before.dtype.kind in "fc" and after.dtype.kind in "fc":
        different &= ~(np.isnan(before) & np.isnan(after))
    elif before.dtype.kind in TIMES and after.dtype.kind in TIMES:
        different &= ~(np.isnat(before) & np.isnat(after))
    return different


def _changed_objects(before: Column, after: Column) -> Mask:
    """By numpy's comparison of objects, ten times as fast as one by one. What it calls equal may be of different types, and
    what it calls different may be NaN twice: these few are looked at one by one."""
    different = np.asarray(before != after, dtype=bool)
    doubtful = ~different | (np.asarray(before != before, dtype=bool) & np.asarray(after != after, dtype=bool))
    rows = np.flatnonzero(doubtful)
    pairs = zip(before[rows].tolist(), after[rows].tolist(), strict=True)
    different[rows] = [not _same(b, a) for b, a in pairs]
    return different


def _same(before: object, after: object) -> bool:
    if before is after:
        return True
    if isinstance(before, float) and isinstance(after, float) and before != before and after != after:
        return True
    return (type(before) is type(after) and bool(before == after)) or _equal_numbers(before, after)


def _equal_numbers(before: object, after: object) -> bool:
    return is_number(before) and is_number(after) and before == after


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def missing(column: Column) -> Mask:
    """Which values are missing: None, NaN, NaT, or a field that isn't there."""
    if column.dtype.kind in "fc":
        return np.asarray(np.isnan(column), dtype=bool)
    if column.dtype.kind in TIMES:
        return np.asarray(np.isnat(column), dtype=bool)
    if column.dtype == object:
        return np.array([v is None or v is ABSENT or (isinstance(v, float) and v != v) for v in column.tolist()], bool)
    return np.zeros(len(column), dtype=bool)


EXACT_MAX = 2**53
"""Floats hold whole numbers up to here."""


def fill(kept: Column, column: Column, *, name: str, first: int) -> None:
    """Into an array that may be of a wider type, such that every value is the same. Raises CorruptionError where one wouldn't be;
    `first` is the row of the first one, for that."""
    if column.dtype.kind in "iu" and column.dtype != kept.dtype and len(column):
        wanted = kept.dtype
        most = EXACT_MAX if wanted.kind == "f" else np.iinfo(wanted).max if wanted.kind in "iu" else None
        if most is not None and (int(column.max()) > most or (wanted.kind == "f" and int(column.min()) < -most)):
            row = int(np.flatnonzero((column > most) | ((column < -most) if column.dtype.kind == "i" else False))[0])
            raise CorruptionError(
                f"column '{name}', row {first + row}: {column[row]} would be another number as {wanted}, which this damage makes "
                "of the column; give it as objects"
            )
    kept[:] = column


def common(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any]:
    """What holds the values of both as they are, short of whole numbers too large for a float (see `fill`)."""
    if one == other:
        return one
    kinds = one.kind + other.kind
    if all(kind in NUMBERS for kind in kinds) or kinds == "UU" or (kinds in ("mm", "MM")):
        return np.result_type(one, other)
    return np.dtype(object)


def objects(values: list[Any]) -> Column:
    """An array of objects. Not by assignment, which would take lists of one length for another axis."""
    return np.fromiter(values, dtype=object, count=len(values))


def each(column: Column, change: Callable[[Any], object]) -> Column:
    """A value at a time, to objects."""
    return objects([change(value) for value in column.tolist()])


def need_numbers(column: Column, *, name: str, kind: str) -> None:
    """Columns of objects pass: what isn't a number among them stays as it is."""
    if column.dtype.kind not in NUMBERS and column.dtype != object:
        raise CorruptionError(f"column '{name}': {kind} needs numbers, not {column.dtype}")


def need_text(column: Column, *, name: str, kind: str) -> None:
    if column.dtype.kind not in "UT" and column.dtype != object:
        raise CorruptionError(f"column '{name}': {kind} needs text, not {column.dtype}")
