"""How a run ended, on one screen: the verdict and its reasons first, how to repeat it last."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.history.reader import History
from harness.history.scorecard import Answer, Scorecard, Verdict
from harness.report import words
from harness.report.words import plain

WIDTH = 110
VALUE_MAX = 160
VERDICT_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red"}
ANSWER_STYLES = {Answer.MET: "green", Answer.MISSED: "bold red", Answer.NOT_OBSERVED: "yellow"}
SHOWN_TIMES = ("ttd", "tta", "ttm", "ttrepair", "ttr")


def ending(history: History, card: Scorecard, *, report: Path | None, colour: bool) -> str:
    """The text, its last newline included."""
    out = StringIO()
    console = Console(
        file=out,
        width=WIDTH,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        soft_wrap=False,
    )
    console.print()
    for line in _head(history, card):
        console.print(line, soft_wrap=True)
    if card.criteria:
        console.print()
        console.print(_criteria(card))
    console.print()
    console.print(_times(card))
    console.print()
    for name, text in _facts(history, card, report).items():
        console.print(Text.assemble((f"{name:<12}", "dim"), text), soft_wrap=True)
    return out.getvalue()


def _head(history: History, card: Scorecard) -> list[Text]:
    plan = history.header.plan
    style = VERDICT_STYLES.get(card.verdict, "bold yellow")
    lines = [
        Text.assemble((str(card.verdict), style), f"  {plain(plan.scenario)}: {plain(plan.title)}"),
        Text(
            f"{card.arm} arm, responder {plain(card.responder)}, seed {card.seed}, run {plain(card.run)}", style="dim"
        ),
    ]
    lines += [Text(f"  {plain(reason)}") for reason in card.reasons]
    if card.dirty:
        lines.append(Text("  STILL BROKEN: not all was seen healed. Run `drill heal`.", style="bold red"))
    return lines


def _criteria(card: Scorecard) -> Table:
    table = _table("criterion", "answer", "limit", "reading")
    for one in card.criteria:
        table.add_row(
            plain(one.name),
            Text(str(one.answer), style=ANSWER_STYLES[one.answer]),
            words.quantity(one.limit, one.unit),
            words.reading_text(one),
        )
    return table


def _times(card: Scorecard) -> Table:
    table = _table("time", "from, to", "value", "floor")
    for name in SHOWN_TIMES:
        short, _, span = words.TIME_NAMES[name]
        time = getattr(card.times, name)
        floor = "-" if time.floor_s is None else words.seconds(time.floor_s)
        table.add_row(short, span, plain(words.time_text(time, end_reason=card.end_reason), limit=VALUE_MAX), floor)
        if name == "ttd" and words.parts_text(card):
            for part, between in words.PART_NAMES.items():
                time = getattr(card.times, part)
                floor = "-" if time.floor_s is None else words.seconds(time.floor_s)
                table.add_row(f"  {part}", between, words.time_text(time), floor)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _facts(history: History, card: Scorecard, report: Path | None) -> dict[str, str]:
    facts = {
        "bad-minutes": words.bad_minutes_text(card),
        "monitoring": words.monitoring_text(card),
        "debt": words.debt_text(card),
        "collateral": words.collateral_text(card),
        "playbook": words.conformance_text(card),
        "quiet": words.quiet_text(card),
        "outcome": words.outcome_text(card),
        "ended": words.END_WORDS.get(card.end_reason, card.end_reason) or "the history breaks off",
        "report": str(report) if report is not None else "",
        "repeat": plain(history.header.plan.command),
    }
    return {name: text for name, text in facts.items() if text}
