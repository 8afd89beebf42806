"""What a history knows of the records that were sent and received: each field of each reading, over time.

Fields aren't known beforehand: they are whatever the target's readings hold. A number that tells a time is taken as its age, a
number that only counts up tells nothing and is left out, and so are golden requests, which are nobody's.

What always holds: a record stands at its own time where it has one, else at the time it was read; nothing is drawn from what
the harness was told to inject, apart from the mask, which says what it hit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

import msgspec

from harness.history.events import MaskRead, Records
from harness.history.reader import History
from harness.report.words import NS
from harness.spec.plan import PlannedReading

EPOCH_S = 1e9
"""Numbers beyond it, close to a record's own time, are times themselves."""
CLOSE_S = 1e5
RISING = 0.98
RISING_LEAST = 8
ROUNDED = 0.011
"""Amounts may be rounded to cents on their way."""


class Point(NamedTuple):
    """A field's value in one record. `value` is None where it is missing; `hit`: the fault's mask has it."""

    t_ns: int
    value: Any
    hit: bool


class _Row(NamedTuple):
    """A record, its time, and when it was read: a label's own time is that of its payment, long before it came."""

    t_ns: int
    read_ns: int
    record: dict[str, Any]


class Field(msgspec.Struct, frozen=True):
    """A field of a reading. `sent`: the same field as the source sent it, where the target tells both."""

    reading: str
    name: str
    points: tuple[Point, ...]
    sent: tuple[Point, ...] = ()
    age: bool = False
    otherwise: tuple[bool | None, ...] = ()
    """Of each point, whether it arrived otherwise than it was sent; None where the source doesn't tell."""


class Reading(msgspec.Struct, frozen=True):
    """A reading's records by their ids, when each was read, and its fields."""

    name: str
    read_ns: tuple[int, ...]
    rows: dict[str, dict[str, Any]]
    fields: tuple[Field, ...]


def readings_of(history: History) -> list[Reading]:
    """All readings that have records, with their fields; what the source sent stands beside what was received."""
    plan, hit = history.header.plan, _hit(history)
    synthetic = _synthetic(history)
    found = {}
    for reading in plan.readings:
        rows = [row for row in _rows(history, reading) if row.record.get(reading.id) not in synthetic]
        if rows:
            found[reading.name] = _reading(reading, rows, hit)
    truth = found.get(plan.quality.truth) if plan.quality is not None else None
    if truth is not None and plan.quality is not None and plan.quality.decisions in found:
        found[plan.quality.decisions] = _beside(found[plan.quality.decisions], truth)
        received = {field.name for field in found[plan.quality.decisions].fields}
        kept = tuple(field for field in truth.fields if field.name not in received)
        found[truth.name] = msgspec.structs.replace(truth, fields=kept)
    return list(found.values())


def wrong_decisions(history: History) -> Field | None:
    """Each decision, as made at first: 1 where the truth says that it was wrong, else 0."""
    quality = history.header.plan.quality
    by_name = {reading.name: reading for reading in history.header.plan.readings}
    if quality is None or quality.decisions not in by_name or quality.truth not in by_name:
        return None
    decisions, truth = by_name[quality.decisions], by_name[quality.truth]
    label = truth.fields.get(quality.label, quality.label)
    decision = decisions.fields.get(quality.decision, quality.decision)
    labels = {row.record.get(truth.id): row.record.get(label) for row in _rows(history, truth)}
    points = tuple(
        Point(row.t_ns, int((row.record.get(decision) == quality.positive) != (labels[key] == 1)), False)
        for row in _rows(history, decisions)
        if (key := row.record.get(decisions.id)) in labels
    )
    return Field(decisions.name, "wrong", points) if points else None


def _rows(history: History, reading: PlannedReading) -> Iterator[_Row]:
    """The records of the time of the run alone."""
    header = history.header
    for event in history.events():
        if isinstance(event, Records) and event.reading == reading.name:
            for record in event.records:
                own = record.get(reading.time) if reading.time is not None else None
                t_ns = event.t_ns
                if isinstance(own, int | float) and own > EPOCH_S:
                    t_ns = min(header.t_ns + round(own * NS) - header.wall_ns, event.t_ns)
                if t_ns >= header.t_ns:
                    yield _Row(t_ns, event.t_ns, record)


def _hit(history: History) -> dict[str, frozenset[str]]:
    """The columns that were damaged, by record; none where the mask doesn't tell."""
    found: dict[str, frozenset[str]] = {}
    for event in history.events():
        if isinstance(event, MaskRead):
            columns = event.columns or [[]] * len(event.ids)
            for record, names in zip(event.ids, columns, strict=False):
                found[record] = found.get(record, frozenset()) | frozenset(names)
    return found


def damaged_fields(history: History) -> frozenset[str]:
    """The fields that faults say they damage, and those that they did."""
    named = [fault.arguments.get("column") for fault in history.header.plan.faults]
    return frozenset(str(name) for name in named if name).union(*_hit(history).values())


def _is_hit(hit: dict[str, frozenset[str]], record: Any, column: str) -> bool:
    columns = hit.get(str(record))
    return columns is not None and (not columns or column in columns)


def _synthetic(history: History) -> frozenset[Any]:
    plan = history.header.plan
    quality = plan.quality
    if quality is None or quality.synthetic is None:
        return frozenset()
    reading = next(reading for reading in plan.readings if reading.name == quality.decisions)
    field = reading.fields.get(quality.synthetic, quality.synthetic)
    return frozenset(row.record.get(reading.id) for row in _rows(history, reading) if row.record.get(field))


def _reading(reading: PlannedReading, rows: list[_Row], hit: dict[str, frozenset[str]]) -> Reading:
    rows = sorted(rows, key=lambda row: row.t_ns)
    own = [row.record.get(reading.time) if reading.time is not None else None for row in rows]
    fields = []
    for name in dict.fromkeys(name for row in rows for name in row.record):
        if name in (reading.id, reading.time):
            continue
        points = [
            Point(row.t_ns, _plain(row.record.get(name)), _is_hit(hit, row.record.get(reading.id), name))
            for row in rows
        ]
        if (ages := _ages(points, own)) is not None:
            fields.append(Field(reading.name, name, tuple(ages), age=True))
        elif not _counts_up(points):
            fields.append(Field(reading.name, name, tuple(points)))
    by_id = {str(row.record.get(reading.id)): row.record for row in rows}
    return Reading(reading.name, tuple(row.read_ns for row in rows), by_id, tuple(fields))


def _beside(received: Reading, sent: Reading) -> Reading:
    """The same fields as the source sent them, and which of them arrived otherwise, record by record."""
    by_name = {field.name: field.points for field in sent.fields}
    fields = []
    for field in received.fields:
        otherwise = tuple(_otherwise(field.name, row, sent.rows.get(record)) for record, row in received.rows.items())
        beside = by_name.get(field.name, ())
        alike = beside and len(otherwise) == len(field.points)
        fields.append(msgspec.structs.replace(field, sent=beside, otherwise=otherwise if alike else ()))
    return msgspec.structs.replace(received, fields=tuple(fields))


def _otherwise(name: str, received: dict[str, Any], sent: dict[str, Any] | None) -> bool | None:
    if sent is None or name not in sent:
        return None
    was, now = sent[name], received.get(name)
    if is_number(was) and is_number(now):
        return not math.isclose(was, now, rel_tol=1e-6, abs_tol=ROUNDED)
    return bool(was != now)


def _plain(value: Any) -> Any:
    """Lists and objects count by what they look like from afar: equal or not."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)[:60]


def is_number(value: Any) -> TypeGuard[float]:
    """Truth values are words."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ages(points: list[Point], own: list[Any]) -> list[Point] | None:
    """How long before the record's own time each value was; None where the values are no times."""
    pairs = [(p.value, t) for p, t in zip(points, own, strict=True) if is_number(p.value) and is_number(t)]
    if not pairs or any(value < EPOCH_S or abs(value - t) > CLOSE_S for value, t in pairs):
        return None
    return [
        Point(p.t_ns, t - p.value if is_number(p.value) and is_number(t) else None, p.hit)
        for p, t in zip(points, own, strict=True)
    ]


def _counts_up(points: list[Point]) -> bool:
    """A whole number that, from any record to one some way on, has nearly always grown, is a counter."""
    values = [point.value for point in points]
    if len(values) < RISING_LEAST or not all(isinstance(value, int) and is_number(value) for value in values):
        return False
    apart = len(values) // RISING_LEAST
    rising = sum(bool(b > a) for a, b in zip(values, values[apart:], strict=False))
    return rising >= RISING * (len(values) - apart)
