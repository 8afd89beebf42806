"""What every tap uses, whatever its records came in: rows and their ids in, damaged values out, the mask, the counts.

A tap parses what it holds into rows (a mapping of column names to values each) and their ids, asks `hits`, writes the
hits' values into what it holds, and tells `wrote` which of them it could write. Two steps, because the mask is the
receipt of the damage done: a value that can't be written validly in its format is not damage, and not in the mask.

The draw of a record belongs to (seed, id), or to its ordinal in this tap where it has no id: how records are split
into calls changes nothing.

This module doesn't load numpy; the `Damage` that it is given does (`harness.proxy.tap.damage.damage_of`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.proxy.tap.masklog import MaskLog

Columns = Mapping[str, list[object]]

ROW_TYPES = ("drop", "duplicate")
"""The types of damage that take whole records away or deliver them again, and hold none back: those that a tap can do."""


FIELD_TYPES = ("renamed", "absent")
"""The types of damage that take a field out of a record, or give it another name: those that a tap can do."""


@dataclass(frozen=True)
class Gone:
    """In place of a value: the record has no such field any more."""


@dataclass(frozen=True)
class Moved:
    """In place of a value: what stood under that name, to the letter."""

    name: str


@dataclass(frozen=True)
class Outcome:
    """What a damage did to a batch, in Python's own types: the damaged columns with their masks, or, of records that were
    dropped or doubled, how often they are there now (0: not at all) by their position. `cause` is what did it."""

    columns: Mapping[str, list[object]]
    masks: Mapping[str, list[bool]]
    times: Mapping[int, int] = field(default_factory=dict)
    cause: str = ""


Damage = Callable[[Columns, list[object], int], Outcome]
"""(columns, the records' ids, the place of the first in its tap)."""


class Undamageable(Exception):  # noqa: N818 - an answer, not a failure: the records pass unharmed and are counted
    """Such columns can't be damaged so."""


@dataclass(frozen=True)
class Hit:
    """A record that the damage changed: its position among the rows given, its id, its new values by column; or, with no
    values, that it is to be there `times` times, by what `cause`."""

    row: int
    id: object
    values: dict[str, object]
    times: int = 1
    cause: str = ""

    @property
    def told(self) -> tuple[str, ...]:
        """What the mask says of it: its columns, or what befell the whole record."""
        return tuple(self.values) or (self.cause,)


class Damaging:
    """`columns` are those that the damage reads or changes; rows need have no others."""

    def __init__(self, columns: tuple[str, ...], damage: Damage, log: MaskLog) -> None:
        self.columns = columns
        self._damage = damage
        self.log = log
        self.records = 0
        self.records_damaged = 0

    def hits(self, rows: Sequence[Mapping[str, object]], ids: Sequence[object]) -> list[Hit]:
        """Counts the rows as seen; changes nothing. An id of None, a list or an object is none: drawn by ordinal.

        Raises Undamageable where the damage can't be done to such columns; that is the caller's to count.
        """
        if not rows:
            return []
        first = self.records
        self.records += len(rows)
        outcome = self._damage({n: [row.get(n) for row in rows] for n in self.columns}, list(ids), first)
        if outcome.times:
            return [Hit(n, ids[n], {}, times, outcome.cause) for n, times in sorted(outcome.times.items())]
        by_row: dict[int, dict[str, object]] = {}
        for column, mask in outcome.masks.items():
            values = outcome.columns[column]
            for n, hit in enumerate(mask):
                if hit:
                    by_row.setdefault(n, {})[column] = values[n]
        return [Hit(n, ids[n], by_row[n]) for n in sorted(by_row)]

    def wrote(self, hits: Sequence[Hit]) -> None:
        """These are really in what goes on: into the mask and the counts."""
        t_ns = time.monotonic_ns()
        for hit in hits:
            self.log.write(hit.id, hit.told, t_ns)
        self.records_damaged += len(hits)

    @staticmethod
    def unwritten(hits: Sequence[Hit], written: Sequence[Hit]) -> int:
        """How many values, or whole records, couldn't be written."""
        return sum(len(hit.told) for hit in hits) - sum(len(hit.told) for hit in written)

    def counters(self) -> dict[str, object]:
        return {
            "records": self.records,
            "records_damaged": self.records_damaged,
            "mask_next": self.log.written,
            "mask_dropped": self.log.dropped,
        }
