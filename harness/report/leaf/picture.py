"""The picture of a leaf: what the fault does to the data above, what each monitor says to it below, on one time axis.

It stands by itself as an SVG file, readable in light and dark, in the colours and with the elements of the report. Rejected: one
picture a monitor, which shows what fires and never what doesn't. What always holds: every rule that the target declares stands in
it, with its bar or in the list of the blind.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from itertools import groupby

import msgspec
from markupsafe import Markup

from harness.contract.words import Phase, Severity, SliKind
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report.drawing import Scale, element, group, label, line, rectangle, title
from harness.report.lanes import mark
from harness.report.leaf.moved import Change, changes
from harness.report.leaf.records import Field, damaged_fields, readings_of, wrong_decisions
from harness.report.leaf.rules import Said, said
from harness.report.leaf.strips import ASIDE, GAP, TOP, Strip, strip, wrong_strip
from harness.report.scene import Scene, scene_of
from harness.report.series import Stretch
from harness.report.words import NS, clock, plain

SIDE, PLOT, MARGIN = 190.0, 580.0, 12.0
WIDTH = SIDE + PLOT + GAP + ASIDE + 2 * MARGIN
HEAD, AXIS, RULE_ROW, LIST_ROW = 42.0, 20.0, 15.0, 14.0
LINE_CHARS = 105
BEFORE_NS = 5 * NS
"""Of the time before the fault, so much is shown."""
SLOW_LEAST = 3
"""So many samples that missed the objective on latency are no accident."""
OWN = """
svg .plain { fill: none; stroke: var(--rule); }
svg .dots, svg .sent, svg .hit, svg .odd { fill: none; stroke-linecap: round; stroke-width: 2.6; stroke: var(--sli); }
svg .sent { stroke: var(--quiet); opacity: 0.35; } svg .hit { stroke: var(--fault); } svg .odd { stroke: var(--bad); }
svg .bins { fill: var(--sli); } svg .hits { fill: var(--fault); }
svg .f0 { fill: var(--g3); } svg .f1 { fill: var(--g0); } svg .f2 { fill: var(--g4); } svg .f3 { fill: var(--g2); }
svg text.w0 { fill: var(--g3); } svg text.w1 { fill: var(--g0); }
svg text.w2 { fill: var(--g4); } svg text.w3 { fill: var(--g2); }
svg .half { opacity: 0.5; }
svg .paper { fill: var(--card); }
svg text.head { font-size: 14px; font-weight: 650; }
"""


class Shown(msgspec.Struct, frozen=True):
    """What a picture and its page speak of."""

    scene: Scene
    scale: Scale
    before: Stretch
    during: Stretch
    changes: tuple[Change, ...]
    wrong: Field | None
    rules: tuple[Said, ...]

    @property
    def seeing(self) -> list[Said]:
        """Rules that fired while the fault was there."""
        return [rule for rule in self.rules if rule.firing]

    @property
    def blind(self) -> list[Said]:
        return [rule for rule in self.rules if not rule.firing]


def shown(history: History, card: Scorecard) -> Shown:
    """What there is to show of a run in which something was injected."""
    scene = scene_of(history, card)
    zero_ns = scene.zero_ns
    end_ns = card.moments.t_end or scene.end_ns
    if scene.active is not None:
        end_ns = max(min(end_ns, scene.active.to_ns), zero_ns + NS)
    scale = Scale(max(history.header.t_ns, zero_ns - BEFORE_NS), end_ns, zero_ns, PLOT)
    before, during = Stretch(_settled(scene), card.moments.t_inject or zero_ns), Stretch(zero_ns, end_ns)
    slow = card.bad_samples.get(SliKind.LATENCY, 0) >= SLOW_LEAST
    moved = changes(readings_of(history), damaged=damaged_fields(history), slow=slow, before=before, during=during)
    rules = said(scene, zero_ns=zero_ns, end_ns=end_ns)
    return Shown(scene, scale, before, during, tuple(moved), wrong_decisions(history), tuple(rules))


def _settled(scene: Scene) -> int:
    """When load had begun to come: the baseline's first second is not yet like the others."""
    baseline = next((stretch for name, stretch in scene.phases if name == Phase.BASELINE), None)
    return scene.scale.from_ns if baseline is None else baseline.from_ns + NS


def picture(told: Shown) -> Markup:
    """The whole SVG."""
    strips = [strip(change, told.scale, before=told.before, during=told.during) for change in told.changes]
    if told.wrong is not None:
        strips.append(wrong_strip(told.wrong, told.scale, before=told.before, during=told.during))
    data, data_height = _data(strips)
    monitors, monitors_height = _monitors(told)
    top = HEAD + AXIS
    height = top + data_height + 26 + monitors_height + 14
    plan = told.scene.plan
    words = f"{plan.scenario}: {plan.title}"
    parts = [
        title(words),
        element("desc", describe(told)),
        element("style", Markup(style())),
        element("rect", x=0, y=0, width=WIDTH, height=height, rx=10, class_="paper"),
        label(MARGIN, 22, plain(words, limit=96), class_="head"),
        *_axis(told, top=top, height=data_height + 26 + monitors_height - _list_height(told)),
        group([data], transform=f"translate({MARGIN:.0f} {top:.0f})"),
        group([monitors], transform=f"translate({MARGIN:.0f} {top + data_height + 26:.1f})"),
    ]
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        width=WIDTH,
        height=height,
        role="img",
    )


def describe(told: Shown) -> str:
    """The picture in words, for who can't see it."""
    seen = ", ".join(f"{rule.name} ({rule.severity}) {first_text(rule, told)}" for rule in told.seeing) or "no rule"
    blind = ", ".join(rule.name for rule in told.blind) or "no rule"
    return f"0 s is where {told.scene.zero_label}. Fired: {seen}. Silent: {blind}."


def first_text(rule: Said, told: Shown) -> str:
    """When a rule first fired, from the fault on."""
    after = [one.from_ns for one in rule.firing if one.from_ns >= told.scene.zero_ns]
    if not after:
        return "before it"
    return f"{clock(after[0] - told.scene.zero_ns)} s"


def style() -> str:
    """The report's own colours and elements, without what lays out its page."""
    sheet = (files("harness.report") / "templates" / "report.css").read_text()
    colours = sheet[: sheet.index("* {")]
    return "\n" + colours + "\n".join(row for row in sheet.splitlines() if row.startswith("svg ")) + OWN


def _axis(told: Shown, *, top: float, height: float) -> list[Markup]:
    """Times, the fault's own stretch, and the grid behind everything."""
    x0 = MARGIN + SIDE
    zero = told.scale.x(told.during.from_ns)
    told_fault = plain("; ".join(fault.look.label for fault in told.scene.plan.faults), limit=80)
    parts = [rectangle(zero, PLOT, top - 2, height, class_="fault wash", told=told_fault)]
    for x, text in told.scale.ticks(8):
        parts.append(line(x, top - 2, x, top + height, class_="grid"))
        parts.append(label(x, top - 7, text, class_="tick", anchor="middle"))
    parts.append(label(zero + 4, top - 21, told_fault, class_="strong"))
    aside = [label(ASIDE / 4, top - 7, "before", class_="tick", anchor="middle")]
    aside.append(label(3 * ASIDE / 4, top - 7, "during", class_="tick", anchor="middle"))
    return [
        group(parts, transform=f"translate({x0:.0f} 0)"),
        group(aside, transform=f"translate({x0 + PLOT + GAP:.0f} 0)"),
    ]


def _data(strips: Iterable[Strip]) -> tuple[Markup, float]:
    parts, y = [], 0.0
    for one in strips:
        side = [label(0, TOP + 10, plain(one.name, limit=34), class_="name")]
        for n, text in enumerate(one.told):
            class_ = f"legend w{n}" if n < one.coloured else "quiet"
            side.append(label(0, TOP + 25 + 13 * n, text, class_=class_))
        inner = [*side, group([one.plot], transform=f"translate({SIDE:.0f} 0)")]
        inner.append(group([one.aside], transform=f"translate({SIDE + PLOT + GAP:.0f} 0)"))
        parts.append(group(inner, transform=f"translate(0 {y:.1f})"))
        y += one.height
    return Markup("").join(parts), y


def _monitors(told: Shown) -> tuple[Markup, float]:
    """A row for each rule that fired, and the names of those that did not."""
    parts = [
        label(0, 0, "What each monitor says", class_="name"),
        label(SIDE + 4, 0, "▲ page  △ ticket", class_="quiet"),
    ]
    y, layer = 10.0, ""
    for rule in told.seeing:
        parts.append(line(0, y, SIDE + PLOT, y, class_="rule"))
        if rule.layer != layer:
            layer = rule.layer
            parts.append(label(0, y + 11, layer, class_="quiet"))
        parts.append(label(SIDE - 8, y + 11, rule.name, class_="strong" if _pages(rule) else "", anchor="end"))
        parts.append(group(_bars(rule, told), transform=f"translate({SIDE:.0f} {y:.1f})"))
        words = f"{rule.severity} {first_text(rule, told)}"
        parts.append(label(SIDE + PLOT + GAP, y + 11, words, class_="quiet"))
        y += RULE_ROW
    if not told.seeing:
        parts.append(label(SIDE, y + 11, "no rule fired", class_="quiet"))
        y += RULE_ROW
    y += 20
    parts.append(label(0, y, "Blind to it", class_="name"))
    for n, (word, names) in enumerate(_listed(told)):
        at = y + 16 + LIST_ROW * n
        parts += [label(0, at, word, class_="quiet"), label(SIDE - 70, at, names)]
    return Markup("").join(parts), y + _list_height(told) - 20


def _bars(rule: Said, told: Shown) -> list[Markup]:
    parts, x = [], told.scale.x
    class_ = "alert" if _pages(rule) else "ticket"
    for one in rule.firing:
        if one.to_ns <= told.scale.from_ns:
            continue
        span = f"{clock(one.from_ns - told.scene.zero_ns)} s to {clock(one.to_ns - told.scene.zero_ns)} s"
        words = f"{rule.name} fires, {span}"
        parts.append(rectangle(x(one.from_ns), x(one.to_ns), 3, RULE_ROW - 6, class_=f"{class_} half", told=words))
        parts.append(mark("up", x(one.from_ns), RULE_ROW / 2, class_=class_, told=words))
    return parts


def _pages(rule: Said) -> bool:
    return rule.severity is Severity.PAGE


def _listed(told: Shown) -> list[tuple[str, str]]:
    """(layer, names) of the silent rules, in lines that fit."""
    lines: list[tuple[str, str]] = []
    for layer, rules in groupby(told.blind, key=lambda rule: rule.layer):
        word, row = str(layer), ""
        for rule in rules:
            name = rule.name if _pages(rule) else f"{rule.name} (ticket)"
            if row and len(row) + len(name) + 2 > LINE_CHARS:
                lines.append((word, row + ","))
                word, row = "", name
            else:
                row = f"{row}, {name}" if row else name
        lines.append((word, row))
    return lines


def _list_height(told: Shown) -> float:
    return 20 + 16 + LIST_ROW * len(_listed(told))
