"""`damage`: a whole table (or one batch of it), a corruption or several, and the rows' ids, to damaged copies and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.corrupt import draw
from harness.corrupt.adapters import Tabular
from harness.corrupt.column import Column, Mask
from harness.corrupt.reference import Reference
from harness.corrupt.spec import Corruption
from harness.corrupt.stream import Stream
from harness.corrupt.table import Cause, Ordinals, Table, joined, written_out


@dataclass(frozen=True)
class Damaged:
    """All columns (those that weren't to be damaged are the caller's own), and what was done to them.

    `masks` say, for each damaged column, which cells became others, whatever the cause; `causes` say it one by one.
    `ordinals` are the places in the input of the rows that are there now (`numbers`: a range where none moved).
    """

    columns: Mapping[str, Column]
    masks: Mapping[str, Mask]
    causes: tuple[Cause, ...]
    numbers: range | Ordinals

    @cached_property
    def ordinals(self) -> Ordinals:
        return written_out(self.numbers)

    @property
    def records(self) -> Mask:
        """Which rows were damaged in any way."""
        any_way = np.zeros(len(self.numbers), dtype=bool)
        for cause in self.causes:
            any_way |= cause.touched
        return any_way

    @property
    def hits(self) -> int:
        """How many rows were damaged, moved, copied or lost: 0 where the corruption hit nothing."""
        return int(self.records.sum()) + sum(len(cause.dropped) for cause in self.causes)


def damage(
    columns: Tabular,
    corruption: Corruption | Sequence[Corruption],
    *,
    ids: draw.Ids | None = None,
    first_ordinal: int = 0,
    reference: Reference | None = None,
) -> Damaged:
    """`columns` is a mapping of names to arrays, a structured array or an Arrow table. Never
    changes what it is given. Without `ids`, rows are numbered on from `first_ordinal`.

    Raises CorruptionError where a column is missing, lengths differ, or a column can't be damaged so.
    """
    chain = (corruption,) if isinstance(corruption, Corruption) else tuple(corruption)
    stream = Stream(chain, reference=reference, first_ordinal=first_ordinal, whole=True)
    table = stream.feed(columns, ids=ids)
    rest = stream.finish()
    return told(table if rest is None else joined(table, rest))


def told(table: Table) -> Damaged:
    """A batch that came out of a `Stream`, as `damage` tells it."""
    masks: dict[str, Mask] = {}
    for cause in table.causes:
        for name, mask in cause.cells.items():
            masks[name] = mask if name not in masks else masks[name] | mask
    return Damaged(table.columns, masks, table.causes, table.numbers)
