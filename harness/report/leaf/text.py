"""The page of a leaf, in Markdown: what breaks and what is right, as scenario and playbook say it; then what a run showed.

The first part is made of the two files alone, so that whoever changes them can make it anew without a run, and a test can hold
the pages to it; the second is made of a recorded run. `MEASURED` stands between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from harness.contract.words import Arm, Kind
from harness.history.scorecard import Scorecard
from harness.report.leaf.moved import Form, per_second
from harness.report.leaf.picture import Shown, first_text
from harness.report.leaf.strips import percent, strip
from harness.report.words import arguments_text, debt_text, interval_text, plain, quantity, seconds, time_text
from harness.spec.catalogue import sentences
from harness.spec.playbook import Playbook
from harness.spec.scenario import Scenario

MEASURED = "<!-- from here on: of a recorded run; before: of scenario and playbook -->"


class Links(msgspec.Struct, frozen=True):
    """Where the files of a page are, relative to it; empty where there is none."""

    scenario: str = ""
    playbook: str = ""


class Floor(msgspec.Struct, frozen=True):
    """The smallest share that is seen in time of the rows that a damage may hit, with its interval; None where none is, or nobody
    can tell."""

    dose: float | None
    low: float | None
    high: float | None
    streams: int | None = None
    """At each dose; None where nobody told."""


def described(scenario: Scenario, playbook: Playbook | None, *, links: Links) -> str:
    """What breaks, who should notice, what is right and what makes it worse."""
    said = sentences(scenario.description)
    kind = "a decoy: a real change that harms nobody" if scenario.kind is Kind.DECOY else "a fault"
    rows = ", ".join(scenario.tags) or "none"
    lines = [
        f"# {scenario.scenario}",
        "",
        f"{scenario.title}.",
        "",
        f"![What it does to the data, and what each monitor says]({scenario.scenario}.svg)",
        "",
        *([said.about, ""] if said.about else []),
        "| | |",
        "|---|---|",
        f"| rows of the catalogue | {rows}; {scenario.incident}; {kind} |",
        *(
            f"| what is done | {_cell(_done(fault.fault, fault.arguments(), fault.after))} |"
            for fault in scenario.faults
        ),
        *_told("who should notice", said.notice),
        *_told("what must happen", _expected(scenario)),
        *_told("right response", said.response),
        *_told("harmful", said.harmful),
    ]
    if playbook is not None:
        lines += [
            f"| never | `{one.do}`: {_cell(one.because)}{f' (until `{one.until}`)' if one.until else ''} |"
            for one in playbook.head.forbidden
        ]
    files = [(links.scenario, "scenario"), (links.playbook, "playbook")]
    linked = " · ".join(f"[{word}]({path})" for path, word in files if path)
    lines += _told("files", linked)
    lines += [
        "",
        "```sh",
        f"drill run {scenario.scenario}",
        f"drill run {scenario.scenario} --responder none",
        "```",
        "",
        "",
    ]
    return "\n".join(lines)


def measured(
    told: Shown, card: Scorecard, *, others: Sequence[Scorecard] = (), floor: Floor | None = None, doseless: str = ""
) -> str:
    """What the recorded run showed, and how it and the others came out. `doseless`: the fault because of which nothing can tell
    the smallest share of damage that is seen."""
    scene = told.scene
    lines = [MEASURED, "", "## What it does to the data", "", *_moved(told), ""]
    lines += ["## What each monitor says", "", f"0 s is where {scene.zero_label}.", ""]
    lines += ["| rule | layer | severity | first, s |", "|---|---|---|---|"]
    for rule in told.seeing:
        lines.append(f"| {rule.name} | {rule.layer} | {rule.severity} | {first_text(rule, told).removesuffix(' s')} |")
    if not told.seeing:
        lines.append("| none | | | |")
    lines += ["", "Blind to it:", "", *(_blind(told) or ["- none"]), ""]
    lines += ["## How little of it is seen", "", _floor(floor, scene.plan.scenario, doseless=doseless), ""]
    lines += ["## How it ended", "", *_ended([card, *others])]
    return "\n".join(lines) + "\n"


def _blind(told: Shown) -> list[str]:
    """The rules that stayed silent, layer by layer."""
    return [
        f"- {layer}: {', '.join(rule.name if rule.severity == 'page' else f'{rule.name} (ticket)' for rule in rules)}"
        for layer, rules in groupby(told.blind, key=lambda rule: rule.layer)
    ]


def _told(word: str, text: str) -> list[str]:
    return [f"| {word} | {_cell(text)} |"] if text else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _done(fault: str, arguments: dict[str, Any], after_s: float) -> str:
    when = f", {seconds(after_s)} after the baseline" if after_s else ""
    return f"`{plain(f'{fault} {arguments_text(arguments)}')}`{when}"


def _expected(scenario: Scenario) -> str:
    if scenario.kind is Kind.DECOY:
        return "no page, and nobody acts"
    expect, told = scenario.expect, []
    if expect.detect is not None:
        named = f" `{expect.detect.alert}`" if expect.detect.alert else ""
        told.append(
            f"a {expect.detect.severity}{named} of layer {expect.detect.layer} within {expect.detect.within:g} s"
        )
    for word, limit in (("mitigated", expect.mitigate), ("recovered", expect.recover)):
        if limit is not None:
            told.append(f"{word} within {limit.within:g} s, for {limit.hold:g} s")
    return "; ".join(told)


def _moved(told: Shown) -> list[str]:
    """The strips in words; the same numbers as in the picture."""
    if not told.changes and told.wrong is None:
        return ["No field of any reading moved."]
    lines = ["| what | before → during |", "|---|---|"]
    for change in told.changes:
        drawn = strip(change, told.scale, before=told.before, during=told.during)
        words = [word for word in drawn.told if "→" in word]
        if change.form is Form.RATE:
            rates = (per_second(change.before, told.before), per_second(change.during, told.during))
            words = [f"{rates[0]:.1f}/s → {rates[1]:.1f}/s"]
        lines.append(f"| {_cell(drawn.name)} | {_cell('; '.join(words))} |")
    if told.wrong is not None:
        shares = [
            [point.value for point in told.wrong.points if stretch.from_ns <= point.t_ns < stretch.to_ns]
            for stretch in (told.before, told.during)
        ]
        was, now = (percent(sum(share) / len(share)) if share else "-" for share in shares)
        lines.append(f"| decisions that are wrong | {was} → {now} |")
    return lines


def _floor(floor: Floor | None, scenario: str, *, doseless: str) -> str:
    if floor is None and doseless:
        return f"No smallest dose can be found offline: `{doseless}` doesn't damage records."
    if floor is None:
        return f"`drill dose {scenario}` finds how many of the rows that it may hit must be damaged to be seen in time."
    ran = f"`drill dose {scenario}{f' --streams {floor.streams}' if floor.streams is not None else ''}`"
    if floor.dose is None:
        return f"At no dose is it seen in time: {ran}."
    low, high = (percent(end) if end is not None else None for end in (floor.low, floor.high))
    share = f"{percent(floor.dose)} (95 %: {interval_text(low, high)})"
    return f"To be seen in time it must damage {share} of the rows that it may hit: {ran}."


def _ended(cards: Iterable[Scorecard]) -> list[str]:
    lines = ["| arm | who answered | verdict | TTD | TTM | TTR | debt repaid |", "|---|---|---|---|---|---|---|"]
    for card in cards:
        times = [
            time_text(time, end_reason=card.end_reason) for time in (card.times.ttd, card.times.ttm, card.times.ttr)
        ]
        if card.arm != Arm.FAULT:
            times = ["-", "-", "-"]
        who = "nobody" if card.responder == "none" else card.responder
        debt = debt_text(card) if card.debt else "-"
        lines.append(f"| {card.arm} | {who} | {card.verdict} | {' | '.join(map(_cell, times))} | {_cell(debt)} |")
    first = next(iter(cards))
    missed = [one for one in first.criteria if one.answer != "met"]
    if missed:
        told = "; ".join(f"{one.name} {one.answer} (limit {quantity(one.limit, one.unit)})" for one in missed)
        lines += ["", f"Of the run that is drawn: {_cell(told)}."]
    return lines
