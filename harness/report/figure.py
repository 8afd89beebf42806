"""The figure: lanes and charts under one time axis, in two pictures side by side, so that names stay when a phone scrolls.

The shading of the fault's active time and the thin lines of the key moments run through all of it: that is what lets one see
that the page came after the harm, and the recovery after the action.
"""

from __future__ import annotations

import msgspec
from markupsafe import Markup

from harness.history.reader import History
from harness.report.charts import SIDE, gauge_chart, load_charts, objective_chart
from harness.report.drawing import element, group, label, line, rectangle
from harness.report.lanes import Block, lanes
from harness.report.scene import Scene
from harness.report.series import GAUGE_CHARTS_MAX, Series, gauge_series, load_series, objective_series, thinned
from harness.report.words import NS, clock

AXIS = 24.0
MARGIN = 14.0


class Figure(msgspec.Struct, frozen=True):
    """The two pictures, their height, and what they show in words and as data."""

    side: Markup
    plot: Markup
    height: float
    told: str
    thinned_from: int
    data: dict[str, list[list[float | None]]]


def figure_of(history: History, scene: Scene) -> Figure:
    """Draws a run."""
    objectives = objective_series(scene.plan, scene.samples)
    load = load_series(history)
    gauges = gauge_series(history, scene.plan.charts)
    blocks = lanes(scene)
    blocks += [objective_chart(scene, sli, series) for sli, series in objectives]
    blocks += load_charts(scene, load) if load is not None else []
    blocks += [gauge_chart(scene, name, lines) for name, lines in gauges[:GAUGE_CHARTS_MAX]]
    drawn = [series for _, series in objectives] + ([load.p95] if load is not None else [])
    drawn += [msgspec.structs.replace(one, name=_gauge_name(name, one)) for name, many in gauges for one in many]
    height = 2 * AXIS + sum(block.height for block in blocks)
    told = describe(scene)
    return Figure(
        side=_side(blocks, height),
        plot=_plot(scene, blocks, height, told),
        height=height,
        told=told,
        thinned_from=max((thinned(series).thinned for series in drawn), default=0),
        data={series.name: _data(scene, series) for series in drawn},
    )


def describe(scene: Scene) -> str:
    """The figure in words, for who can't see it."""
    at = scene.card.moments
    moments = (
        ("fault active", at.t_active_from),
        ("objectives lost", at.t_impact),
        ("first page", at.t_called if at.t_called != at.t_page else None),
        ("page received", at.t_page),
        ("acknowledged", at.t_ack),
        ("first change", at.t_mut),
        ("mitigated", at.t_mitig),
        ("repaired", at.t_repair),
        ("recovered", at.t_recover),
        ("claimed resolved", at.t_claim),
    )
    told = [f"{name} at {clock(t_ns - scene.zero_ns)} s" for name, t_ns in moments if t_ns is not None]
    return f"Time axis, 0 s is where {scene.zero_label}. " + ("; ".join(told) if told else "nothing happened") + "."


def _side(blocks: list[Block], height: float) -> Markup:
    parts, y = [], AXIS
    for block in blocks:
        parts.append(group([block.side], transform=f"translate(2 {y:.1f})"))
        parts.append(line(0, y, SIDE, y, class_="rule"))
        y += block.height
    parts.append(line(0, y, SIDE, y, class_="rule"))
    box = f"0 0 {SIDE:.0f} {height:.0f}"
    return element("svg", *parts, viewBox=box, width=SIDE, height=height, class_="side", aria_hidden="true")


def _plot(scene: Scene, blocks: list[Block], height: float, told: str) -> Markup:
    width = scene.scale.width
    inner = height - 2 * AXIS
    parts = [_hatch(), element("title", "The run on one time axis"), element("desc", told)]
    parts += _behind(scene, inner)
    y = AXIS
    for block in blocks:
        parts.append(line(0, y, width, y, class_="rule"))
        parts.append(group([block.plot], transform=f"translate(0 {y:.1f})"))
        y += block.height
    parts.append(line(0, y, width, y, class_="rule"))
    for x, text in scene.scale.ticks():
        anchor = "start" if x < 14 else "end" if x > width - 14 else "middle"
        parts.append(label(x, AXIS - 8, text, class_="tick", anchor=anchor))
        parts.append(label(x, y + 16, text, class_="tick", anchor=anchor))
    parts.append(element("line", x1=0, y1=AXIS, x2=0, y2=y, class_="cursor", id="cursor"))
    return element(
        "svg",
        *parts,
        viewBox=f"{-MARGIN:.0f} 0 {width + 2 * MARGIN:.0f} {height:.0f}",
        width=width + 2 * MARGIN,
        height=height,
        class_="plot",
        id="plot",
        role="img",
        aria_label=told,
        data_from=f"{(scene.scale.from_ns - scene.zero_ns) / NS:.3f}",
        data_to=f"{(scene.scale.to_ns - scene.zero_ns) / NS:.3f}",
        data_margin=MARGIN,
    )


def _behind(scene: Scene, inner: float) -> list[Markup]:
    """Grid, the fault's active time, and the key moments."""
    x, at = scene.scale.x, scene.card.moments
    parts = []
    if scene.active is not None:
        x0, x1 = x(scene.active.from_ns), x(scene.active.to_ns)
        parts.append(rectangle(x0, x1, AXIS, inner, class_="fault wash", told="a fault is active"))
    parts += [line(tick, AXIS, tick, AXIS + inner, class_="grid") for tick, _ in scene.scale.ticks()]
    keys = (("alert", at.t_page), ("act", at.t_mut), ("good", at.t_mitig), ("good", at.t_recover))
    for class_, t_ns in keys:
        if t_ns is not None and scene.scale.inside(t_ns):
            parts.append(line(x(t_ns), AXIS, x(t_ns), AXIS + inner, class_=f"key {class_}"))
    return parts


def _hatch() -> Markup:
    pattern = element(
        "pattern",
        element("path", d="M0 6L6 0", class_="hatch"),
        id="hatch",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    return element("defs", pattern)


def _gauge_name(name: str, series: Series) -> str:
    return f"{name}{{{series.name}}}" if series.name else name


def _data(scene: Scene, series: Series) -> list[list[float | None]]:
    """[seconds since the zero, value], as drawn."""
    return [
        [round((t_ns - scene.zero_ns) / NS, 3), None if value is None else float(f"{value:.6g}")]
        for t_ns, value in thinned(series).points
    ]
