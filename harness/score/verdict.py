"""The verdict: one word, the first that applies, with its reasons; and the exit code that goes with it.

ENV_ERROR, INVALID_INJECTION, ABORTED, NOT_EXPOSED, FAIL, INCONCLUSIVE, PASS: in this order, because each earlier one takes the
ground from under those after it. Only PASS and FAIL speak about the target.

What always holds: PASS needs at least one criterion, and all of them met; a history that breaks off before the run's end is
ENV_ERROR, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.contract.words import Arm, EndReason, Phase
from harness.errors import Exit
from harness.history.commands import PrepareFault, SecureUndo, SetUp, StartObservers, TakeSnapshot
from harness.history.events import Failed, LoadBucket
from harness.history.scorecard import Answer, Collateral, Criterion, Verdict
from harness.measure.folds import Hold
from harness.score import objectives
from harness.score.evidence import NS, Evidence, Issue
from harness.score.faults import Witnessed
from harness.score.objectives import Judged

STOPPED = frozenset({EndReason.STOP_CONDITION, EndReason.SIGNAL})
SIGNAL_EXITS = {"SIGHUP": Exit.HUNG_UP, "SIGINT": Exit.INTERRUPTED, "SIGTERM": Exit.TERMINATED}
VERDICT_EXITS = {
    Verdict.ENV_ERROR: Exit.ENVIRONMENT,
    Verdict.ABORTED: Exit.ABORTED,
    Verdict.FAIL: Exit.FAIL,
    Verdict.INVALID_INJECTION: Exit.UNDECIDED,
    Verdict.NOT_EXPOSED: Exit.UNDECIDED,
    Verdict.INCONCLUSIVE: Exit.UNDECIDED,
    Verdict.PASS: Exit.PASS,
}


def verdict(
    evidence: Evidence,
    seen: tuple[Witnessed, ...],
    samples: tuple[Judged, ...],
    damaged: Mapping[int, frozenset[str] | None],
    criteria: tuple[Criterion, ...],
    collateral: tuple[Collateral, ...],
) -> tuple[Verdict, tuple[str, ...]]:
    """The first verdict that has a reason, with its reasons."""
    tests: tuple[tuple[Verdict, Callable[[], list[str]]], ...] = (
        (Verdict.ENV_ERROR, lambda: _environment(evidence, samples)),
        (Verdict.INVALID_INJECTION, lambda: _invalid(evidence, seen)),
        (Verdict.ABORTED, lambda: _aborted(evidence)),
        (Verdict.NOT_EXPOSED, lambda: _unexposed(evidence, seen, damaged)),
        (Verdict.FAIL, lambda: _failed(criteria, collateral)),
        (Verdict.INCONCLUSIVE, lambda: _undecided(criteria, collateral)),
    )
    for word, reasons_of in tests:
        reasons = reasons_of()
        if reasons:
            return word, tuple(reasons)
    return Verdict.PASS, tuple(criterion.reason for criterion in criteria)


def exit_code(evidence: Evidence, word: Verdict, dirty: tuple[int, ...]) -> Exit:
    """Exit code of this run alone. Dirty comes before everything, an internal error before the environment."""
    finish = evidence.finish()
    if dirty:
        return Exit.DIRTY
    if finish is not None and finish.reason is EndReason.INTERNAL:
        return Exit.INTERNAL
    if word is Verdict.ABORTED and finish is not None and finish.reason is EndReason.SIGNAL:
        names = [signal.name for signal in evidence.signals]
        return next((SIGNAL_EXITS[name] for name in reversed(names) if name in SIGNAL_EXITS), Exit.ABORTED)
    return VERDICT_EXITS[word]


def _environment(evidence: Evidence, samples: tuple[Judged, ...]) -> list[str]:
    finish = evidence.finish()
    reasons = [reason for issue in evidence.issues if (reason := _failed_command(evidence, issue))]
    if finish is None:
        reasons.append("the history breaks off before the run's end")
    elif finish.reason in (EndReason.ENVIRONMENT, EndReason.INTERNAL):
        what = "the environment" if finish.reason is EndReason.ENVIRONMENT else "the harness itself"
        reasons.append(f"{what} failed" + (f": {finish.detail}" if finish.detail else ""))
    reasons += [
        f"{lost.observer} was lost: {lost.error or 'it went silent'}"
        for lost in evidence.lost
        if lost.t_ns <= evidence.ended_ns
    ]
    reasons += _unasked_exits(evidence)
    if not reasons and not _stopped_early(evidence) and not _baseline_held(evidence, samples):
        reasons.append(f"objectives did not hold for {evidence.plan.baseline_s:g} s before the injection")
    return reasons


def _failed_command(evidence: Evidence, issue: Issue) -> str:
    """What went wrong with a command without which there is no drill."""
    reply = evidence.replies.get(issue.command.id)
    if not isinstance(reply, Failed):
        return ""
    last = f" ({reply.log[-1]})" if reply.log else ""
    match issue.command:
        case SetUp():
            return f"the target could not be set up: {reply.error}{last}"
        case StartObservers():
            return f"the observers could not be started: {reply.error}{last}"
        case TakeSnapshot(which="baseline"):
            return f"the baseline could not be recorded: {reply.error}{last}"
        case PrepareFault(fault=fault):
            return f"fault {fault} could not be prepared: {reply.error}{last}"
        case SecureUndo(fault=fault):
            return f"the undo of fault {fault} could not be written: {reply.error}{last}"
        case _:
            return ""


def _unasked_exits(evidence: Evidence) -> list[str]:
    """Services that died by themselves where nothing of ours can have killed them."""
    control = evidence.plan.arm is Arm.CONTROL
    from_ns = evidence.phase_ns(Phase.BASELINE)
    inject_ns = evidence.first_inject_ns
    until_ns = evidence.ended_ns if control or inject_ns is None else inject_ns
    return [
        f"{exit.service} died unasked ({exit.reason}{'' if exit.code is None else f' {exit.code}'})"
        for exit in evidence.exits
        if not exit.asked and from_ns is not None and from_ns <= exit.t_ns < until_ns
    ]


def _stopped_early(evidence: Evidence) -> bool:
    """Stopped by a signal before the baseline was through: then a baseline that didn't hold is no finding."""
    finish = evidence.finish()
    return finish is not None and finish.reason in STOPPED and evidence.baseline_end_ns() is None


def _baseline_held(evidence: Evidence, samples: tuple[Judged, ...]) -> bool:
    """Whether all objectives were met for as long as the plan says, give or take two samples at the edges."""
    plan, end_ns = evidence.plan, evidence.baseline_end_ns()
    if end_ns is None:
        return False
    if not plan.slis:
        return True
    fold = Hold(round(max(plan.baseline_s - 2 * plan.sample_every_s, 0.0) * NS))
    for look in objectives.looks(samples, from_ns=evidence.header.t_ns, to_ns=end_ns):
        fold = fold.step(look.t_ns, look.present)
        if fold.held_ns is not None:
            return True
    return False


def _invalid(evidence: Evidence, seen: tuple[Witnessed, ...]) -> list[str]:
    finish = evidence.finish()
    reasons = []
    stopped = finish is not None and finish.reason in STOPPED
    for one in seen:
        excused = stopped and (one.inject_ns is None or not one.decided)
        if one.active is None and not excused:
            reasons.append(f"{one.fault.fault}: {one.why}")
    if not reasons and finish is not None and finish.reason is EndReason.INVALID_INJECTION:
        reasons.append(finish.detail or "the run called its own injection invalid")
    if evidence.plan.arm is not Arm.CONTROL and not evidence.plan.faults:
        reasons.append("the plan injects nothing, though its arm is no control")
    return reasons


def _aborted(evidence: Evidence) -> list[str]:
    finish = evidence.finish()
    if finish is None or finish.reason not in STOPPED:
        return []
    if finish.reason is EndReason.SIGNAL:
        names = ", ".join(signal.name for signal in evidence.signals) or "told to stop"
        return [f"stopped by the operator: {finish.detail or names}"]
    return [f"a stop condition was breached{': ' + finish.detail if finish.detail else ''}"]


def _unexposed(
    evidence: Evidence, seen: tuple[Witnessed, ...], damaged: Mapping[int, frozenset[str] | None]
) -> list[str]:
    reasons = []
    for one in seen:
        if one.active is None:
            continue
        from_ns = one.active.to_ns
        offered = any(load.scheduled > 0 and load.t_ns > from_ns for load in _until_end(evidence))
        probed = any(s.sent > 0 and from_ns <= s.t_ns <= evidence.ended_ns for s in evidence.samples)
        if not offered and not probed:
            reasons.append(f"{one.fault.fault}: no traffic was offered while it was active")
        by_mask = one.fault.damage is not None and one.fault.damage.by_mask
        if by_mask and not damaged.get(one.fault.index):
            reasons.append(f"{one.fault.fault}: it damaged no record")
    return reasons


def _until_end(evidence: Evidence) -> list[LoadBucket]:
    return [load for load in evidence.loads if load.t_ns - load.res_ns <= evidence.ended_ns]


def _failed(criteria: tuple[Criterion, ...], collateral: tuple[Collateral, ...]) -> list[str]:
    reasons = [criterion.reason for criterion in criteria if criterion.answer is Answer.MISSED]
    reasons += [
        f"catastrophic: {one.safeguard}: {', '.join(one.changes)}"
        for one in collateral
        if one.catastrophic and one.kept is False
    ]
    return reasons


def _undecided(criteria: tuple[Criterion, ...], collateral: tuple[Collateral, ...]) -> list[str]:
    if not criteria:
        return ["nothing is expected of this run, so nothing was judged"]
    reasons = [criterion.reason for criterion in criteria if criterion.answer is Answer.NOT_OBSERVED]
    reasons += [
        f"{one.safeguard} could not be observed, and breaking it would be catastrophic"
        for one in collateral
        if one.catastrophic and one.kept is None
    ]
    return reasons
