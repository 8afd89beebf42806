"""The strips of the picture: a field over time at the left, its values before and during the fault side by side at the right.

Numbers are dots, those of damaged records in the fault's colour, what the source sent for them quietly behind; what is missing or
no number stands in a lane of its own below. Words are shares of each second; records are counted by the second.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec
from markupsafe import Markup

from harness.report.drawing import Scale, element, label, rectangle
from harness.report.leaf.moved import Change, Form, per_second
from harness.report.leaf.records import Field, Point, is_number
from harness.report.series import Stretch
from harness.report.words import NS, number, plain, seconds

TOP, TALL, LOW = 10.0, 82.0, 48.0
LANE = 11.0
ASIDE, GAP = 96.0, 48.0
DOTS_MAX = 220
BINS = 16
WORDS_SHOWN = 4
LOG_SPREAD, LOG_FROM = 40.0, 10.0
"""Shares and ages are easier to read as they are."""
TAIL = 0.004


class Strip(msgspec.Struct, frozen=True):
    """A strip: its height, its name, what changed in words, what is drawn over time, and beside it."""

    height: float
    name: str
    told: tuple[str, ...]
    plot: Markup
    aside: Markup
    coloured: int = 0
    """So many lines of the words stand in the colour that they explain."""


class Span:
    """Values to pixels from the top of the strip, on a logarithmic scale where they spread far."""

    def __init__(self, values: Sequence[float], height: float, *, age: bool) -> None:
        ordered = sorted(values)
        low, high = _quantile(ordered, TAIL), _quantile(ordered, 1 - TAIL)
        self.log = not age and low > 0 and high > LOG_FROM and high / low > LOG_SPREAD
        self.low, self.high = (math.log10(low), math.log10(high)) if self.log else (low, high)
        if self.high <= self.low:
            self.low, self.high = self.low - 0.5, self.low + 0.5
        self.height = height

    def share(self, value: float) -> float:
        """0 at the bottom, 1 at the top; what lies outside stands at the edge."""
        placed = (math.log10(value) if value > 0 else -math.inf) if self.log else value
        return min(max((placed - self.low) / (self.high - self.low), 0.0), 1.0)

    def y(self, value: float) -> float:
        return TOP + (1 - self.share(value)) * self.height

    def ends(self) -> tuple[float, float]:
        return (10**self.low, 10**self.high) if self.log else (self.low, self.high)


def strip(change: Change, scale: Scale, *, before: Stretch, during: Stretch) -> Strip:
    """The strip of one change."""
    match change.form:
        case Form.NUMBER:
            return _numbers(change, scale)
        case Form.WORDS:
            return _words(change, scale)
        case Form.RATE:
            return _rate(change, scale, before=before, during=during)


def wrong_strip(field: Field, scale: Scale, *, before: Stretch, during: Stretch) -> Strip:
    """The share of decisions that were wrong, second by second: what users got of it."""
    was, now = (_mean(_of(field.points, stretch)) for stretch in (before, during))
    bars = Markup("")
    for x0, x1, points in _by_second(field.points, scale):
        high = _mean(points) * LOW
        if high:
            bars += rectangle(x0, x1 - 0.8, TOP + LOW - high, high, class_="bad")
    aside = _pair(was, now, LOW, "bad")
    told = (f"{percent(was)} → {percent(now)}", "of what users got")
    return Strip(TOP + LOW + 10, "decisions that are wrong", told, _frame(scale, LOW) + bars, aside)


def _numbers(change: Change, scale: Scale) -> Strip:
    field = change.field
    lanes = _lanes(field)
    height = TALL - LANE * len(lanes)
    shown = [point for point in field.points if scale.inside(point.t_ns)]
    differs = change.otherwise is not None and any(change.otherwise)
    sent = [point for point in field.sent if differs and scale.inside(point.t_ns) and is_number(point.value)]
    values = [float(point.value) for point in [*shown, *sent] if is_number(point.value)]
    span = Span(values, height, age=field.age or field.name.endswith("_s"))
    sound = [point for point in shown if is_number(point.value) and not point.hit]
    hit = [point for point in shown if is_number(point.value) and point.hit]
    parts = _frame(scale, TALL)
    parts += _dots(sent, scale, lambda point: span.y(point.value), "sent")
    parts += _dots(sound, scale, lambda point: span.y(point.value), "dots")
    parts += _dots(hit, scale, lambda point: span.y(point.value), "hit")
    for n, (word, belongs) in enumerate(lanes):
        y = TOP + height + LANE * n + LANE / 2
        odd = [point for point in shown if belongs(point.value)]
        parts += _dots(odd, scale, _level(y), "odd") + label(2, y + 3.5, word, class_="tick")
    low, high = span.ends()
    parts += label(scale.width + 4, TOP + 7, _value(high, field), class_="tick")
    parts += label(scale.width + 4, TOP + height, _value(low, field), class_="tick")
    aside = _histogram(change.before, span, "bins", left=True) + _histogram(change.during, span, "hits", left=False)
    return Strip(TOP + TALL + 10, _name(field), _numbers_told(change, sent=bool(sent)), parts, aside)


def _numbers_told(change: Change, *, sent: bool) -> tuple[str, ...]:
    told = []
    was, now = _median(change.before), _median(change.during)
    if was is not None:
        told.append(f"median {_value(was, change.field)} → {'none' if now is None else _value(now, change.field)}")
    for word, belongs in _lanes(change.field):
        shares = [sum(belongs(p.value) for p in part) / len(part) for part in (change.before, change.during)]
        told.append(f"{word} {percent(shares[0])} → {percent(shares[1])}")
    return (*told[:3], *_changed_told(change), *(("grey: as it was sent",) if sent else ()))


def _changed_told(change: Change) -> tuple[str, ...]:
    if change.otherwise is None or not any(change.otherwise):
        return ()
    return (f"not as sent {percent(change.otherwise[0])} → {percent(change.otherwise[1])}",)


def _lanes(field: Field) -> list[tuple[str, Callable[[object], bool]]]:
    """What isn't a number, as far as there is any."""
    kinds: list[tuple[str, Callable[[object], bool]]] = [
        ("missing", lambda value: value is None),
        ("text", lambda value: value is not None and not is_number(value)),
    ]
    return [(word, belongs) for word, belongs in kinds if any(belongs(point.value) for point in field.points)]


def _words(change: Change, scale: Scale) -> Strip:
    field = change.field
    before, during = (Counter(_word(p) for p in part) for part in (change.before, change.during))
    ranked = sorted(
        {*before, *during}, key=lambda word: -abs(during[word] / len(change.during) - before[word] / len(change.before))
    )
    shown = ranked[:WORDS_SHOWN]
    parts = _frame(scale, TALL)
    for x0, x1, points in _by_second(field.points, scale):
        parts += _stack(Counter(_word(point) for point in points), shown, x0, x1 - 0.8)
    aside = _stack(before, shown, 8, ASIDE / 2 - 6) + _stack(during, shown, ASIDE / 2 + 6, ASIDE - 8)
    told = tuple(
        f"{plain(word, limit=14)} {percent(before[word] / len(change.before))} → {percent(during[word] / len(change.during))}"
        for word in shown
    ) + _changed_told(change)
    return Strip(TOP + TALL + 10, _name(field), told, parts, aside, coloured=len(shown))


def _stack(counts: Counter[str], shown: Sequence[str], x0: float, x1: float) -> Markup:
    """The shares of the words, one upon the other; all others are left blank."""
    total, y, parts = sum(counts.values()), TOP + TALL, Markup("")
    for n, word in enumerate(shown):
        high = TALL * counts[word] / total if total else 0.0
        if high:
            y -= high
            parts += rectangle(x0, x1, y, high, class_=f"f{n}", told=plain(word, limit=40))
    return parts


def _rate(change: Change, scale: Scale, *, before: Stretch, during: Stretch) -> Strip:
    was, now = per_second(change.before, before), per_second(change.during, during)
    counted = [(x0, x1, len(points)) for x0, x1, points in _by_second(change.field.points, scale)]
    top = max([count for _, _, count in counted] + [1])
    bars = Markup("").join(
        rectangle(x0, x1 - 0.8, TOP + LOW * (1 - count / top), LOW * count / top, class_="served")
        for x0, x1, count in counted
    )
    parts = _frame(scale, LOW) + bars + label(scale.width + 4, TOP + 7, f"{top}/s", class_="tick")
    told = (f"{number(was)}/s → {number(now)}/s",)
    most = max(was, now, 1e-9)
    return Strip(
        TOP + LOW + 10, f"{change.field.reading}: records", told, parts, _pair(was / most, now / most, LOW, "served")
    )


# --- parts ------------------------------------------------------------------------------------------------------------


def _frame(scale: Scale, height: float) -> Markup:
    return element("rect", x=0, y=TOP, width=scale.width, height=height, class_="plain")


def _dots(points: Sequence[Point], scale: Scale, y: Callable[[Point], float], class_: str) -> Markup:
    """One path for all: where there are too many, every n-th."""
    if not points:
        return Markup("")
    kept = points[:: math.ceil(len(points) / DOTS_MAX)]
    return element("path", d="".join(f"M{scale.x(p.t_ns):.0f} {y(p):.0f}h0" for p in kept), class_=class_)


def _level(y: float) -> Callable[[Point], float]:
    return lambda _: y


def _histogram(points: Iterable[Point], span: Span, class_: str, *, left: bool) -> Markup:
    values = [float(point.value) for point in points if is_number(point.value)]
    if not values:
        return Markup("")
    counts = Counter(min(int(span.share(value) * BINS), BINS - 1) for value in values)
    most, high = max(counts.values()), span.height / BINS
    parts = Markup("")
    for n, count in sorted(counts.items()):
        wide = (ASIDE / 2 - 3) * count / most
        x0 = ASIDE / 2 - 1 - wide if left else ASIDE / 2 + 1
        parts += rectangle(x0, x0 + wide, TOP + span.height - (n + 1) * high, high - 0.6, class_=class_)
    return parts


def _pair(was: float, now: float, height: float, class_: str) -> Markup:
    """Two bars: before, during."""
    parts = Markup("")
    for x0, share in ((10.0, was), (ASIDE / 2 + 6, now)):
        high = max(share * height, 0.6)
        parts += rectangle(x0, x0 + ASIDE / 2 - 16, TOP + height - high, high, class_=class_)
    return parts


def _by_second(points: Iterable[Point], scale: Scale) -> list[tuple[float, float, list[Point]]]:
    """(from x, to x, points) of every whole second of the axis."""
    first = math.ceil((scale.from_ns - scale.zero_ns) / NS)
    last = math.floor((scale.to_ns - scale.zero_ns) / NS)
    bins: dict[int, list[Point]] = {n: [] for n in range(first, last)}
    for point in points:
        n = math.floor((point.t_ns - scale.zero_ns) / NS)
        if n in bins:
            bins[n].append(point)
    at = [(scale.zero_ns + n * NS, found) for n, found in bins.items()]
    return [(scale.x(t_ns), scale.x(t_ns + NS), found) for t_ns, found in at]


def _of(points: Iterable[Point], stretch: Stretch) -> list[Point]:
    return [point for point in points if stretch.from_ns <= point.t_ns < stretch.to_ns]


def _mean(points: Sequence[Point]) -> float:
    return sum(point.value for point in points) / len(points) if points else 0.0


def _median(points: Iterable[Point]) -> float | None:
    values = sorted(float(point.value) for point in points if is_number(point.value))
    return _quantile(values, 0.5) if values else None


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _word(point: Point) -> str:
    return "missing" if point.value is None else str(point.value) or "(empty)"


def _name(field: Field) -> str:
    return f"age of {field.name}" if field.age else f"{field.reading}: {field.name}"


def _value(value: float, field: Field) -> str:
    return seconds(value) if field.age or field.name.endswith("_s") else number(value)


def percent(share: float) -> str:
    return f"{number(100 * share, 2)} %" if share < 0.0995 else f"{100 * share:.0f} %"
