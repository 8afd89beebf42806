"""The lanes of the figure: phases, fault, impact, alerts, responder, recovery, limits; all over one time axis.

Each lane is a block of its own height with its name beside it. Marks differ by form as well as by colour, and each tells a
pointer and a screen reader what it is.
"""

from __future__ import annotations

from itertools import groupby, zip_longest

import msgspec
from markupsafe import Markup

from harness.contract.words import Arm, Severity, SliKind
from harness.report.drawing import Rows, element, group, label, line, rectangle, text_width, title
from harness.report.scene import AlertBar, Scene
from harness.report.telling import Happening, Lane
from harness.report.words import NS, clock, plain, seconds
from harness.score.objectives import short_harm

ROW = 19.0
PAD = 7.0
LOOK_ROW = 15.0
ROWS_MAX = 10
LOOK_ROWS_MAX = 7
LABEL_MAX = 44
BAR = 9.0
FORMS = {
    "ack": "circle",
    "severity": "circle",
    "diagnose": "diamond",
    "escalate": "up",
    "update": "circle",
    "resolve": "square",
}


class Block(msgspec.Struct, frozen=True):
    """A part of the figure: its height, what stands beside the plot (right-aligned at `SIDE`), and the plot."""

    height: float
    side: Markup
    plot: Markup
    name: str


def lanes(scene: Scene) -> list[Block]:
    """All lanes that this run has something to show in."""
    blocks = [_phases(scene)]
    if scene.plan.faults:
        blocks += [_faults(scene), _impact(scene)]
    blocks += [_alerts(scene), _responder(scene)]
    if scene.plan.arm is Arm.FAULT:
        blocks += [block for block in (_recovery(scene), _limits(scene)) if block is not None]
    return blocks


def side_name(name: str, y: float = 19.0) -> Markup:
    return label(0, y, name, class_="name")


def mark(form: str, x: float, y: float, *, class_: str, told: str) -> Markup:
    """A mark of 9 pixels around (x, y)."""
    r = 4.5
    told_title = title(told)
    if form == "circle":
        return element("circle", told_title, cx=x, cy=y, r=r, class_=class_)
    points = {
        "diamond": ((x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)),
        "up": ((x, y - r - 0.5), (x + r + 1, y + r - 0.5), (x - r - 1, y + r - 0.5)),
        "square": ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)),
    }[form]
    return element("polygon", told_title, points=" ".join(f"{px:.1f},{py:.1f}" for px, py in points), class_=class_)


def _phases(scene: Scene) -> Block:
    x = scene.scale.x
    parts = []
    shown = [(name, stretch) for name, stretch in scene.phases if scene.scale.inside(stretch.to_ns)]
    for i, (name, stretch) in enumerate(shown):
        x0, x1 = x(stretch.from_ns), x(stretch.to_ns)
        told = f"{name}: {clock(stretch.from_ns - scene.zero_ns)} s to {clock(stretch.to_ns - scene.zero_ns)} s"
        parts.append(rectangle(x0, x1, 4, 18, class_="phase even" if i % 2 else "phase", told=told))
        if x1 - x0 > text_width(name) + 6:
            parts.append(label((x0 + x1) / 2, 17, name, class_="quiet", anchor="middle"))
    return Block(27, side_name("Phase", 17), Markup("").join(parts), "phases")


def _faults(scene: Scene) -> Block:
    parts, y = [], PAD
    x = scene.scale.x
    for planned, result in zip(scene.plan.faults, scene.card.faults, strict=False):
        mid = y + ROW / 2
        name = plain(planned.look.label, limit=LABEL_MAX)
        injected = next(
            (h.t_ns for h in scene.told if h.lane is Lane.FAULT and h.what == "inject" and h.fault == planned.index),
            None,
        )
        if result.effect_from_ns is None:
            told = f"{name}: {'never seen to be active' if injected is not None else 'never injected'}"
            parts.append(label(x(injected) + PAD if injected is not None else 2, mid + 4, told, class_="quiet"))
        else:
            x0, x1 = x(result.effect_from_ns), x(result.cleared_ns or scene.end_ns)
            until = f"{clock(result.cleared_ns - scene.zero_ns)} s" if result.cleared_ns else "the end"
            told = f"{planned.fault}: active from {clock(result.effect_from_ns - scene.zero_ns)} s to {until}"
            if injected is not None:
                parts.append(rectangle(x(injected), x0, mid - 3, 6, class_="fault soft", told="inject call to effect"))
            parts.append(rectangle(x0, x1, mid - BAR, 2 * BAR, class_="fault", told=told))
            parts.append(_bar_label(x0, x1, mid, name, scene.scale.width))
        y += ROW + 3
    return Block(
        y + PAD - 3,
        side_name("Change" if scene.plan.arm is Arm.DECOY else "Fault", PAD + 14),
        Markup("").join(parts),
        "fault",
    )


def _bar_label(x0: float, x1: float, mid: float, text: str, width: float) -> Markup:
    """Inside the bar where it is long enough, else right of it, else left of it."""
    wide = text_width(text)
    if wide + 14 <= x1 - x0:
        return label(x0 + 7, mid + 4, text, class_="on")
    if x1 + 7 + wide <= width:
        return label(x1 + 7, mid + 4, text)
    return label(x0 - 7, mid + 4, text, anchor="end")


def _impact(scene: Scene) -> Block:
    at = scene.card.moments
    mid = PAD + ROW / 2
    if at.t_impact is None:
        plot = _short_harm(scene, mid)
    else:
        x0, x1 = scene.scale.x(at.t_impact), scene.scale.x(at.t_mitig or at.t_end or scene.end_ns)
        until = f"{clock(at.t_mitig - scene.zero_ns)} s" if at.t_mitig is not None else "the end"
        told = f"objectives lost from {clock(at.t_impact - scene.zero_ns)} s to {until}"
        plot = rectangle(x0, x1, mid - BAR, 2 * BAR, class_="bad", told=told) + _bar_label(
            x0, x1, mid, "objectives lost", scene.scale.width
        )
    return Block(2 * PAD + ROW, side_name("Impact", PAD + 14), plot, "impact")


def _short_harm(scene: Scene, mid: float) -> Markup:
    """No impact: thin bars where samples were bad nevertheless, each until the next sample, and words for it."""
    told = short_harm(scene.card.bad_samples)
    if not told:
        return label(2, mid + 4, "no objective was lost", class_="quiet")
    objectives = {sli.kind: sli for sli in scene.plan.slis}
    end_ns = scene.card.moments.t_end or scene.end_ns
    bars, last = [], 0.0
    for sample, following in zip_longest(scene.samples, scene.samples[1:]):
        until_ns = min(following.t_ns, end_ns) if following is not None else end_ns
        missed = [
            kind
            for kind, value in sample.values.items()
            if value is not None and kind in objectives and not objectives[SliKind(kind)].good(value)
        ]
        if missed and scene.zero_ns <= sample.t_ns <= end_ns:
            x0, last = scene.scale.x(sample.t_ns), scene.scale.x(until_ns)
            at = clock(sample.t_ns - scene.zero_ns)
            bars.append(rectangle(x0, last, mid - 3, 6, class_="bad", told=f"{at} s: missed {', '.join(missed)}"))
    fits = last + 7 + text_width(told) <= scene.scale.width
    words = label(last + 7, mid + 4, told, class_="quiet") if fits else label(2, mid + 4, told, class_="quiet")
    return Markup("").join([*bars, words])


def _alerts(scene: Scene) -> Block:
    """Pages first in their order, then tickets; each a row: condition true (thin), received (mark), until resolved."""
    bars = [bar for bar in scene.alerts if scene.scale.inside(bar.at_ns)]
    bars.sort(key=lambda bar: (bar.severity is not Severity.PAGE, bar.at_ns))
    if not bars:
        return Block(2 * PAD + ROW, side_name("Alerts", PAD + 14), label(2, PAD + 14, "none", class_="quiet"), "alerts")
    parts = []
    for i, bar in enumerate(bars[:ROWS_MAX]):
        parts.append(_alert(scene, bar, PAD + ROW * i + ROW / 2))
    rows = min(len(bars), ROWS_MAX)
    if len(bars) > ROWS_MAX:
        parts.append(
            label(2, PAD + ROW * rows + 13, f"and {len(bars) - ROWS_MAX} more, in the event log", class_="quiet")
        )
        rows += 1
    legend = label(0, PAD + 29, "▲ page  △ ticket", class_="quiet") if rows > 1 else Markup("")
    return Block(2 * PAD + ROW * rows, side_name("Alerts", PAD + 14) + legend, Markup("").join(parts), "alerts")


def _alert(scene: Scene, bar: AlertBar, mid: float) -> Markup:
    x = scene.scale.x
    x0, x1 = x(bar.at_ns), x(bar.to_ns or scene.end_ns)
    page = bar.severity is Severity.PAGE
    name = plain(bar.name, limit=LABEL_MAX)
    at = clock(bar.at_ns - scene.zero_ns)
    told = f"{bar.severity} {name} [{bar.layer}] received at {at} s: {plain(bar.summary, limit=160)}"
    parts = [rectangle(x0, x1, mid - 7, 14, class_="alert soft" if page else "ticket soft", told=told)]
    if bar.cond_ns is not None and bar.cond_ns < bar.at_ns:
        x_cond = x(bar.cond_ns)
        parts.append(rectangle(x_cond, x0, mid - 1.5, 3, class_="alert", told="condition true to page received"))
    parts.append(mark("up", x0, mid, class_="alert" if page else "ticket", told=told))
    many = f" \N{MULTIPLICATION SIGN}{bar.count}" if bar.count > 1 else ""
    text = f"{name}{many} {at} s" + (" (detected)" if bar.qualifies else "")
    class_ = "strong" if bar.qualifies else ""
    if x0 + 9 + text_width(text) <= scene.scale.width:
        parts.append(label(x0 + 9, mid + 4, text, class_=class_))
    else:
        left = min(x0, x(bar.cond_ns) if bar.cond_ns is not None else x0)
        parts.append(label(left - 9, mid + 4, text, class_=class_, anchor="end"))
    return group(parts)


def _responder(scene: Scene) -> Block:
    told = [h for h in scene.told if h.lane is Lane.RESPONDER and h.what != "step" and scene.scale.inside(h.t_ns)]
    name = side_name("Responder", PAD + 14) + label(0, PAD + 29, plain(scene.plan.responder, limit=22), class_="quiet")
    if not told:
        return Block(2 * PAD + ROW + 8, name, label(2, PAD + 14, "did nothing", class_="quiet"), "responder")
    told.sort(key=lambda h: h.from_ns or h.t_ns)
    looks = [h for h in told if _is_look(h)]
    deeds, deeds_height = _deeds(scene, [h for h in told if not _is_look(h)])
    seen, seen_height = _looks(scene, looks, top=PAD + deeds_height)
    height = 2 * PAD + max(deeds_height + seen_height, ROW + 8)
    return Block(height, name, deeds + seen, "responder")


def _is_look(happening: Happening) -> bool:
    return happening.what.startswith("look ")


def _deeds(scene: Scene, told: list[Happening]) -> tuple[Markup, float]:
    """What was done (a bar) and said (a mark); the same thing again and again is named once. And how high it all is."""
    rows, parts = Rows(width=scene.scale.width), []
    for text, same in groupby(told, key=_done):
        deeds = list(same)
        ends = [_ends(scene, deed, least=5.0) for deed in deeds]
        name = text if len(deeds) == 1 else f"{text} \N{MULTIPLICATION SIGN}{len(deeds)}"
        placed = rows.place(ends[0][0], ends[-1][1], name)
        mid = PAD + ROW * placed.row + ROW / 2
        for deed, (x0, x1) in zip(deeds, ends, strict=True):
            form, sentence = FORMS.get(deed.what), _sentence(scene, deed)
            if form is not None:
                parts.append(mark(form, x0, mid, class_="said", told=sentence))
            else:
                parts.append(rectangle(x0, x1, mid - 6, 12, class_="bad" if deed.bad else "act", told=sentence))
        parts.append(label(placed.x, mid + 4, name, class_="strong", anchor="end" if placed.ends else None))
    return Markup("").join(parts), ROW * rows.count if told else 0.0


def _done(deed: Happening) -> str:
    return plain(deed.what, limit=LABEL_MAX) + (" failed" if deed.bad else "")


def _looks(scene: Scene, told: list[Happening], *, top: float) -> tuple[Markup, float]:
    """Looks at evidence: small bars. Those at the same thing one after another stand in one row and are named once, after it."""
    rows, parts, used = Rows(width=scene.scale.width), [], 0
    for text, same in groupby(told, key=_looked_at):
        looks = list(same)
        ends = [_ends(scene, look, least=3.0) for look in looks]
        name = text if len(looks) == 1 else f"{text} \N{MULTIPLICATION SIGN}{len(looks)}"
        placed = rows.place(ends[0][0], ends[-1][1], name)
        row = min(placed.row, LOOK_ROWS_MAX)  # a last row of its own for those that find no room for a name
        used = max(used, row + 1)
        mid = top + LOOK_ROW * row + LOOK_ROW / 2
        for look, (x0, x1) in zip(looks, ends, strict=True):
            class_ = "bad" if look.bad else "look"
            parts.append(rectangle(x0, x1, mid - 3, 6, class_=class_, told=_sentence(scene, look)))
        if placed.row < LOOK_ROWS_MAX:
            parts.append(label(placed.x, mid + 4, name, class_="quiet", anchor="end" if placed.ends else None))
    return Markup("").join(parts), LOOK_ROW * used


def _looked_at(look: Happening) -> str:
    return plain(look.what.removeprefix("look "), limit=LABEL_MAX) + (" failed" if look.bad else "")


def _ends(scene: Scene, happening: Happening, *, least: float) -> tuple[float, float]:
    x0 = scene.scale.x(happening.from_ns or happening.t_ns)
    return x0, max(scene.scale.x(happening.t_ns), x0 + least)


def _sentence(scene: Scene, happening: Happening) -> str:
    return f"{clock((happening.from_ns or happening.t_ns) - scene.zero_ns)} s: {happening.text}"


def _recovery(scene: Scene) -> Block:
    """Mitigated, repaired, recovered: a mark at the start of the hold, and the hold behind it."""
    card, plan = scene.card, scene.plan
    at = card.moments
    hold_m = plan.mitigate.hold_s if plan.mitigate is not None else plan.hold_s
    hold_r = plan.recover.hold_s if plan.recover is not None else plan.hold_s
    rows = (
        ("mitigated", "objectives back", at.t_mitig, hold_m, card.times.ttm.reason),
        ("repaired", "cause gone", at.t_repair, hold_r, card.times.ttrepair.reason),
        ("recovered", "debt repaid, nothing broken", at.t_recover, hold_r, card.times.ttr.reason),
    )
    parts = []
    for i, (word, means, t_ns, hold_s, why) in enumerate(rows):
        mid = PAD + ROW * i + ROW / 2
        if t_ns is None:
            parts.append(
                label(2, mid + 4, f"not {word}: {plain(why, limit=100)}" if why else f"not {word}", class_="quiet")
            )
            continue
        x0, x1 = scene.scale.x(t_ns), scene.scale.x(t_ns + round(hold_s * NS))
        told = f"{word} ({means}) at {clock(t_ns - scene.zero_ns)} s, must hold for {seconds(hold_s)}"
        parts.append(rectangle(x0, x1, mid - 7, 14, class_="good soft", told=told))
        parts.append(mark("circle", x0, mid, class_="good", told=told))
        text = f"{word} {clock(t_ns - scene.zero_ns)} s"
        right = x0 + 9 + text_width(text) <= scene.scale.width
        parts.append(
            label(x0 + 9 if right else x0 - 9, mid + 4, text, class_="strong", anchor=None if right else "end")
        )
    side = side_name("Recovery", PAD + 14) + label(0, PAD + 29, "mark, then its hold", class_="quiet")
    return Block(2 * PAD + ROW * 3, side, Markup("").join(parts), "recovery")


def _limits(scene: Scene) -> Block | None:
    """The limits of `expect` and the budget, as flags; those after the run's end are named at the right edge."""
    plan = scene.plan
    if scene.card.moments.t_active_from is None:
        return None
    limits = [
        (f"{name} by {limit.within_s:g} s", limit.within_s)
        for name, limit in (("detect", plan.detect), ("mitigate", plan.mitigate), ("recover", plan.recover))
        if limit is not None
    ]
    limits.append((f"budget {plan.budget_s:g} s", plan.budget_s))
    limits.sort(key=lambda one: one[1])
    at = [(text, scene.zero_ns + round(limit_s * NS)) for text, limit_s in limits]
    rows, parts = Rows(width=scene.scale.width), []
    later = [text for text, t_ns in at if not scene.scale.inside(t_ns)]
    tail = f"after the end: {', '.join(later)}" if later else ""
    if tail:
        rows.place(scene.scale.width, scene.scale.width, tail, pad=0)
        parts.append(label(scene.scale.width, PAD + 13, tail, class_="quiet", anchor="end"))
    for text, t_ns in at:
        if scene.scale.inside(t_ns):
            x = scene.scale.x(t_ns)
            placed = rows.place(x, x, text, pad=6)
            top = PAD + ROW * placed.row
            parts.append(line(x, top, x, top + ROW - 2, class_="limit"))
            parts.append(label(placed.x, top + 13, text, anchor="end" if placed.ends else None))
    return Block(2 * PAD + ROW * rows.count, side_name("Limits", PAD + 14), Markup("").join(parts), "limits")
