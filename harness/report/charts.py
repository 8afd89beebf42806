"""The charts below the lanes, over the same time axis: objectives with their bounds, load, latency, the target's own gauges.

Objectives: a dot for each sample, lines between them, the bound dashed, bad stretches shaded, missing values hatched. Load:
steps over the buckets as recorded. What always holds: nothing is drawn where nothing was read.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.contract.words import SliKind
from harness.report.drawing import element, label, line, rectangle
from harness.report.lanes import Block, side_name
from harness.report.scene import Scene
from harness.report.series import LoadSeries, Point, Series, bad_stretches, gaps, runs, thinned
from harness.report.words import clock, number, plain
from harness.spec.plan import PlannedSli

HEIGHT = 90.0
TOP, BOTTOM = 20.0, 80.0
SIDE = 160.0
NAME = 15.0
DOTS_MAX = 160
LEGEND_MAX = 4
SHARES = frozenset({SliKind.AVAILABILITY, SliKind.CORRECTNESS, SliKind.FALLBACK_SHARE, SliKind.DECISION_QUALITY})
TITLES = {
    SliKind.AVAILABILITY: "Availability",
    SliKind.LATENCY: "Latency",
    SliKind.CORRECTNESS: "Correctness",
    SliKind.FRESHNESS: "Freshness",
    SliKind.FALLBACK_SHARE: "Fallback share",
    SliKind.DECISION_QUALITY: "Decision quality",
}


class Range:
    """Values to pixels, `low` at the bottom."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high if high > low else low + 1.0

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return BOTTOM - min(max(share, 0.0), 1.0) * (BOTTOM - TOP)


def objective_chart(scene: Scene, sli: PlannedSli, series: Series) -> Block:
    """One objective."""
    bounds = [bound for bound in (sli.min, sli.max) if bound is not None]
    known = series.known
    low, high = (0.0, 1.0) if sli.kind in SHARES else (0.0, 1.15 * max([*known, *bounds, 1e-9]))
    span = Range(low, high)
    parts = _gaps(scene, series)
    for stretch in bad_stretches(sli, series.points):
        x0, x1 = scene.scale.x(stretch.from_ns), scene.scale.x(stretch.to_ns)
        told = f"{sli.kind} bad from {clock(stretch.from_ns - scene.zero_ns)} s to {clock(stretch.to_ns - scene.zero_ns)} s"
        if x1 > 0:
            parts.append(rectangle(x0, x1, TOP - 6, BOTTOM - TOP + 10, class_="bad wash", told=told))
    parts += [line(0, span.y(bound), scene.scale.width, span.y(bound), class_="bound") for bound in bounds]
    parts += _lines(scene, series, span, class_="sli", bad=sli)
    side = side_name(TITLES[sli.kind], NAME) + label(0, 31, _bounds(sli), class_="quiet")
    side += label(0, 45, _worst(sli, known), class_="quiet") + _scale_labels(span, sli.kind, bounds)
    return Block(HEIGHT, side, Markup("").join(parts), str(sli.kind))


def load_charts(scene: Scene, load: LoadSeries) -> list[Block]:
    """Requests a second offered and answered; and what they waited."""
    shown = [bucket for bucket in load.buckets if bucket.t_ns > scene.scale.from_ns]
    rates = [(b, b.scheduled / _length(b.res_ns), b.ok / _length(b.res_ns)) for b in shown]
    top = max([offered for _, offered, _ in rates] + [1e-9]) * 1.15
    span = Range(0.0, top)
    parts: list[Markup] = []
    for bucket, offered, ok in rates:
        x0, x1 = scene.scale.x(bucket.t_ns - bucket.res_ns), scene.scale.x(bucket.t_ns)
        told = f"{clock(bucket.t_ns - scene.zero_ns)} s: {bucket.ok} ok of {bucket.scheduled} scheduled, {bucket.failed} failed"
        parts.append(rectangle(x0, x1, span.y(ok), BOTTOM - span.y(ok), class_="served", told=told))
        if ok < offered:
            parts.append(rectangle(x0, x1, span.y(offered), span.y(ok) - span.y(offered), class_="bad wash", told=told))
        parts.append(line(x0, span.y(offered), x1, span.y(offered), class_="offered"))
    side = (
        side_name("Load", NAME)
        + label(0, 31, "line: offered", class_="quiet")
        + label(0, 45, "filled: answered ok", class_="quiet")
    )
    side += _tick(TOP + 8, f"{number(top)}/s") + _tick(BOTTOM + 3, "0")
    blocks = [Block(HEIGHT, side, Markup("").join(parts), "load")]
    if load.p95.known:
        blocks.append(_latency(scene, load))
    return blocks


def gauge_chart(scene: Scene, name: str, lines: Sequence[Series]) -> Block:
    """One gauge of the target's own, a line for each set of labels. Its name may be long, so it stands in the plot."""
    known = [value for series in lines for value in series.known]
    low, high = min([*known, 0.0]), max([*known, 0.0])
    span = Range(low, high + 0.1 * (high - low))
    parts: list[Markup] = [label(2, NAME - 2, plain(name, limit=100), class_="name small")]
    legend = Markup("")
    for i, series in enumerate(lines):
        parts += _lines(scene, series, span, class_=f"gauge g{i}", told=series.name)
        if len(lines) > 1 and i < LEGEND_MAX:
            legend += label(0, 31 + 13 * i, plain(_short(series.name), limit=18), class_=f"legend t{i}")
    side = label(0, NAME, "gauge", class_="quiet") + legend
    side += _tick(TOP + 8, number(span.high)) + _tick(BOTTOM + 3, number(low))
    return Block(HEIGHT, side, Markup("").join(parts), name)


def _latency(scene: Scene, load: LoadSeries) -> Block:
    top = 1.15 * max([*load.p95.known, *load.p50.known])
    span = Range(0.0, top)
    parts = _lines(scene, load.p50, span, class_="gauge g1", told="p50")
    parts += _lines(scene, load.p95, span, class_="gauge g0", told="p95")
    side = (
        side_name("Load latency", NAME)
        + label(0, 31, "p95", class_="legend t0")
        + label(0, 44, "p50", class_="legend t1")
    )
    side += _tick(TOP + 8, _value(SliKind.LATENCY, top)) + _tick(BOTTOM + 3, "0")
    return Block(HEIGHT, side, Markup("").join(parts), "load latency")


def _lines(
    scene: Scene, series: Series, span: Range, *, class_: str, bad: PlannedSli | None = None, told: str = ""
) -> list[Markup]:
    """The series as lines, broken at gaps; with dots where they are few enough to be told apart."""
    shown = tuple(point for point in thinned(series).points if scene.scale.inside(point[0]))
    parts = []
    for run in runs(shown):
        points = " ".join(f"{scene.scale.x(t_ns):.1f},{span.y(value):.1f}" for t_ns, value in run)
        if len(run) > 1:
            parts.append(element("polyline", element("title", told) if told else "", points=points, class_=class_))
    dots = len(shown) <= DOTS_MAX
    for point in shown if dots else _alone(shown):
        if point[1] is not None:
            missed = bad is not None and not bad.good(point[1])
            x, y = scene.scale.x(point[0]), span.y(point[1])
            parts.append(element("circle", cx=x, cy=y, r=2.0, class_=f"{class_} dot{' missed' if missed else ''}"))
    return parts


def _alone(points: Sequence[Point]) -> list[Point]:
    """Points between two gaps, which no line shows."""
    return [(run[0][0], run[0][1]) for run in runs(points) if len(run) == 1]


def _gaps(scene: Scene, series: Series) -> list[Markup]:
    parts = []
    for gap in gaps(series.points):
        if gap.to_ns > scene.scale.from_ns:
            told = f"no value from {clock(gap.from_ns - scene.zero_ns)} s to {clock(gap.to_ns - scene.zero_ns)} s"
            x0, x1 = scene.scale.x(gap.from_ns), scene.scale.x(gap.to_ns)
            parts.append(rectangle(x0, x1, TOP - 6, BOTTOM - TOP + 10, class_="missing", told=told))
    return parts


def _scale_labels(span: Range, kind: SliKind, bounds: Sequence[float]) -> Markup:
    """The bound, and the ends of the scale where they don't run into it."""
    told = Markup("")
    taken = [span.y(bound) + 4 for bound in bounds]
    for bound, y in zip(bounds, taken, strict=True):
        told += _tick(y, _value(kind, bound), class_="tick bounded")
    for value, y in ((span.high, TOP + 4), (span.low, BOTTOM + 3)):
        if all(abs(y - other) > 11 for other in taken):
            told += _tick(y, _value(kind, value))
    return told


def _tick(y: float, text: str, *, class_: str = "tick") -> Markup:
    return label(SIDE - 6, y, text, class_=class_, anchor="end")


def _value(kind: SliKind, value: float) -> str:
    if kind in SHARES:
        return f"{number(100 * value)} %"
    if kind is SliKind.LATENCY and value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{number(value, 2)} s"


def _bounds(sli: PlannedSli) -> str:
    told = [f"≥ {_value(sli.kind, sli.min)}"] if sli.min is not None else []
    return " and ".join(told + ([f"≤ {_value(sli.kind, sli.max)}"] if sli.max is not None else []))


def _worst(sli: PlannedSli, known: Sequence[float]) -> str:
    if not known:
        return "no value read"
    return f"worst {_value(sli.kind, min(known) if sli.min is not None else max(known))}"


def _short(labels: str) -> str:
    """The values of the labels alone, where there is one label; else all of it."""
    return labels.partition("=")[2] if labels.count("=") == 1 else labels


def _length(res_ns: int) -> float:
    return res_ns / 1e9 or 1.0
