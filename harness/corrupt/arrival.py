"""In what order rows stand after some of them were moved, copied or taken away.

Most rows stay where they are, so they aren't sorted: only those that move are, and each finds its place among the others by
counting. Sorting all of them by when they arrive took five times as long; sorting those that move among those that leave took
longer than counting too, from a twentieth of the rows on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.column import Mask, Rows


@dataclass(frozen=True)
class Moving:
    """Rows, or copies of some, that stand elsewhere than at their own place: when each arrives, and from which row it is."""

    due: NDArray[np.float64]
    rows: Rows

    def take(self, which: Mask) -> Moving:
        return self if which.all() else Moving(self.due[which], self.rows[which])

    def then(self, other: Moving) -> Moving:
        if not len(self.due):
            return other
        return Moving(np.concatenate([self.due, other.due]), np.concatenate([self.rows, other.rows]))


_MOVING = 32
"""Two counts in one sum: rows that leave in the lower bits, rows of `moving` in the bits from here."""


def arranged(leaving: Rows, *, count: int, first: int, moving: Moving) -> tuple[Rows, Rows]:
    """The rows in their order, and the places at which there is one of `moving`.

    Of a batch of `count` from place `first` on, all rows stay but those `leaving`, which are sorted. Of those that arrive at
    once, who moves is first, and these stand as they do in `moving`.
    """
    by_due = np.argsort(moving.due, kind="stable")
    below = np.clip(np.ceil(moving.due.take(by_due)) - first, 0, count).astype(np.intp)
    at, skipped = _met(leaving, below, count)
    # Each row is the one after the row before it, but where one moved in (no step) or left (one more). Added up, that is the
    # order in half the time that it takes to write the rows that stay between those that moved.
    steps = np.ones(count + len(at) - len(leaving) + 1, dtype=np.intp)
    steps[0] = 0
    np.subtract.at(steps, at, 1)
    np.add.at(steps, skipped, 1)
    rows = np.cumsum(steps, out=steps)[:-1]
    rows[at] = moving.rows.take(by_due)
    return rows, at


def _met(leaving: Rows, below: Rows, count: int) -> tuple[Rows, Rows]:
    """Where in the new order the rows stand that moved in `below` so many, and where those that left would have stood."""
    at = np.arange(len(below))
    at += below
    if not len(leaving):
        return at, leaving
    before = np.zeros(count + 1, dtype=np.int64)
    np.add.at(before, leaving + 1, 1)
    np.add.at(before, below, 1 << _MOVING)
    np.cumsum(before, out=before)
    at -= before.take(below) & ((1 << _MOVING) - 1)
    skipped = before.take(leaving)
    skipped >>= _MOVING
    skipped += leaving
    skipped -= np.arange(len(leaving))
    return at, skipped
