"""`damage`: the columns, a corruption, and the records' ids, to damaged copies and masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.corrupt import draw
from harness.corrupt.column import Column, Mask, changed
from harness.corrupt.errors import CorruptionError, unknown
from harness.corrupt.spec import Corruption


@dataclass(frozen=True)
class Damaged:
    """All columns (those that weren't to be damaged are the caller's own), and a mask for each that was."""

    columns: Mapping[str, Column]
    masks: Mapping[str, Mask]

    @property
    def records(self) -> Mask:
        """Which records were damaged in any column."""
        any_column: Mask = np.logical_or.reduce(list(self.masks.values()))
        return any_column


def damage(
    columns: Mapping[str, Column], corruption: Corruption, *, ids: draw.Ids | None = None, first_ordinal: int = 0
) -> Damaged:
    """Never changes what it is given. Without `ids`, records are numbered on from `first_ordinal`.

    Raises CorruptionError where a column is missing, lengths differ, or a column can't be damaged so.
    """
    count = _count(columns, corruption, ids)
    keys = draw.ordinals(count, first=first_ordinal) if ids is None else ids
    eligible = corruption.mechanism.eligible(columns, count=count)
    out: dict[str, Column] = dict(columns)
    masks: dict[str, Mask] = {}
    for name in corruption.columns:
        drawn_as = name if corruption.damage.per_value else ""
        hit = eligible & (draw.fractions(keys, seed=corruption.seed, name=drawn_as) < corruption.dose)
        out[name], masks[name] = _one(columns[name], corruption, hit, name=name)
    return Damaged(out, masks)


def _one(column: Column, corruption: Corruption, hit: Mask, *, name: str) -> tuple[Column, Mask]:
    worst = corruption.damage.damaged(column, name=name)
    if worst.dtype != column.dtype:
        kept = column.astype(worst.dtype)  # also where nothing is hit: a batch's type must not depend on the draw
    else:
        kept = column.copy()
    kept[hit] = worst[hit]
    return kept, hit & changed(column, kept)


def _count(columns: Mapping[str, Column], corruption: Corruption, ids: draw.Ids | None) -> int:
    for name in corruption.reads:
        if name not in columns:
            raise unknown("columns", name, known=columns)
    lengths = {name: len(column) for name, column in columns.items()}
    if ids is not None:
        lengths["ids"] = len(ids)
    if len(set(lengths.values())) > 1:
        raise CorruptionError(f"columns: lengths differ: {lengths}")
    return next(iter(lengths.values()), 0)
