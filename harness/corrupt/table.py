"""Rows on their way through a chain of corruptions: the columns, who each row is, and what was done to it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.column import Column, Columns, Mask, Rows, taken
from harness.corrupt.draw import Ids

Ordinals = NDArray[np.int64]


class Unchanged(NamedTuple):
    """Cells that were chosen and stayed what they were: text that was to be scaled, a zero times hundred. Gaps aren't counted."""

    cells: int
    example: object
    """The value of the first."""


@dataclass(frozen=True)
class Cause:
    """What one corruption did: which cells became others, which rows were moved or copied, which are gone.

    `cells` has a mask per damaged column, and `rows` one mask, both over the rows that are there; `dropped` are the ordinals
    of those that aren't. `spared` counts rows that were to be hit and passed as they were, because what the damage needs (a
    row before the first) isn't there. `unchanged` says by column how many cells were chosen in vain: where these are many, the
    column isn't what the damage takes it for.
    """

    name: str
    cells: Mapping[str, Mask]
    rows: Mask
    dropped: Ordinals
    spared: int = 0
    unchanged: Mapping[str, Unchanged] = field(default_factory=dict)

    @property
    def touched(self) -> Mask:
        """Which rows it changed in any way."""
        any_way = self.rows.copy()
        for mask in self.cells.values():
            any_way |= mask
        return any_way

    def told(self) -> Cause:
        """As it is for rows that wait, when what is gone was told of already."""
        return replace(self, dropped=self.dropped[:0], spared=0, unchanged={})

    def take(self, rows: Rows) -> Cause:
        of_rows = (
            np.zeros(len(rows), dtype=bool) if self.rows.strides == (0,) else taken(self.rows, rows)
        )  # see `nobody`
        return replace(self, cells={name: taken(mask, rows) for name, mask in self.cells.items()}, rows=of_rows)


@dataclass(frozen=True)
class Table:
    """`ids` are what each row is drawn by; None: by its place. `numbers` are the rows' places in the input, counted from 0 over
    all batches: a range where each is known to be one more than that before it, which spares eight bytes a row."""

    columns: Columns
    ids: Ids | None
    numbers: range | Ordinals
    causes: tuple[Cause, ...] = ()
    placed: Mask | None = None
    """Which rows have no id although others have one: these too are drawn by their place, and `ids` has that."""

    @cached_property
    def ordinals(self) -> Ordinals:
        return written_out(self.numbers)

    @property
    def keys(self) -> Ids:
        """What a draw of a row belongs to."""
        return self.ordinals if self.ids is None else self.ids

    def __len__(self) -> int:
        return len(self.numbers)

    def keys_of(self, rows: Rows) -> Ids:
        """The same of some rows."""
        return self.ordinals_of(rows) if self.ids is None else _taken(self.ids, rows)

    def ordinals_of(self, rows: Rows) -> Ordinals:
        if not isinstance(self.numbers, range):
            return taken(self.numbers, rows)
        if not self.numbers.start:  # a row's number is its ordinal: eight new bytes a row are spared
            return rows.astype(np.int64, copy=False)
        return rows + self.numbers.start

    def take(self, rows: Rows) -> Table:
        return Table(
            {name: taken(column, rows) for name, column in self.columns.items()},
            None if self.ids is None else _taken(self.ids, rows),
            self.ordinals_of(rows),
            tuple(cause.take(rows) for cause in self.causes),
            None if self.placed is None else taken(self.placed, rows),
        )


def nobody(count: int) -> Mask:
    """A mask of no row, which takes no memory and can't be written to."""
    return np.broadcast_to(np.False_, count)


def written_out(numbers: range | Ordinals) -> Ordinals:
    return np.arange(numbers.start, numbers.stop, dtype=np.int64) if isinstance(numbers, range) else numbers


def joined(one: Table, other: Table) -> Table:
    """The rows of both, and what was done to either."""
    causes = tuple(
        replace(
            later,
            cells={name: np.concatenate([cause.cells[name], mask]) for name, mask in later.cells.items()},
            rows=np.concatenate([cause.rows, later.rows]),
            dropped=np.concatenate([cause.dropped, later.dropped]),
            spared=cause.spared + later.spared,
            unchanged=in_vain(cause.unchanged, later.unchanged),
        )
        for cause, later in zip(one.causes, other.causes, strict=True)
    )
    columns: dict[str, Column] = {
        name: np.concatenate([one.columns[name], column]) for name, column in other.columns.items()
    }
    ids = None if one.ids is None or other.ids is None else _joined_ids(one.ids, other.ids)
    ordinals = np.concatenate([one.ordinals, other.ordinals])
    return Table(columns, ids, ordinals, causes, _joined_placed(one, other))


def in_vain(one: Mapping[str, Unchanged], other: Mapping[str, Unchanged]) -> Mapping[str, Unchanged]:
    """Of both together."""
    both = dict(one)
    for name, (cells, example) in other.items():
        known = both.get(name)
        both[name] = Unchanged(cells, example) if known is None else Unchanged(known.cells + cells, known.example)
    return both


def _taken(ids: Ids, rows: Rows) -> Ids:
    return taken(ids, rows) if isinstance(ids, np.ndarray) else [ids[row] for row in rows.tolist()]


def _joined_ids(one: Ids, other: Ids) -> Ids:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.concatenate([one, other])
    both: Sequence[object] = [*one, *other]
    return both


def _joined_placed(one: Table, other: Table) -> Mask | None:
    if one.placed is None and other.placed is None:
        return None
    parts = [np.zeros(len(part), dtype=bool) if part.placed is None else part.placed for part in (one, other)]
    return np.concatenate(parts)
