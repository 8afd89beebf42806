"""A plan in lines for people: what would happen, when, how it is taken back and who sees it. Nothing is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from harness.contract.faults import CureKind, PlannedFault
from harness.spec.plan import Plan, PlannedCondition, PlannedStep


def describe(plan: Plan, *, not_declared: Iterable[str] = ()) -> list[str]:
    """`not_declared`: what the playbook names and the target lacks, told at the end."""
    lacking = [f"  {reason}" for reason in not_declared]
    return [
        f"{plan.scenario}: {plan.title}",
        f"  arm {plan.arm}, seed {plan.seed}, target {plan.target} ({plan.driver}), responder {plan.responder}",
        *_before(plan),
        *_inject(plan),
        *_expected(plan),
        *_response(plan),
        *_end(plan),
        *(["the playbook names what this target doesn't declare:", *lacking] if lacking else []),
    ]


def _before(plan: Plan) -> Iterator[str]:
    yield "baseline"
    yield f"  objectives hold for {plan.baseline_s:g} s (at most {plan.baseline_within_s:g} s are waited for)"
    for sli in plan.slis:
        bound = f"at least {sli.min:g}" if sli.min is not None else f"at most {sli.max:g}"
        yield f"    {sli.kind}: {bound}, sampled every {plan.sample_every_s:g} s"
    if plan.load is not None:
        yield f"  load {plan.load.name}: {plan.load.rate:g} requests a second"


def _inject(plan: Plan) -> Iterator[str]:
    yield "inject" if plan.faults else "inject: nothing (control)"
    for fault in sorted(plan.faults, key=lambda fault: fault.onset_s):
        yield from _fault(fault)


def _fault(fault: PlannedFault) -> Iterator[str]:
    told = ", ".join(f"{name}: {value}" for name, value in fault.arguments.items() if value is not None)
    hit = ", ".join(f"{part.kind} {part.name}" for part in fault.components)
    yield f"  +{fault.onset_s:.2f} s  {fault.fault} ({told}), dose {fault.dose:g}, on {hit}"
    if fault.way is not msgspec.UNSET:
        yield f"    way: {fault.way}"
    yield (
        f"    witness: looks every {fault.witness_every_s:g} s from before it on, must see it within"
        f" {fault.witness_within_s:g} s"
    )
    yield f"    undo: written before it; restores only what still stands, within {fault.heal_within_s:g} s"
    ends = {
        CureKind.STATE: "the right action ends it",
        CureKind.ACTION: f"the action {fault.cure.action} ends it",
        CureKind.EXTERNAL: "nothing the operator can do ends it; only mitigation is scored",
    }
    yield f"    cure: {ends[fault.cure.kind]}"


def _expected(plan: Plan) -> Iterator[str]:
    yield "expected, counted from when the effect begins"
    if plan.detect is not None:
        alert = f" ({plan.detect.alert})" if plan.detect.alert else ""
        yield f"  within {plan.detect.within_s:g} s  a {plan.detect.severity} of layer {plan.detect.layer}{alert}"
    for name, limit in (("mitigated", plan.mitigate), ("recovered", plan.recover)):
        if limit is not None:
            yield f"  within {limit.within_s:g} s  {name}, holding for {limit.hold_s:g} s"
    if plan.detect is None and plan.mitigate is None and plan.recover is None:
        yield "  nothing pages, nobody changes anything, objectives hold" if plan.arm != "fault" else "  nothing"
    for abort in plan.aborts:
        bound = f"below {abort.below:g}" if abort.below is not None else f"above {abort.above:g}"
        yield f"  stop: {abort.sli} {bound} for {abort.for_s:g} s heals everything and ends the run"


def _response(plan: Plan) -> Iterator[str]:
    yield f"respond: {plan.responder}, at most {plan.budget_s:g} s"
    if plan.responder != "playbook" or plan.playbook is None:
        return
    for step in plan.playbook.steps:
        yield f"  {step.section}: {_step(step)}"
    for forbidden in plan.playbook.forbidden:
        until = f" until {forbidden.until}" if forbidden.until else ""
        yield f"  never{until}: {forbidden.do}, because {forbidden.because}"


def _step(step: PlannedStep) -> str:
    verb = step.do or step.observe or step.report
    parts = [f"{step.id}: {verb}"]
    if step.arguments:
        parts.append(", ".join(f"{name}: {value}" for name, value in step.arguments.items()))
    if step.expect:
        parts.append(f"expects {_conditions(step.expect)}")
    if step.verify:
        by = f" by {step.verify_by}" if step.verify_by else ""
        parts.append(f"verified{by} within {step.timeout_s:g} s: {_conditions(step.verify)}")
    return "; ".join(parts)


def _conditions(conditions: tuple[PlannedCondition, ...]) -> str:
    return ", ".join(f"{one.field} {one.op} {one.value}" for one in conditions)


def _end(plan: Plan) -> Iterator[str]:
    yield f"settle: a recovery must hold for {plan.hold_s:g} s"
    yield f"cleanup: everything is taken back and seen to be gone within {plan.cleanup_s:g} s"
    if plan.command:
        yield f"again: {plan.command}"
