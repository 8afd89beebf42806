"""Which fields moved: the time before the fault against the time in which it was active, field by field.

The same question to every field of every reading, so that a picture shows what a fault really touched and nobody has to know it
beforehand: how far apart are the values before and during, beyond what chance does to so few? Of a number that is the distance of
Kolmogorov and Smirnov, of words the shares that changed; and, of both, the share that is missing or is no number any more.

What always holds: the field that the fault names stands first, moved or not; then by how far they moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from harness.measure.shift import chance, distance, variation
from harness.report.leaf.records import Field, Point, Reading, is_number
from harness.report.series import Stretch
from harness.report.words import NS

SHOWN_MAX = 4
LATENCY = "latency"
OF_ONE_READING_MAX = 3
WORDS_MAX = 40
NUMBERS_LEAST = 0.5
OTHERWISE_LEAST = 0.01
RATE_LEAST = 0.2
ERRORS = 3
"""Counts vary by the root of themselves; three times that is no accident."""
LEAST = 3


class Form(StrEnum):
    """How a change is drawn: numbers as dots, words as shares, records as how many there are a second."""

    NUMBER = "number"
    WORDS = "words"
    RATE = "rate"


MOVED_LEAST = {Form.NUMBER: 0.18, Form.WORDS: 0.04, Form.RATE: 0.1}
"""Numbers such as latencies wander by themselves, and more than chance would have it: their neighbours are like them."""


class Change(msgspec.Struct, frozen=True):
    """A field before and during the fault. `far`: how far it moved beyond chance, 0 to 1."""

    field: Field
    form: Form
    before: tuple[Point, ...]
    during: tuple[Point, ...]
    far: float
    otherwise: tuple[float, float] | None = None
    """The share that arrived otherwise than it was sent, before and during; None where the source doesn't tell."""


def changes(
    readings: Iterable[Reading], *, damaged: frozenset[str], slow: bool, before: Stretch, during: Stretch
) -> list[Change]:
    """What moved, farthest first, after the fields that the fault damages; a few of them.

    What a request takes wanders with the machine: it counts only where the objective on latency was missed (`slow`).
    """
    told = [
        change
        for reading in readings
        for change in [
            *(
                compared(field, before=before, during=during)
                for field in reading.fields
                if slow or LATENCY not in field.name
            ),
            _rate(reading, before=before, during=during),
        ]
        if change is not None and (_has_moved(change) or _is_damaged(change, damaged))
    ]
    told.sort(key=lambda change: (not _is_damaged(change, damaged), -change.far))
    chosen: list[Change] = []
    for change in told:
        same = sum(one.field.reading == change.field.reading for one in chosen)
        if len(chosen) < SHOWN_MAX and same < OF_ONE_READING_MAX and not _told_already(change, chosen):
            chosen.append(change)
    return chosen


def _told_already(change: Change, chosen: Iterable[Change]) -> bool:
    """Whether a word for word translation of it is shown already, as an error's text is of `failed`."""
    for other in chosen:
        if other.field.reading == change.field.reading and other.form is change.form is Form.WORDS:
            pairs = {
                (str(a.value), str(b.value)) for a, b in zip(change.field.points, other.field.points, strict=False)
            }
            if len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs):
                return True
    return False


def _has_moved(change: Change) -> bool:
    was, now = change.otherwise or (0.0, 0.0)
    return change.far >= MOVED_LEAST[change.form] or abs(now - was) >= OTHERWISE_LEAST


def _is_damaged(change: Change, damaged: frozenset[str]) -> bool:
    return change.form is not Form.RATE and change.field.name in damaged


def compared(field: Field, *, before: Stretch, during: Stretch) -> Change | None:
    """None where there is too little to compare, or too much for people to look at."""
    was, now = _within(field.points, before), _within(field.points, during)
    if len(was) < LEAST or len(now) < LEAST:
        return None
    otherwise = _otherwise(field, before, during)
    apart = abs(otherwise[0] - otherwise[1]) if otherwise is not None else 0.0
    numbers = [point.value for point in was if is_number(point.value)]
    if len(numbers) >= NUMBERS_LEAST * len(was) and len(set(numbers)) > 2:
        later = [point.value for point in now if is_number(point.value)]
        far = distance(numbers, later) - chance(len(numbers), len(later)) if later else 1.0
        odd = abs(_odd(was) - _odd(now))
        return Change(field, Form.NUMBER, was, now, max(far, odd, apart, 0.0), otherwise)
    words = [str(point.value) for point in was], [str(point.value) for point in now]
    if len(set(words[0]) | set(words[1])) > WORDS_MAX and not apart:
        return None
    far = variation(*words) - chance(len(was), len(now)) / 2
    return Change(field, Form.WORDS, was, now, max(far, apart, 0.0), otherwise)


def _otherwise(field: Field, before: Stretch, during: Stretch) -> tuple[float, float] | None:
    shares = []
    for stretch in (before, during):
        told = [
            changed
            for point, changed in zip(field.points, field.otherwise, strict=False)
            if changed is not None and stretch.from_ns <= point.t_ns < stretch.to_ns
        ]
        if not told:
            return None
        shares.append(sum(told) / len(told))
    return shares[0], shares[1]


def _odd(points: Iterable[Point]) -> float:
    """The share without a number."""
    told = [is_number(point.value) for point in points]
    return 1 - sum(told) / len(told)


def _rate(reading: Reading, *, before: Stretch, during: Stretch) -> Change | None:
    """Records a second of a reading: more, fewer, none."""
    points = tuple(Point(t_ns, 1, False) for t_ns in reading.read_ns)
    was, now = _within(points, before), _within(points, during)
    rates = [per_second(was, before), per_second(now, during)]
    begun = bool(was) and min(reading.read_ns) >= before.from_ns + NS // 2
    if abs(rates[0] - rates[1]) < RATE_LEAST or (begun and rates[1] > rates[0]):
        return None  # a feed that began in the middle of the time before, as labels do, only seems to grow
    spans = [max(stretch.to_ns - stretch.from_ns, 1) / NS for stretch in (before, during)]
    error = math.hypot(*(math.sqrt(len(part)) / span for part, span in zip((was, now), spans, strict=True)))
    far = (abs(rates[0] - rates[1]) - ERRORS * error) / max(rates)
    return Change(Field(reading.name, "records a second", points), Form.RATE, was, now, max(far, 0.0))


def per_second(points: Iterable[Point], stretch: Stretch) -> float:
    """How many a second."""
    return sum(1 for _ in points) * NS / max(stretch.to_ns - stretch.from_ns, 1)


def _within(points: Iterable[Point], stretch: Stretch) -> tuple[Point, ...]:
    return tuple(point for point in points if stretch.from_ns <= point.t_ns < stretch.to_ns)
