"""summary.md: a run on one screen, for a code host's step summary.

What others wrote is escaped: a summary is shown by hosts that render Markdown and some HTML. Always below `SIZE_MAX`,
because hosts drop a summary that is too long as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.history.reader import History
from harness.history.scorecard import Answer, Scorecard
from harness.report import words
from harness.report.words import plain

SIZE_MAX = 20_000
ROWS_MAX = 60
ANSWERS = {Answer.MET: "✓ met", Answer.MISSED: "✗ missed", Answer.NOT_OBSERVED: "? not observed"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$@-])")


class Markdown:
    """The reporter `markdown`."""

    file = "summary.md"

    def render(self, history: History, card: Scorecard) -> bytes:
        """The summary, UTF-8, at most `SIZE_MAX` bytes."""
        plan = history.header.plan
        lines = [
            f"## {card.verdict}: {safe(plan.scenario)}",
            "",
            f"{safe(plan.title)}  ",
            f"Arm **{safe(card.arm)}**, responder **{safe(card.responder)}**, seed {card.seed}, run `{code(card.run)}`.",
            "",
            *(f"- {safe(reason)}" for reason in card.reasons[:ROWS_MAX]),
            "",
        ]
        if card.criteria:
            lines += _table(
                ("criterion", "answer", "limit", "reading"),
                [
                    (
                        safe(one.name),
                        ANSWERS[one.answer],
                        words.quantity(one.limit, one.unit),
                        words.reading_text(one),
                    )
                    for one in card.criteria
                ],
            )
        lines += _times(card)
        facts = {
            "bad-minutes": words.bad_minutes_text(card),
            "monitoring": words.monitoring_text(card),
            "debt": words.debt_text(card),
            "collateral": words.collateral_text(card),
            "playbook": words.conformance_text(card),
            "quiet": words.quiet_text(card),
            "outcome": words.outcome_text(card),
            "ended": words.END_WORDS.get(card.end_reason, card.end_reason) or "the history breaks off",
        }
        lines += [f"- **{name}**: {safe(text)}" for name, text in facts.items() if text]
        lines += ["", "Repeat it:", "", "```", plain(plan.command).replace("```", ""), "```", ""]
        commit = f"commit {code(history.header.commit)}, " if history.header.commit else ""
        lines += [f"{commit}history `{card.history_sha256}`, {safe(card.scorer)}", ""]
        return _cut("\n".join(lines))


def safe(text: str) -> str:
    """What others wrote, as text and nothing else."""
    return _SPECIAL.sub(r"\\\1", plain(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;").replace(r"\&", "&amp;")


def code(text: str) -> str:
    """For a code span: one line without backticks."""
    return plain(text).replace("`", "'")


def _times(card: Scorecard) -> list[str]:
    rows = []
    for name, (short, long, _) in words.TIME_NAMES.items():
        time = getattr(card.times, name)
        floor = "-" if time.floor_s is None else words.seconds(time.floor_s)
        rows.append((short, long, safe(words.time_text(time, end_reason=card.end_reason)), floor))
        if name == "ttd" and words.parts_text(card):
            rows += [_part(card, part, between) for part, between in words.PART_NAMES.items()]
    return _table(("time", "", "value", "floor"), rows)


def _part(card: Scorecard, name: str, between: str) -> tuple[str, str, str, str]:
    time = getattr(card.times, name)
    floor = "-" if time.floor_s is None else words.seconds(time.floor_s)
    return name, between, safe(words.time_text(time)), floor


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows[:ROWS_MAX]),
        "",
    ]


def _cut(text: str) -> bytes:
    data = text.encode()
    if len(data) <= SIZE_MAX:
        return data
    note = b"\n\n(cut here: the whole is in report.html)\n"
    return data[: SIZE_MAX - len(note)].decode("utf-8", "ignore").encode() + note
