"""Two runs of one scenario and one seed, one broken and answered, one left alone: do their decisions agree in the end?

Repair means that a clean twin agrees. Counting what was scored again can't show that: it says that something was done, not that
it was right. So the same requests are joined over both runs, and the damaged ones are held to what they would have been. Even
undamaged ones don't always agree, because a feature is a moment older in one run than in the other: how often they do is the
noise, and the damaged ones must agree as often, by Fisher's exact test.

What always holds: a request counts where both runs decided it; the final decision is the newest re-scored one, else the last that
was made; golden requests are nobody's; what happened after a run's end doesn't count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from harness.contract.words import Arm
from harness.errors import UsageError
from harness.measure.binomial import exact_bounds, so_few
from harness.score.debt import batches, damaged_by_fault, synthetic_ids
from harness.score.evidence import Evidence, Recording, gather
from harness.spec.plan import Plan, PlannedReading

UNLIKELY = 0.025
"""Where damaged ones agree more seldom than undamaged ones, by so unlikely a chance, they are not repaired."""
RESCORED = "rescored"
LINEAGE, STATUS = "lineage", "status"
UNDAMAGED_LEAST = 30
QUIET_LEAST = 0.95
"""Where fewer of the undamaged ones agree, they are no measure: a response that makes all decisions wrong would pass for one."""


class Repair(StrEnum):
    """Whether the damage is repaired."""

    REPAIRED = "repaired"
    NOT_REPAIRED = "not repaired"
    NOTHING_DAMAGED = "nothing was damaged"
    UNDECIDED = "can't be told"


class Agreement(msgspec.Struct, frozen=True):
    """Of so many requests that both runs decided, so many agree in the end; with the exact interval of the share."""

    decided: int
    agree: int
    low: float | None
    high: float | None
    at_first: int
    """How many agreed as they were decided at first, before anything was scored again."""

    @property
    def share(self) -> float | None:
        return self.agree / self.decided if self.decided else None


class Twin(msgspec.Struct, frozen=True):
    """How two runs compare. `unpaired`: damaged requests that the twin never decided. `rows`: of each run, by last status."""

    scenario: str
    seed: int
    run: str
    twin: str
    responder: str
    repair: Repair
    reason: str
    damaged: Agreement
    undamaged: Agreement
    unpaired: int
    chance: float | None
    rows: dict[str, dict[str, int]]
    damaged_rows: dict[str, dict[str, int]]


class _Side(msgspec.Struct, frozen=True):
    """One run: the first and the final decision of each request, and the last status of its row, by what is the same in both."""

    first: dict[str, str]
    final: dict[str, str]
    rows: dict[str, str]


def twin(run: Recording, other: Recording) -> Twin:
    """Compares a run with its twin, in which nothing was injected. Raises `UsageError` where they are no twins."""
    _check(run.header.plan, other.header.plan)
    evidence, clean = gather(run), gather(other)
    broken, whole = _side(evidence), _side(clean)
    ids = damaged_by_fault(evidence)
    known = [found for found in ids.values() if found is not None]
    keys = _same(evidence)
    damaged = {keys[record] for record in frozenset().union(*known) if record in keys}
    paired = broken.final.keys() & whole.final.keys()
    hit = _agreement(paired & damaged, broken, whole)
    rest = _agreement(paired - damaged, broken, whole)
    chance = None
    if hit.decided and rest.decided:
        chance = so_few(hit.agree, hit.decided, others=rest.agree, others_tried=rest.decided)
    repair, reason = _judged(hit, rest, chance, told=len(known) == len(ids))
    if repair is Repair.REPAIRED and _harmless(hit, rest):
        reason += "; they did so at first, too: no decision shows whether it was repaired"
    plan = run.header.plan
    return Twin(
        scenario=plan.scenario,
        seed=plan.seed,
        run=run.header.run,
        twin=other.header.run,
        responder=plan.responder,
        repair=repair,
        reason=reason,
        damaged=hit,
        undamaged=rest,
        unpaired=len(damaged - paired),
        chance=chance,
        rows={"run": _counted(broken.rows, paired), "twin": _counted(whole.rows, paired)},
        damaged_rows={"run": _counted(broken.rows, paired & damaged), "twin": _counted(whole.rows, paired & damaged)},
    )


def _check(plan: Plan, other: Plan) -> None:
    for what, mine, its in (
        ("scenario", plan.scenario, other.scenario),
        ("seed", plan.seed, other.seed),
        ("target", plan.target, other.target),
    ):
        if mine != its:
            raise UsageError(f"no twins: their {what} differs: {mine} and {its}")
    if plan.arm is Arm.CONTROL or other.arm is not Arm.CONTROL:
        raise UsageError(
            f"the arms are {plan.arm} and {other.arm}; the first must be broken, and its twin a control",
            hint=f"drill run {plan.scenario} --arm control --responder none --seed {plan.seed}",
        )
    if plan.quality is None:
        raise UsageError(
            "the target doesn't say where its decisions are", hint="declare `quality` in target.yaml: docs/targets.md"
        )


def _judged(hit: Agreement, rest: Agreement, chance: float | None, *, told: bool) -> tuple[Repair, str]:
    if not told:
        return Repair.UNDECIDED, "it is not known which records were damaged"
    if not hit.decided:
        return Repair.NOTHING_DAMAGED, "no request that both runs decided was damaged"
    if rest.decided < UNDAMAGED_LEAST or chance is None:
        return Repair.UNDECIDED, f"only {rest.decided} undamaged requests tell how often runs agree by themselves"
    if chance < UNLIKELY:
        return Repair.NOT_REPAIRED, "damaged requests agree with the twin more seldom than undamaged ones"
    if rest.high is not None and rest.high < QUIET_LEAST:
        return (
            Repair.UNDECIDED,
            "undamaged requests don't agree either: something else than the damage changed decisions",
        )
    return Repair.REPAIRED, "damaged requests agree with the twin as often as undamaged ones"


def _harmless(hit: Agreement, rest: Agreement) -> bool:
    """Whether the damaged ones agreed as often before anything was scored again: then decisions can't tell a repair from none."""
    return so_few(hit.at_first, hit.decided, others=rest.at_first, others_tried=rest.decided) >= UNLIKELY


def _agreement(keys: set[str], broken: _Side, whole: _Side) -> Agreement:
    agree = sum(broken.final[key] == whole.final[key] for key in keys)
    low, high = exact_bounds(agree, len(keys)) if keys else (None, None)
    return Agreement(len(keys), agree, low, high, sum(broken.first[key] == whole.first[key] for key in keys))


def _counted(rows: Mapping[str, str], keys: set[str]) -> dict[str, int]:
    counts = Counter(rows[key] for key in keys if key in rows)
    return dict(sorted(counts.items()))


# --- one run -----------------------------------------------------------------------------------------------------------


def _side(evidence: Evidence) -> _Side:
    plan = evidence.plan
    assert plan.quality is not None, "checked before"
    keys = _same(evidence)
    decisions = _reading(plan, plan.quality.decisions)
    first = _newest(evidence, decisions, plan.quality.decision, keys, oldest=True)
    final = _newest(evidence, decisions, plan.quality.decision, keys)
    final |= _newest(evidence, _reading(plan, RESCORED), plan.quality.decision, keys)
    return _Side(first, final, _newest(evidence, _reading(plan, LINEAGE), STATUS, keys))


def _newest(
    evidence: Evidence, reading: PlannedReading | None, name: str, keys: Mapping[str, str], *, oldest: bool = False
) -> dict[str, str]:
    """A field's last value (or its first) for each request, by what is the same in both runs."""
    told: dict[str, str] = {}
    if reading is None:
        return told
    field = reading.fields.get(name, name)
    for record in _records(evidence, reading):
        key = keys.get(str(record.get(reading.id)))
        if key is not None and field in record and not (oldest and key in told):
            told[key] = str(record[field])
    return told


def _same(evidence: Evidence) -> dict[str, str]:
    """What is the same in both runs, by the record's id in this one; without golden requests."""
    plan = evidence.plan
    reading = _reading(plan, plan.quality.decisions) if plan.quality is not None else None
    if reading is None or plan.quality is None:
        return {}
    same = reading.fields.get(plan.quality.same, plan.quality.same) if plan.quality.same is not None else reading.id
    golden = synthetic_ids(evidence)
    return {
        record: str(row[same])
        for row in _records(evidence, reading)
        if same in row and (record := str(row.get(reading.id))) not in golden
    }


def _records(evidence: Evidence, reading: PlannedReading) -> list[dict[str, Any]]:
    return [record for _, records in batches(evidence, reading) for record in records]


def _reading(plan: Plan, name: str) -> PlannedReading | None:
    return next((reading for reading in plan.readings if reading.name == name), None)
