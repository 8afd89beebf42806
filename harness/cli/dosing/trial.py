"""One dose after another: the same clean rows, damaged by the same corruption, through the monitors; who saw it in time.

The doses are spaced evenly on a logarithmic scale at first; then the gap in which the share seen crosses what is wanted is
halved, some rounds long. Every stream has rows and draws of its own, the same at each dose, so that doses differ by nothing
but the dose.

Always true: how many streams a dose left unhit is told beside it; they count as not seen, for nobody could. Before the damage
sets in each stream has clean rows, and what fires on them is nobody's detection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness import seeds
from harness.cli.dosing.estimate import Smallest, Tried, isotonic, smallest
from harness.cli.dosing.program import Fired, Program, Row, Rule
from harness.corrupt import ABSENT, Corruption, damage
from harness.corrupt.column import objects
from harness.corrupt.errors import CorruptionError
from harness.corrupt.types.rows import Late
from harness.errors import UsageError

LOW, HIGH = 0.0005, 1.0
FIRST_DOSES = 8
DOSES_MAX = 40


@dataclass(frozen=True)
class Question:
    """What is asked: which damage, seen by which alerts, within how many rows, in which share of streams."""

    chain: tuple[Corruption, ...]
    counts: Callable[[str, str, str], bool]
    """Whether an alert of this name, severity and layer is what must come."""
    limit_rows: int
    lead_rows: int
    """Clean rows before the damage sets in: some monitors compare with what was before."""
    streams: int
    share: float
    seed: int
    rounds: int

    @property
    def rows(self) -> int:
        """Of one stream."""
        return self.lead_rows + self.limit_rows


@dataclass(frozen=True)
class AtDose:
    """One dose: how often anything wanted was seen in time, each alert's own count and its median rows until seen."""

    tried: Tried
    untouched: int
    alerts: Mapping[str, Tried]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Found:
    """All doses, rising; the first is 0: what fires on clean rows."""

    clean: AtDose
    doses: tuple[AtDose, ...]
    rules: tuple[Rule, ...]
    smallest: Smallest
    by_alert: Mapping[str, Smallest]


def find(question: Question, program: Program, *, told: Callable[[float], None]) -> Found:
    """`told` is called with each dose before it is tried."""
    streams = _cut(program.rows(seed=question.seed, first=0, count=question.streams * question.rows), question)
    known: dict[float, AtDose] = {}
    rules: tuple[Rule, ...] = ()
    wanted: Sequence[float] = (0.0, *np.geomspace(LOW, HIGH, FIRST_DOSES).tolist())
    for _ in range(question.rounds + 1):
        for dose in wanted:
            told(dose)
            known[dose], rules = _tried(question, program, streams, dose)
        doses = [known[dose] for dose in sorted(known) if dose > 0]
        wanted = _between(doses, question.share)
        if not wanted or len(known) >= DOSES_MAX:
            break
    everything = [at.tried for at in doses]
    by_alert = {rule.alert: smallest([at.alerts[rule.alert] for at in doses], share=question.share) for rule in rules}
    return Found(known[0.0], tuple(doses), rules, smallest(everything, share=question.share), by_alert)


def _between(doses: Sequence[AtDose], share: float) -> list[float]:
    """The middle of the gap in which the share crosses what is wanted, and of its neighbours; none where it never does."""
    fitted = isotonic([at.tried for at in doses])
    above = next((n for n, fit in enumerate(fitted) if fit >= share), None)
    if not above:
        return []
    gaps = range(max(1, above - 1), min(len(doses), above + 2))
    return [math.sqrt(doses[n - 1].tried.dose * doses[n].tried.dose) for n in gaps]


def _cut(rows: Sequence[Row], question: Question) -> list[list[Row]]:
    size = question.rows
    return [list(rows[n * size : (n + 1) * size]) for n in range(question.streams)]


def _tried(
    question: Question, program: Program, streams: Sequence[Sequence[Row]], dose: float
) -> tuple[AtDose, tuple[Rule, ...]]:
    lead = question.lead_rows
    arrived = [damaged(rows[lead:], _dosed(question, dose, n)) for n, rows in enumerate(streams)]
    judged = program.judge(_lines(arrived, streams, lead), seed=question.seed)
    untouched = sum(hits == 0 for _, hits in arrived)
    seen: list[Fired | None] = []
    own: dict[str, list[int]] = {rule.alert: [] for rule in judged.rules}
    for n in range(len(streams)):
        onset = streams[n][lead]["t"]
        fired = [one for one in judged.fired.get(str(n), ()) if one.t >= onset]
        seen.append(next((one for one in fired if question.counts(one.alert, one.severity, one.layer)), None))
        for alert in own:
            first = next((one.t for one in fired if one.alert == alert), None)
            own[alert] += [] if first is None else [round((first - onset) * judged.rate)]
    total = len(streams)
    alerts = {alert: Tried(dose, total, len(rows)) for alert, rows in own.items()}
    medians = {alert: int(np.median(rows)) for alert, rows in own.items() if rows}
    tried = Tried(dose, total, sum(one is not None for one in seen))
    return AtDose(tried, untouched, alerts, medians), judged.rules


def _dosed(question: Question, dose: float, stream: int) -> tuple[Corruption, ...]:
    """Each stream draws for itself, but the same at every dose."""
    return tuple(
        replace(step, dose=dose, seed=seeds.derive(step.seed, "stream", stream), exact=False) for step in question.chain
    )


def damaged(rows: Sequence[Row], chain: tuple[Corruption, ...]) -> tuple[list[dict[str, Any]], int]:
    """The rows as they arrive, and how many of them were hit. What is late is decided later, and what would be decided after
    the last row isn't seen any more."""
    if any("t" in step.columns for step in chain):
        raise UsageError("columns: t is the clock by which rows are judged, and can't be damaged")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: objects([row.get(name, ABSENT) for row in rows]) for name in names}
    try:
        done = damage(columns, chain)
    except CorruptionError as error:
        raise UsageError(f"the damage doesn't fit the target's rows: {error.message}", hint=error.hint) from None
    values = zip(*(column.tolist() for column in done.columns.values()), strict=True)
    arrived = [
        {name: value for name, value in zip(done.columns, row, strict=True) if value is not ABSENT} for row in values
    ]
    last = rows[-1]["t"]
    between_s = (last - rows[0]["t"]) / max(1, len(rows) - 1)
    for step, cause in zip(chain, done.causes, strict=True):
        if isinstance(step.damage, Late):
            for n in np.flatnonzero(cause.rows).tolist():
                arrived[n]["t"] += step.damage.by * between_s
    return [row for row in arrived if row["t"] <= last], done.hits


def _lines(
    arrived: Iterable[tuple[list[dict[str, Any]], int]], clean: Sequence[Sequence[Row]], lead: int
) -> Iterator[Row]:
    """Streams one behind the other. Time goes on to the end of a stream though its last rows be gone."""
    for n, ((rows, _), before) in enumerate(zip(arrived, clean, strict=True)):
        yield {"begin": str(n)}
        yield from before[:lead]
        yield from rows
        yield {"tick": before[-1]["t"]}
