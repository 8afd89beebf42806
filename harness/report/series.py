"""Series of a history for drawing: points in time, with gaps where nothing is known.

What always holds: what is missing is a gap, never a zero and never a line across; thinning keeps the smallest and the
largest value of each stretch, so that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from harness.history.events import Gauges, LoadBucket, Sample
from harness.history.reader import History
from harness.report.words import NS
from harness.spec.plan import Plan, PlannedSli

POINTS_MAX = 600
GAP_SAMPLES = 3.5
"""Silence of so many sampling intervals is a gap."""
GAUGE_LINES_MAX = 6
GAUGE_CHARTS_MAX = 12
SCRAPE_GAP_NS = 4 * NS

Point = tuple[int, float | None]


class Series(msgspec.Struct, frozen=True):
    """A named series: (t_ns, value), None where a reading had no value. `thinned` from how many points, 0 if not."""

    name: str
    points: tuple[Point, ...]
    thinned: int = 0

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(value for _, value in self.points if value is not None)


class Stretch(msgspec.Struct, frozen=True):
    """A stretch of time."""

    from_ns: int
    to_ns: int


class LoadSeries(msgspec.Struct, frozen=True):
    """What load offered and got: buckets as recorded, and a latency quantile over time."""

    buckets: tuple[LoadBucket, ...]
    p50: Series
    p95: Series


def objective_series(plan: Plan, samples: Iterable[Sample]) -> list[tuple[PlannedSli, Series]]:
    """Each objective's samples, whole; draw them thinned."""
    samples = tuple(samples)
    gap_ns = round(GAP_SAMPLES * plan.sample_every_s * NS)
    return [
        (sli, Series(str(sli.kind), with_gaps(((s.t_ns, s.values.get(sli.kind)) for s in samples), gap_ns=gap_ns)))
        for sli in plan.slis
    ]


def load_series(history: History) -> LoadSeries | None:
    """None where there was no load."""
    buckets = tuple(event for event in history.events() if isinstance(event, LoadBucket))
    if not buckets:
        return None
    p50 = tuple((b.t_ns, _seconds(b.latency_ms.get("p50"))) for b in buckets)
    p95 = tuple((b.t_ns, _seconds(b.latency_ms.get("p95"))) for b in buckets)
    return LoadSeries(buckets, Series("p50", p50), Series("p95", p95))


def gauge_series(history: History, names: Iterable[str]) -> list[tuple[str, list[Series]]]:
    """The gauges that the plan wants drawn, by name: a line for each set of labels, as many as can be told apart."""
    wanted = tuple(dict.fromkeys(names))[:GAUGE_CHARTS_MAX]
    lines: dict[str, dict[str, list[Point]]] = {name: {} for name in wanted}
    for event in history.events():
        if isinstance(event, Gauges):
            for full, value in event.values.items():
                name, _, labels = full.partition("{")
                if name in lines:
                    lines[name].setdefault(labels.rstrip("}"), []).append((event.t_ns, value))
    return [
        (
            name,
            [
                Series(labels, with_gaps(points, gap_ns=SCRAPE_GAP_NS))
                for labels, points in sorted(found.items())[:GAUGE_LINES_MAX]
            ],
        )
        for name, found in lines.items()
        if found
    ]


def with_gaps(points: Iterable[Point], *, gap_ns: int) -> tuple[Point, ...]:
    """The points, with a missing one in the middle of every silence that is longer than `gap_ns`."""
    told: list[Point] = []
    for t_ns, value in points:
        if told and t_ns - told[-1][0] > gap_ns:
            told.append(((told[-1][0] + t_ns) // 2, None))
        told.append((t_ns, value))
    return tuple(told)


def thinned(series: Series, *, points_max: int = POINTS_MAX) -> Series:
    """At most `points_max` points: of each stretch its smallest and its largest, and its gap if it has one."""
    points = series.points
    if len(points) <= points_max:
        return series
    stretches = max(points_max // 3, 1)
    kept: list[Point] = []
    for i in range(stretches):
        part = points[i * len(points) // stretches : (i + 1) * len(points) // stretches]
        known = [point for point in part if point[1] is not None]
        chosen = {min(known, key=_value), max(known, key=_value)} if known else set()
        missing = next((point for point in part if point[1] is None), None)
        kept += sorted(chosen | ({missing} if missing is not None else set()), key=lambda point: point[0])
    return Series(series.name, tuple(kept), thinned=len(points))


def runs(points: Iterable[Point]) -> list[list[tuple[int, float]]]:
    """The points in unbroken runs."""
    told: list[list[tuple[int, float]]] = [[]]
    for t_ns, value in points:
        if value is None:
            told.append([])
        else:
            told[-1].append((t_ns, value))
    return [run for run in told if run]


def gaps(points: Iterable[Point]) -> list[Stretch]:
    """From the last value before a gap to the first after it; none before the first or after the last point."""
    points = tuple(points)
    found: list[Stretch] = []
    last_known: int | None = None
    missing_from: int | None = None
    for t_ns, value in points:
        if value is None:
            if missing_from is None:
                missing_from = t_ns if last_known is None else last_known
        else:
            if missing_from is not None:
                found.append(Stretch(missing_from, t_ns))
            last_known, missing_from = t_ns, None
    if missing_from is not None:
        found.append(Stretch(missing_from, points[-1][0]))
    return found


def bad_stretches(sli: PlannedSli, points: Iterable[Point]) -> list[Stretch]:
    """From each first bad sample to the next one that is not bad; a missing value ends a stretch, too."""
    found: list[Stretch] = []
    since: int | None = None
    last = 0
    for t_ns, value in points:
        bad = value is not None and not sli.good(value)
        if bad and since is None:
            since = t_ns
        elif not bad and since is not None:
            found.append(Stretch(since, t_ns))
            since = None
        last = t_ns
    return found + ([Stretch(since, last)] if since is not None else [])


def _value(point: Point) -> float:
    return point[1] if point[1] is not None else 0.0


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
