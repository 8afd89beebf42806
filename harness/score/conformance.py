"""How closely the response followed its playbook: beside the outcome, never multiplied into it.

A responder that runs the playbook says which step it is at; of a person or a bot, a step counts as done by the first command
of the same verb that carries at least the step's arguments. Only the partial order that `requires` declares is an order.

What always holds: a guard must have passed before the first change that isn't a guard's own; a forbidden action counts when it
was attempted, whether or not the target refused it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.contract.words import HARMLESS_ACTIONS, Action
from harness.history.commands import Act, EndStep, Observe, Say
from harness.history.events import ActionDone, ObservationDone
from harness.history.scorecard import Conformance, StepResult
from harness.score.evidence import NS, Evidence
from harness.score.recovery import carries
from harness.spec.plan import PlannedForbidden, PlannedPlaybook, PlannedStep

PASSED, FAILED, SKIPPED, NOT_REACHED = "passed", "failed", "skipped", "not reached"

Doing = Act | Observe | Say


class Done(msgspec.Struct, frozen=True):
    """A step as it was done; times None where it wasn't."""

    step: PlannedStep
    outcome: str
    started_ns: int | None = None
    ended_ns: int | None = None
    why: str = ""


def conformance(evidence: Evidence, *, called_ns: int | None) -> Conformance | None:
    """None where the plan has no playbook. Step times count from `called_ns`, the page that called the responder."""
    playbook = evidence.plan.playbook
    if playbook is None:
        return None
    doings = sorted(_doings(evidence), key=lambda doing: doing[0])
    told = {end.step: (t_ns, end) for t_ns, end in evidence.issued(EndStep)}
    if told:
        done = {step.id: _by_step(step, doings, told.get(step.id)) for step in playbook.steps}
    else:
        done = {step.id: _by_likeness(evidence, step, doings) for step in playbook.steps}
    results = tuple(_result(evidence, one, called_ns) for one in done.values())
    required = [one for one in done.values() if not one.step.optional and one.outcome != SKIPPED]
    return Conformance(
        steps=results,
        required_done=sum(one.outcome == PASSED for one in required),
        required=len(required),
        order_kept=_order_kept(done),
        guards_kept=_guards_kept(done, doings),
        forbidden_done=tuple(_forbidden(playbook, done, doings)),
        out_of_time=tuple(_out_of_time(evidence, playbook, results, called_ns)),
    )


def _doings(evidence: Evidence) -> Iterator[tuple[int, Doing]]:
    yield from evidence.issued(Act)
    yield from evidence.issued(Observe)
    yield from evidence.issued(Say)


def _by_step(step: PlannedStep, doings: list[tuple[int, Doing]], told: tuple[int, EndStep] | None) -> Done:
    started = next((t_ns for t_ns, doing in doings if doing.step == step.id), None)
    if told is None:
        return Done(
            step, NOT_REACHED if started is None else FAILED, started, why="" if started is None else "not ended"
        )
    t_ns, end = told
    return Done(step, end.outcome, started, t_ns, end.why)


def _by_likeness(evidence: Evidence, step: PlannedStep, doings: list[tuple[int, Doing]]) -> Done:
    for t_ns, doing in doings:
        if _like(step, doing):
            reply = evidence.replies.get(doing.id)
            if isinstance(doing, Say):
                return Done(step, PASSED, t_ns, t_ns)
            if isinstance(reply, ActionDone | ObservationDone):
                return Done(step, PASSED if reply.ok else FAILED, t_ns, reply.t_ns, reply.error)
            return Done(step, FAILED, t_ns, why="no reply")
    return Done(step, NOT_REACHED)


def _like(step: PlannedStep, doing: Doing) -> bool:
    match doing:
        case Act(action=verb, arguments=arguments):
            return step.do is verb and carries(arguments, _literal(step))
        case Observe(observation=seen, arguments=arguments):
            return step.observe is seen and carries(arguments, _literal(step))
        case Say(report=report):
            return step.report is report


def _literal(step: PlannedStep) -> dict[str, object]:
    """The step's arguments that are the same for everyone: a `${step.field}` is the runner's own."""
    return {name: v for name, v in step.arguments.items() if not (isinstance(v, str) and "${" in v)}


def _result(evidence: Evidence, done: Done, called_ns: int | None) -> StepResult:
    step, limit_s = done.step, done.step.within_s
    ended_s = _since(called_ns, done.ended_ns)
    in_time: bool | None = None
    if limit_s is not None and done.outcome != SKIPPED:
        if done.outcome == PASSED:
            in_time = None if ended_s is None else ended_s <= limit_s
        elif called_ns is not None and evidence.ended_ns > called_ns + round(limit_s * NS):
            in_time = False
    return StepResult(
        id=step.id,
        section=step.section,
        verb=str(step.observe or step.do or step.report),
        outcome=done.outcome,
        started_s=_since(called_ns, done.started_ns),
        ended_s=ended_s,
        limit_s=limit_s,
        in_time=in_time,
        why=done.why,
    )


def _order_kept(done: dict[str, Done]) -> bool | None:
    """Whether every step began after those it requires had passed; None where none that requires any was begun."""
    answers = []
    for one in done.values():
        for before in (done[name] for name in one.step.requires if name in done):
            if one.started_ns is not None:
                passed = before.outcome == PASSED and before.ended_ns is not None
                answers.append(passed and (before.ended_ns or 0) <= one.started_ns)
    return all(answers) if answers else None


def _guards_kept(done: dict[str, Done], doings: list[tuple[int, Doing]]) -> bool | None:
    """Whether all guards had passed before the first change; None where there is no guard or nothing was changed."""
    guards = {name: one for name, one in done.items() if one.step.guard}
    own = {(one.started_ns, one.step.do) for one in guards.values()}
    first = next(
        (
            t_ns
            for t_ns, doing in doings
            if isinstance(doing, Act) and doing.action not in HARMLESS_ACTIONS and (t_ns, doing.action) not in own
        ),
        None,
    )
    if not guards or first is None:
        return None
    return all(g.outcome == PASSED and g.ended_ns is not None and g.ended_ns <= first for g in guards.values())


def _forbidden(playbook: PlannedPlaybook, done: dict[str, Done], doings: list[tuple[int, Doing]]) -> Iterator[str]:
    for rule in playbook.forbidden:
        free_ns = _free_ns(rule, done)
        attempts: list[Action] = [
            doing.action
            for t_ns, doing in doings
            if isinstance(doing, Act)
            and doing.action is rule.do
            and carries(doing.arguments, rule.arguments)
            and (free_ns is None or t_ns < free_ns)
        ]
        if attempts:
            yield f"{rule.do}: {rule.because}"


def _free_ns(rule: PlannedForbidden, done: dict[str, Done]) -> int | None:
    """From when on the action is no longer forbidden; None: never."""
    until = done.get(rule.until) if rule.until is not None else None
    return until.ended_ns if until is not None and until.outcome == PASSED else None


def _out_of_time(
    evidence: Evidence, playbook: PlannedPlaybook, results: tuple[StepResult, ...], called_ns: int | None
) -> Iterator[str]:
    limit_s = playbook.acknowledge_s
    if limit_s is not None and called_ns is not None:
        acked = next((t for t, say in evidence.says() if say.report == "ack" and t >= called_ns), None)
        if (acked or evidence.ended_ns) > called_ns + round(limit_s * NS):
            yield "acknowledge"
    yield from (result.id for result in results if result.in_time is False)


def _since(from_ns: int | None, to_ns: int | None) -> float | None:
    return None if from_ns is None or to_ns is None else (to_ns - from_ns) / NS
