"""Corruptions, one behind the other, on a table that comes in batches: the same result as on the whole at once.

What a batch can't know by itself is kept between them: the rows before it (for types that look back), its place in the
input (for bursts), the rows that are late. Draws need no memory: they belong to the row. So an input may be cut anywhere.

Bounded: at most the longest look back and the rows that are late are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.corrupt import draw
from harness.corrupt.adapters import Tabular, columns_of
from harness.corrupt.column import ABSENT, Column, Columns, Mask, Rows, changed, widened
from harness.corrupt.damage.base import CellDamage, RowDamage, TableDamage
from harness.corrupt.errors import CorruptionError, unknown
from harness.corrupt.hit import Hit
from harness.corrupt.mechanism.base import Place
from harness.corrupt.reference import Reference
from harness.corrupt.spec import Corruption
from harness.corrupt.table import Cause, Ordinals, Table, joined


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
        self._steps = [_Step(corruption, reference or Reference(), first_ordinal) for corruption in chain]
        self._next = first_ordinal

    def feed(self, columns: Tabular, *, ids: draw.Ids | None = None) -> Table:
        """The rows that are ready by now, with a cause for each corruption. Never changes what it is given."""
        columns = columns_of(columns)
        count = _count(columns, ids)
        ordinals = draw.ordinals(count, first=self._next)
        self._next += count
        ids, placed = _drawn_by(ids, ordinals)
        table = Table(columns, ids, ordinals, placed=placed, consecutive=True)
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
    def __init__(self, corruption: Corruption, reference: Reference, first: int) -> None:
        self._is = corruption
        self._reference = reference
        self._first = first
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

    def _hit(self, place: Place, *, drawn_as: str) -> Mask:
        mechanism, seed = self._is.mechanism, self._is.seed
        eligible = mechanism.eligible(place)
        part = mechanism.keys(place)
        keys = place.table.keys if part is None else part
        if self._is.exact:
            return _exactly(self._is.dose, eligible, draw.fractions(keys, seed=seed, name=drawn_as))
        chances = mechanism.chances(place, self._is.dose)
        if not isinstance(chances, float):
            hit: Mask = draw.fractions(keys, seed=seed, name=drawn_as) < chances
        elif part is None and place.table.ids is None:
            hit = draw.below_at(
                place.table.ordinals, chances, seed=seed, name=drawn_as, consecutive=place.table.consecutive
            )
        else:
            hit = draw.below(keys, chances, seed=seed, name=drawn_as)
            placed = place.table.placed
            if part is None and placed is not None:
                hit[placed] = draw.below_at(place.table.ordinals[placed], chances, seed=seed, name=drawn_as)
        return hit if eligible is None else np.logical_and(hit, eligible, out=hit)

    # what happens to it

    def _cells(self, table: Table, damage: CellDamage) -> Table:
        out: dict[str, Column] = dict(table.columns)
        cells: dict[str, Mask] = {}
        spared = 0
        shared: Mask | None = None  # drawn once for all columns, where it is the row that is hit
        for name in self._is.columns:
            _there(name, table)
            place = self._place(table, name)
            if damage.per_value or self._is.mechanism.of_cell:
                hit = self._hit(place, drawn_as=name if damage.per_value else "")
            else:
                shared = hit = self._hit(place, drawn_as="") if shared is None else shared
            out[name], cells[name] = self._one(table, damage, name, np.flatnonzero(hit))
            spared += self._is.mechanism.undecided(place)
        self._remember(table, damage.lag)
        return self._told(table, out, Cause(self._is.name, cells, np.zeros(len(table), bool), _NOTHING, spared))

    def _one(self, table: Table, damage: CellDamage, name: str, rows: Rows) -> tuple[Column, Mask]:
        column = table.columns[name]
        wanted = damage.dtype(column, name=name)
        kept = column.copy() if wanted == column.dtype else widened(column, wanted, name=name)
        mask = np.zeros(len(column), dtype=bool)
        if len(rows):
            hit = Hit(name, rows, table, self._before, self._reference, self._is.seed, self._is.columns, self._first)
            after = damage.values(hit).astype(wanted, copy=False)
            different = changed(hit.values, after)
            if not different.all():  # what says the same stays to the bit: a NaN may have a sign
                rows, after = rows[different], after[different]
            kept[rows] = after
            mask[rows] = True
        return kept, mask

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
        hit = self._hit(self._place(table, ""), drawn_as="")
        everybody = self._is.dose >= 1 and self._is.mechanism.everybody
        out = damage.reshaped(table, self._is.columns, None if everybody else hit)
        cells = {
            name: changed(table.columns[name], out[name]) if name in table.columns and name in out else hit.copy()
            for name in damage.touches(self._is.columns)
        }
        return self._told(table, out, Cause(self._is.name, cells, np.zeros(len(table), bool), _NOTHING))

    def _told(self, table: Table, columns: Columns, cause: Cause) -> Table:
        return replace(table, columns=columns, causes=(*table.causes, cause))

    def _rows(self, table: Table, damage: RowDamage) -> Table:
        place = self._place(table, "")
        hit = np.flatnonzero(self._hit(place, drawn_as=""))
        places = place.places
        hit_keys = Hit("", hit, table, {}, self._reference, self._is.seed, (), self._first)
        arrivals = damage.arrivals(places[hit], hit_keys.fractions("row"))
        stays = np.setdiff1d(np.arange(len(table)), hit, assume_unique=True)
        rows = np.concatenate([stays, *([hit] * len(arrivals))])
        due = np.concatenate([places[stays].astype(np.float64), arrivals.ravel()])
        moved = due != places[rows]
        dropped = table.ordinals[hit] if not len(arrivals) else _NOTHING
        cause = Cause(self._is.name, {}, np.zeros(len(table), bool), dropped, self._is.mechanism.undecided(place))
        arrived = self._told(table, table.columns, cause).take(rows)
        own = arrived.causes[-1]
        arrived = replace(arrived, causes=(*arrived.causes[:-1], replace(own, rows=moved)))
        if self._late is not None and len(self._late):
            arrived = joined(self._late, arrived)
            due = np.concatenate([self._due, due])
        ready = due <= self._first + len(table) - 1 + 0.25
        order = np.flatnonzero(ready)[np.argsort(due[ready], kind="stable")]
        waiting = np.flatnonzero(~ready)
        late = arrived.take(waiting)
        self._late = replace(late, causes=tuple(cause.told() for cause in late.causes))
        self._due = due[waiting]
        return arrived.take(order)


_NOTHING = np.empty(0, dtype=np.int64)


def _drawn_by(ids: draw.Ids | None, ordinals: Ordinals) -> tuple[draw.Ids | None, Mask | None]:
    """Rows whose id is missing (or is a list or an object, which is none) are drawn by their place."""
    if ids is None or (isinstance(ids, np.ndarray) and ids.dtype != object):
        return ids, None
    listed = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    placed = np.array([one is None or one is ABSENT or isinstance(one, dict | list) for one in listed], dtype=bool)
    if not placed.any():
        return listed, None
    if placed.all():
        return None, None
    return [int(ordinals[n]) if placed[n] else one for n, one in enumerate(listed)], placed


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
