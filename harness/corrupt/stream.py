"""Corruptions, one behind the other, on a table that comes in batches: the same result as on the whole at once.

What a batch can't know by itself is kept between them: the rows before it (for types that look back), its place in the
input (for bursts), the rows that are late. Draws need no memory: they belong to the row. So an input may be cut anywhere.

Bounded: at most the longest look back and the rows that are late are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.corrupt import draw
from harness.corrupt.adapters import Tabular, columns_of
from harness.corrupt.arrival import Moving, arranged
from harness.corrupt.column import ABSENT, Column, Columns, Mask, Rows, changed, common, fill, missing, rows_of
from harness.corrupt.errors import CorruptionError, unknown
from harness.corrupt.hit import Hit
from harness.corrupt.mechanism.base import Place
from harness.corrupt.reference import Reference
from harness.corrupt.spec import Corruption
from harness.corrupt.table import Cause, Table, Unchanged, in_vain, joined, nobody
from harness.corrupt.types.base import CellDamage, RowDamage, TableDamage


class Stream:
    """`feed` batch by batch, then `finish`. Not for several threads at once.

    `reference` are clean rows, for corruptions that speak of quantiles. `first_ordinal` numbers the rows without ids. Raises
    CorruptionError where a corruption wants an exact share, which only a whole table can give.
    """

    def __init__(
        self,
        chain: Sequence[Corruption],
        *,
        reference: Reference | None = None,
        first_ordinal: int = 0,
        whole: bool = False,
    ) -> None:
        for corruption in chain:
            if corruption.exact and not whole:
                raise CorruptionError(
                    f"exact: {corruption.name} can't be exact on a stream, which has no whole to count"
                )
        self._steps = [_Step(corruption, reference or Reference(), first_ordinal, whole) for corruption in chain]
        self._next = first_ordinal

    def feed(self, columns: Tabular, *, ids: draw.Ids | None = None) -> Table:
        """The rows that are ready by now, with a cause for each corruption. Never changes what it is given."""
        columns = columns_of(columns)
        count = _count(columns, ids)
        numbers = range(self._next, self._next + count)
        self._next += count
        ids, placed = _drawn_by(ids, numbers)
        table = Table(columns, ids, numbers, placed=placed)
        for n in range(len(self._steps)):
            table = self._step(n, table)
        return table

    def _step(self, n: int, table: Table) -> Table:
        if len(self._steps) == 1:
            return self._steps[n].feed(table)
        try:
            return self._steps[n].feed(table)
        except CorruptionError as error:
            raise CorruptionError(f"step {n + 1}: {error.message}", hint=error.hint) from None

    def finish(self) -> Table | None:
        """The rows that were late; None where there are none."""
        table: Table | None = None
        for n, step in enumerate(self._steps):
            if table is not None:
                table = self._step(n, table)
            rest = step.rest()
            if rest is not None:
                table = rest if table is None else joined(table, rest)
        return table


class _Step:
    """`whole` says that the first batch is the last one too: no row has to wait."""

    def __init__(self, corruption: Corruption, reference: Reference, first: int, whole: bool) -> None:
        self._is = corruption
        self._reference = reference
        self._first = first
        self._whole = whole
        self._before: dict[str, Column] = {}
        self._late: Table | None = None
        self._due: np.ndarray = np.empty(0)

    def feed(self, table: Table) -> Table:
        for name in self._is.mechanism.reads:
            _there(name, table)
        damage = self._is.damage
        if isinstance(damage, RowDamage):
            out = self._rows(table, damage)
        elif isinstance(damage, TableDamage):
            out = self._columns(table, damage)
        else:
            assert isinstance(damage, CellDamage)
            out = self._cells(table, damage)
        self._first += len(table)
        return out

    def rest(self) -> Table | None:
        if self._late is None or not len(self._late):
            return None
        late = self._late.take(np.argsort(self._due, kind="stable"))
        self._late, self._due = None, np.empty(0)
        return late

    # who is hit

    def _place(self, table: Table, name: str) -> Place:
        return Place(name, table, self._reference, self._first)

    def _hit(self, place: Place, *, drawn_as: str) -> tuple[Mask, Rows]:
        mechanism, seed = self._is.mechanism, self._is.seed
        eligible = mechanism.eligible(place)
        part = mechanism.keys(place)
        if self._is.exact:
            keys = place.table.keys if part is None else part
            hit = _exactly(self._is.dose, eligible, draw.fractions(keys, seed=seed, name=drawn_as))
            return hit, rows_of(hit)
        chances = mechanism.chances(place, self._is.dose)
        if isinstance(chances, float) and part is None and place.table.ids is None:
            hit, rows = draw.below_at(place.table.numbers, chances, seed=seed, name=drawn_as)
            if eligible is None:
                return hit, rows
            return np.logical_and(hit, eligible, out=hit), rows[eligible.take(rows)]
        keys = place.table.keys if part is None else part
        if not isinstance(chances, float):
            hit = draw.fractions(keys, seed=seed, name=drawn_as) < chances
        else:
            hit = draw.below(keys, chances, seed=seed, name=drawn_as)
            placed = place.table.placed
            if part is None and placed is not None:
                hit[placed], _ = draw.below_at(place.table.ordinals[placed], chances, seed=seed, name=drawn_as)
        if eligible is not None:
            hit &= eligible
        return hit, rows_of(hit)

    # what happens to it

    def _cells(self, table: Table, damage: CellDamage) -> Table:
        out: dict[str, Column] = dict(table.columns)
        cells: dict[str, Mask] = {}
        spared = 0
        vain: Mapping[str, Unchanged] = {}
        shared: tuple[Mask, Rows] | None = None  # drawn once for all columns, where it is the row that is hit
        for n, name in enumerate(self._is.columns, 1):
            _there(name, table)
            place = self._place(table, name)
            if damage.per_value or self._is.mechanism.of_cell:
                hit, rows = self._hit(place, drawn_as=name if damage.per_value else "")
                out[name], cells[name], unchanged = self._one(table, damage, name, hit, rows)
            else:
                if shared is None:
                    shared = self._hit(place, drawn_as="")
                is_last = n == len(self._is.columns)  # its mask may be the one that was drawn
                mask = shared[0] if is_last else shared[0].copy()
                out[name], cells[name], unchanged = self._one(table, damage, name, mask, shared[1])
            vain = in_vain(vain, unchanged)
            spared += self._is.mechanism.undecided(place)
        self._remember(table, damage.lag)
        return self._told(table, out, Cause(self._is.name, cells, nobody(len(table)), _NOTHING, spared, vain))

    def _one(
        self, table: Table, damage: CellDamage, name: str, mask: Mask, rows: Rows
    ) -> tuple[Column, Mask, Mapping[str, Unchanged]]:
        """The damaged column; of `mask`, which says who is hit, what really became another value is left; and what didn't."""
        column = table.columns[name]
        wanted = self._wanted(table, damage, name)
        vain: Mapping[str, Unchanged] = {}
        kept = np.empty(column.shape, wanted)
        for here in _copied(column, kept, rows, name=name):
            hit = Hit(name, here, table, self._before, self._reference, self._is.seed, self._is.columns, self._first)
            after = damage.values(hit).astype(wanted, copy=False)
            different = changed(hit.values, after)
            if not different.all():
                # What says the same stays to the bit (a NaN may have a sign), and is written back: picking out those that
                # differ takes three times as long where they are every other one, by chance.
                mask[here] = different
                vain = in_vain(vain, _unchanged(name, hit.values, ~different))
                after = np.where(different, after, hit.values.astype(wanted, copy=False))
            kept[here] = after
        return kept, mask, vain

    def _wanted(self, table: Table, damage: CellDamage, name: str) -> np.dtype[Any]:
        """What the column becomes: it must hold what comes from elsewhere, too."""
        wanted = damage.dtype(table.columns[name], name=name)
        for other in damage.borrows(name, self._is.columns):
            _there(other, table)
            wanted = common(wanted, table.columns[other].dtype)
        if damage.lag and name in self._before:
            wanted = common(wanted, self._before[name].dtype)
        return wanted

    def _remember(self, table: Table, lag: int) -> None:
        if not lag:
            return
        for name in self._is.columns:
            column = table.columns[name]
            old = self._before.get(name)
            self._before[name] = (column if old is None else np.concatenate([old, column]))[-lag:].copy()

    def _columns(self, table: Table, damage: TableDamage) -> Table:
        for name in self._is.columns:
            if not damage.makes:
                _there(name, table)
        hit, _ = self._hit(self._place(table, ""), drawn_as="")
        everybody = self._is.dose >= 1 and self._is.mechanism.everybody
        out = damage.reshaped(table, self._is.columns, None if everybody else hit)
        cells = {
            name: changed(table.columns[name], out[name])
            if name in table.columns and name in out
            else hit & _had(table.columns[name] if name in table.columns else out[name])
            for name in damage.touches(self._is.columns)
        }
        return self._told(table, out, Cause(self._is.name, cells, nobody(len(table)), _NOTHING))

    def _told(self, table: Table, columns: Columns, cause: Cause) -> Table:
        return replace(table, columns=columns, causes=(*table.causes, cause))

    def _rows(self, table: Table, damage: RowDamage) -> Table:
        place = self._place(table, "")
        is_hit, hit = self._hit(place, drawn_as="")
        given = Hit("", hit, table, {}, self._reference, self._is.seed, (), self._first)
        draws = given.fractions("row") if damage.drawn else np.zeros(len(hit))
        arrivals = damage.arrivals(hit + self._first, draws)
        due = arrivals.T.ravel()  # the copies of a row side by side: nearly sorted
        new = Moving(due, np.repeat(hit, len(arrivals)))
        dropped = table.ordinals_of(hit) if not len(arrivals) else _NOTHING
        cause = Cause(self._is.name, {}, nobody(len(table)), dropped, self._is.mechanism.undecided(place))
        arrived = self._told(table, table.columns, cause)
        end = np.inf if self._whole else self._first + len(table) - 1 + 0.25
        late, new, arrived = self._waited(arrived, new, end)
        moving = late.then(new)
        leaving = hit[:0] if damage.stays else hit
        if len(moving.due) or not len(leaving):
            order, at = arranged(leaving, count=len(table), first=self._first, moving=moving)
        else:  # some are gone, none comes: numpy's own search is faster than counting
            order, at = np.flatnonzero(~is_hit), hit[:0]
        out = arrived.take(order)
        out.causes[-1].rows[at] = True
        return out

    def _waited(self, arrived: Table, new: Moving, end: float) -> tuple[Moving, Moving, Table]:
        """Of the rows that are late, and of new ones, those that arrive until `end`; the others wait from now on. The table has
        those that were late behind the batch's own rows."""
        count, waits = len(arrived), new.due > end
        late = Moving(np.empty(0), np.empty(0, dtype=np.intp))
        still = arrived.take(new.rows[waits])
        still.causes[-1].rows[:] = True
        still = replace(still, causes=tuple(cause.told() for cause in still.causes))
        due = new.due[waits]
        if self._late is not None and len(self._late):
            ready = np.flatnonzero(self._due <= end)
            late = Moving(self._due[ready], count + np.arange(len(ready)))
            arrived = joined(arrived, self._late.take(ready)) if len(ready) else arrived
            waiting = np.flatnonzero(self._due > end)
            still, due = joined(self._late.take(waiting), still), np.concatenate([self._due[waiting], due])
        self._late, self._due = still, due
        return late, new.take(~waits), arrived


_BLOCK = 32_768
"""Cells that are damaged at once: what a million need meanwhile would be new memory, which costs more than the work."""
_NOTHING = np.empty(0, dtype=np.int64)
_NEAR = 262_144
"""Rows that are copied at once, and damaged while the cache still has them. Fewer would cost more in calls than it saves."""


def _copied(column: Column, kept: Column, rows: Rows, *, name: str) -> Iterator[Rows]:
    """The rows that are hit, part by part, as soon as theirs of the column are copied."""
    starts = range(0, len(column), _NEAR)
    ends = np.searchsorted(rows, [start + _NEAR for start in starts]).tolist()
    done = 0
    for start, end in zip(starts, ends, strict=True):
        fill(kept[start : start + _NEAR], column[start : start + _NEAR], name=name, first=start)
        yield from _parts(rows[done:end])
        done = end


def _parts(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]


def _unchanged(name: str, values: Column, same: Mask) -> Mapping[str, Unchanged]:
    if values.dtype == object:  # these are looked at one by one
        values = values[same]
        known = ~missing(values)
    else:
        known = same & ~missing(values)
    count = int(np.count_nonzero(known))
    return {name: Unchanged(count, values[known.argmax() :][:1].tolist()[0])} if count else {}


def _had(column: Column) -> Mask:
    """Which rows have the field at all: what isn't there can't go, or come twice."""
    if column.dtype != object:
        return np.ones(len(column), dtype=bool)
    return np.array([value is not ABSENT for value in column.tolist()], dtype=bool)


def _drawn_by(ids: draw.Ids | None, numbers: range) -> tuple[draw.Ids | None, Mask | None]:
    """Rows whose id is missing (or is a list or an object, which is none) are drawn by their place."""
    if ids is None or (isinstance(ids, np.ndarray) and ids.dtype != object):
        return ids, None
    listed = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    placed = np.array([one is None or one is ABSENT or isinstance(one, dict | list) for one in listed], dtype=bool)
    if not placed.any():
        return listed, None
    if placed.all():
        return None, None
    return [numbers[n] if placed[n] else one for n, one in enumerate(listed)], placed


def _exactly(dose: float, eligible: Mask | None, fractions: draw.Fractions) -> Mask:
    """The share of those eligible that the dose says, to the row: those with the smallest draws."""
    who = np.arange(len(fractions)) if eligible is None else np.flatnonzero(eligible)
    wanted = round(dose * len(who))
    hit = np.zeros(len(fractions), dtype=bool)
    hit[who[np.argsort(fractions[who], kind="stable")[:wanted]]] = True
    return hit


def _there(name: str, table: Table) -> None:
    if name not in table.columns:
        raise unknown("columns", name, known=[one for one in table.columns if not one.startswith("\x00")])


def _count(columns: Columns, ids: draw.Ids | None) -> int:
    lengths = {name: len(column) for name, column in columns.items()}
    if ids is not None:
        lengths["ids"] = len(ids)
    if len(set(lengths.values())) > 1:
        raise CorruptionError(f"columns: lengths differ: {lengths}")
    return next(iter(lengths.values()), 0)
