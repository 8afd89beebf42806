"""What the types of damage have in common. Each is a frozen dataclass whose fields are its parameters; the bases here have no
fields, and are plain classes, since a declaration takes a millisecond of everybody's import.

Three kinds: those that change cells, those that move, copy or take away rows, and those that change which columns there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.column import NUMBERS, Column, is_number, need_numbers
from harness.corrupt.hit import Hit
from harness.corrupt.table import Table

DType = np.dtype[Any]


class Damage(ABC):
    """Something that happens to values, rows or columns."""

    name: ClassVar[str]

    def check(self) -> None:  # noqa: B027 - types whose every parameter is legal have nothing to check
        """Raises CorruptionError where the parameters make no sense."""


class CellDamage(Damage):
    per_value: ClassVar[bool] = True
    """Whether each cell is drawn by itself, or a row as a whole."""

    @property
    def mixes(self) -> bool:
        """Whether it writes text among what isn't text."""
        return False

    @property
    def lag(self) -> int:
        """How many rows before the first it wants to see."""
        return 0

    def borrows(self, name: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Other columns whose values come into this one."""
        return ()

    def check_columns(self, names: tuple[str, ...]) -> None:
        """Raises CorruptionError where it can't work on these columns together."""

    def dtype(self, column: Column, *, name: str) -> DType:
        """What the column becomes, whoever is hit. Raises CorruptionError where it can't be damaged so."""
        return column.dtype

    @abstractmethod
    def values(self, hit: Hit) -> Column:
        """What the cells that are hit become."""


class NumberDamage(CellDamage):
    """On numbers. What isn't one (missing values, text among objects) stays as it is."""

    per_value: ClassVar[bool] = False
    drawn: ClassVar[bool] = False
    """Whether it wants a draw for each number."""

    @property
    def keeps_whole(self) -> bool:
        """Whether whole numbers stay whole."""
        return True

    @abstractmethod
    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        """Of one number or an array of them; `draw` is from 0 to 1, as many."""

    def dtype(self, column: Column, *, name: str) -> DType:
        need_numbers(column, name=name, kind=self.name)
        if column.dtype.kind in "iu":
            return np.dtype(np.int64 if self.keeps_whole else np.float64)
        return column.dtype

    def values(self, hit: Hit) -> Column:
        before = hit.values
        draws = hit.fractions(self.name) if self.drawn else np.zeros(1 if before.dtype.kind in NUMBERS else len(before))
        if before.dtype.kind in NUMBERS:
            wanted = self.dtype(before, name=hit.name)
            if wanted.kind == "i":
                hit.within(before, lambda number: int(self.change(number, hit, 0.0)), kind=self.name)
            with np.errstate(over="ignore", invalid="ignore"):
                after = np.asarray(self.change(before.astype(wanted, copy=False), hit, draws))
            return np.where(np.isnan(before), before, after) if before.dtype.kind == "f" and self.drawn else after
        ones = before.copy()
        for n, (value, draw) in enumerate(zip(before.tolist(), draws.tolist(), strict=True)):
            if is_number(value) and value == value:
                ones[n] = self._one(value, hit, draw)
        return ones

    def _one(self, value: int | float, hit: Hit, draw: float) -> int | float:
        if isinstance(value, int) and not self.keeps_whole:
            try:
                value = float(value)
            except OverflowError:
                value = float("inf")
        changed = self.change(value, hit, draw)
        one: int | float = changed if isinstance(changed, int | float) else changed.item()
        return one


class RowDamage(Damage):
    """Rows move, come twice, or are gone."""

    drawn: ClassVar[bool] = False
    """Whether it wants a draw for each row; else they are zeros."""
    stays: ClassVar[bool] = False
    """Whether the row stands at its own place too, and what arrives are copies."""

    @abstractmethod
    def arrivals(self, places: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each row that is hit (a column), the places at which it or its copies arrive (rows); no rows: it is gone.

        A place of n + 0.5 is behind row n and before row n + 1.
        """


class TableDamage(Damage):
    """Other columns than there were. Whom it hits is told by `hit` (None: everybody, in every batch); no other row changes."""

    makes: ClassVar[bool] = False
    """Whether its columns are new ones."""

    @abstractmethod
    def reshaped(self, table: Table, names: tuple[str, ...], hit: NDArray[np.bool_] | None) -> dict[str, Column]:
        """All columns, as they are now."""

    @abstractmethod
    def touches(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The columns that the mask is about."""
