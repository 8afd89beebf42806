"""From a history to its scorecard: the one function that puts the measures together.

Pure: no clock, no network, no randomness, no plugin; the same history gives the same bytes a year later on another machine.
"""

from __future__ import annotations

from harness.contract.words import Arm
from harness.history.reader import collector_paused
from harness.history.scorecard import SCORECARD_SCHEMA, Criterion, Scorecard
from harness.measure.onset import Interval
from harness.score.badminutes import bad_minutes_of
from harness.score.collateral import collateral, intact
from harness.score.conformance import conformance
from harness.score.criteria import changes, fault_criteria, quiet_criteria
from harness.score.debt import damaged_by_fault, debt
from harness.score.detection import detection, monitoring, pages
from harness.score.diagnosis import diagnosed
from harness.score.evidence import NS, Evidence, Recording, gather
from harness.score.faults import Witnessed, dirty, result, witnessed
from harness.score.moments import moments
from harness.score.objectives import impact as impact_of
from harness.score.objectives import judged
from harness.score.outcome import outcome
from harness.score.recovery import recovery as recovery_of
from harness.score.rounding import rounded
from harness.score.times import times
from harness.score.verdict import exit_code, verdict

SCORER = "mldrill score 7"
"""Changes whenever the same history would get another scorecard."""


def score(history: Recording) -> Scorecard:
    """The scorecard of a run."""
    with collector_paused():
        return _scored(history)


def _scored(history: Recording) -> Scorecard:
    evidence = gather(history)
    plan, finish = evidence.plan, evidence.finish()
    seen = tuple(witnessed(evidence, fault) for fault in plan.faults)
    active = first_active(seen)
    baseline_end_ns = evidence.baseline_end_ns()
    zero_ns = active.from_ns if active else baseline_end_ns
    damaged = damaged_by_fault(evidence)
    detected = detection(evidence)
    samples = judged(plan, evidence.samples)
    impact = impact_of(
        plan,
        samples,
        from_ns=zero_ns if zero_ns is not None else evidence.ended_ns + 1,
        to_ns=evidence.ended_ns,
    )
    side = collateral(evidence, damaged)
    owed = debt(evidence, damaged, zero_ns=zero_ns or 0)
    recovery = None
    if active is not None and plan.arm is Arm.FAULT:
        safe = intact(side, zero_ns=active.from_ns)
        recovery = recovery_of(
            evidence, seen, samples, zero_ns=active.from_ns, impact=impact, debt=owed, safeguards=safe
        )
    diagnosis = diagnosed(evidence, active=active)
    at = moments(evidence, active=active, detected=detected, impact=impact, recovery=recovery, loc_ns=diagnosis.loc_ns)
    paged = changed = None
    criteria: tuple[Criterion, ...] = ()
    if plan.arm is not Arm.FAULT and baseline_end_ns is not None:
        paged = pages(evidence, from_ns=baseline_end_ns, to_ns=evidence.ended_ns)
        changed = changes(evidence, from_ns=baseline_end_ns)
        criteria = quiet_criteria(evidence, paged=paged, changed=changed, impact=impact)
    elif active is not None and recovery is not None:
        criteria = fault_criteria(evidence, active=active, detected=detected, impact=impact, recovery=recovery)
    word, reasons = verdict(evidence, seen, samples, damaged, criteria, side)
    unhealed = dirty(evidence)
    return rounded(
        Scorecard(
            schema=SCORECARD_SCHEMA,
            verdict=word,
            reasons=reasons,
            criteria=criteria,
            times=times(evidence, at, detected=detected, impact=impact, recovery=recovery),
            moments=at,
            bad_minutes=bad_minutes_of(
                evidence,
                damaged,
                from_ns=zero_ns,
                until_ns=evidence.ended_ns,
            ),
            monitoring=monitoring(plan, detected),
            bad_samples={str(kind): count for kind, count in impact.bad.items()},
            debt=owed.items,
            collateral=side,
            conformance=conformance(evidence, called_ns=at.t_called),
            diagnosis=diagnosis.diagnosis,
            outcome=outcome(word, criteria, side),
            false_pages=None if paged is None else len(paged),
            false_actions=None if changed is None else len(changed),
            exposure_s=_exposure_s(evidence, baseline_end_ns) if paged is not None else None,
            faults=tuple(result(evidence, one) for one in seen),
            run=evidence.header.run,
            scenario=plan.scenario,
            arm=str(plan.arm),
            seed=plan.seed,
            responder=plan.responder,
            target=plan.target,
            end_reason=str(finish.reason) if finish is not None else "",
            dirty=unhealed,
            exit=int(exit_code(evidence, word, unhealed)),
            history_sha256=history.digest,
            scorer=SCORER,
            harness_lag_s=max((lag.worst_ns for lag in evidence.lags), default=0) / NS if evidence.lags else None,
            torn=history.torn,
        )
    )


def first_active(seen: tuple[Witnessed, ...]) -> Interval | None:
    """With several faults, the first to become active."""
    return min((one.active for one in seen if one.active), key=lambda i: (i.from_ns, i.to_ns), default=None)


def _exposure_s(evidence: Evidence, from_ns: int | None) -> float | None:
    return None if from_ns is None else max(evidence.ended_ns - from_ns, 0) / NS
