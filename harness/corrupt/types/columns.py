"""Damage to which columns there are: renamed, gone, new, or the feature list doubled.

Where only some rows may be hit (`hit` isn't None), the others keep the old column: in columns of objects a field that a row
doesn't have is `ABSENT`, in typed ones it is a missing value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import ABSENT, Column, Mask
from harness.corrupt.errors import CorruptionError
from harness.corrupt.table import Table
from harness.corrupt.types.base import TableDamage


@dataclass(frozen=True, kw_only=True)
class Renamed(TableDamage):
    """One column under the name `to`."""

    name: ClassVar[str] = "renamed"

    to: str

    def touches(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return (*names, self.to)

    def reshaped(self, table: Table, names: tuple[str, ...], hit: Mask | None) -> dict[str, Column]:
        if len(names) != 1:
            raise CorruptionError(f"columns: renamed needs exactly one, not {len(names)}")
        if self.to in table.columns:
            raise CorruptionError(f"to: there is a column '{self.to}' already")
        old = table.columns[names[0]]
        if hit is None:
            return {self.to if name == names[0] else name: column for name, column in table.columns.items()}
        return {**table.columns, names[0]: _without(old, hit), self.to: _without(old, ~hit)}


@dataclass(frozen=True, kw_only=True)
class Absent(TableDamage):
    """The columns are gone."""

    name: ClassVar[str] = "absent"

    def touches(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names

    def reshaped(self, table: Table, names: tuple[str, ...], hit: Mask | None) -> dict[str, Column]:
        if hit is None:
            return {name: column for name, column in table.columns.items() if name not in names}
        return {name: _without(c, hit) if name in names else c for name, c in table.columns.items()}


@dataclass(frozen=True, kw_only=True)
class Added(TableDamage):
    """New columns that nobody asked for, all saying `value`."""

    name: ClassVar[str] = "added"
    makes: ClassVar[bool] = True

    value: str | int | float | bool = 0

    def touches(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names

    def reshaped(self, table: Table, names: tuple[str, ...], hit: Mask | None) -> dict[str, Column]:
        for name in names:
            if name in table.columns:
                raise CorruptionError(f"columns: there is a column '{name}' already")
        # Whole numbers with gaps would be floats, and 7 would be told as 7.0.
        as_objects = isinstance(self.value, str) or (hit is not None and not isinstance(self.value, float))
        new = np.full(len(table), self.value, dtype=object if as_objects else None)
        return {**table.columns, **{name: new if hit is None else _without(new, ~hit) for name in names}}


@dataclass(frozen=True, kw_only=True)
class Doubled(TableDamage):
    """The feature list twice: each column once more, with `suffix`."""

    name: ClassVar[str] = "doubled"

    suffix: str = "_1"

    def touches(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name + self.suffix for name in names)

    def reshaped(self, table: Table, names: tuple[str, ...], hit: Mask | None) -> dict[str, Column]:
        again = {name + self.suffix: table.columns[name] for name in names}
        for name in again:
            if name in table.columns:
                raise CorruptionError(f"suffix: there is a column '{name}' already")
        return {**table.columns, **{name: c if hit is None else _without(c, ~hit) for name, c in again.items()}}


def _without(column: Column, gone: Mask) -> Column:
    kind = column.dtype.kind
    if kind == "f":
        return np.where(gone, np.nan, column).astype(column.dtype)
    if kind in "iu":
        return np.where(gone, np.nan, column)
    if kind in "mM":
        return np.where(gone, np.array("NaT", dtype=column.dtype), column)
    out = column.astype(object)
    out[gone] = ABSENT
    return out
