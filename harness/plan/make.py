"""The plan of one run. Times: onsets are counted from the end of the baseline, limits from t_active."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from harness.contract.faults import Cure, PlannedFault
from harness.contract.undo import Json
from harness.contract.words import Arm, Kind
from harness.errors import UnsupportedError, UsageError
from harness.plan import expect, lacks, pages
from harness.plan.arguments import resolved
from harness.plugin import Fault, FaultDeclaration, Inventory, draft
from harness.seeds import derive, fraction
from harness.spec.plan import (
    PLAN_SCHEMA,
    Plan,
    PlannedAbort,
    PlannedAllow,
    PlannedEdge,
    PlannedLoad,
    PlannedQuality,
    PlannedReading,
    PlannedSafeguard,
    PlannedService,
    PlannedSli,
)
from harness.spec.playbook import Playbook
from harness.spec.scenario import CureSpec, FaultSpec, Scenario
from harness.spec.target import TargetSpec

BASELINE_S = 1.5
BASELINE_WITHIN_S = 20.0
CLEANUP_S = 15.0
SAMPLE_EVERY_S = 0.5
PLAYBOOK = "playbook"


def make_plan(
    scenario: Scenario,
    *,
    scenario_digest: str,
    target_spec: TargetSpec,
    inventory: Inventory,
    playbook: Playbook | None,
    arm: Arm,
    seed: int,
    responder: str,
    responder_arguments: Mapping[str, Json],
    faults: Callable[[str], Fault],
    target_digest: str,
    act_at_s: float | None = None,
    command: str = "",
) -> Plan:
    """Raises `UsageError` (bad arguments) or `UnsupportedError` (the target lacks something), each with all its reasons."""
    _check_arm(scenario, arm)
    if responder == PLAYBOOK and playbook is None:
        raise UsageError(f"scenario '{scenario.scenario}' names no playbook that the responder could follow")
    planned = _faults(scenario, spec=target_spec, inventory=inventory, seed=seed, faults=faults)
    limits, too_late = expect.limits(scenario, playbook=playbook, rules=target_spec.alerts.paging, faults=planned)
    lacking = [
        *lacks.expectations(scenario, target_spec, faults=planned),
        *too_late,
        *lacks.rest(scenario, target_spec),
    ]
    if responder == PLAYBOOK and playbook is not None:
        lacking += lacks.not_declared(playbook, inventory)
    _refuse_unsupported(scenario, lacking)
    limits = limits if arm is Arm.FAULT else expect.NO_LIMITS
    return Plan(
        schema=PLAN_SCHEMA,
        scenario=scenario.scenario,
        title=scenario.title,
        kind=scenario.kind,
        incident=scenario.incident,
        scenario_digest=scenario_digest,
        arm=arm,
        seed=seed,
        target=target_spec.target,
        driver=inventory.driver,
        target_digest=target_digest,
        responder=responder,
        responder_arguments=dict(responder_arguments),
        faults=() if arm is Arm.CONTROL else planned,
        slis=_slis(target_spec),
        detect=limits.detect,
        mitigate=limits.mitigate,
        recover=limits.recover,
        aborts=tuple(PlannedAbort(a.sli, a.for_, below=a.below, above=a.above) for a in scenario.abort),
        allow=tuple(PlannedAllow(str(a.changed), a.where) for a in scenario.allow),
        safeguards=tuple(
            PlannedSafeguard(kind, declared.catastrophic, declared.share)
            for kind, declared in target_spec.safeguards.items()
        ),
        baseline_s=BASELINE_S,
        baseline_within_s=BASELINE_WITHIN_S,
        hold_s=limits.hold_s,
        budget_s=scenario.budget,
        cleanup_s=CLEANUP_S,
        sample_every_s=target_spec.golden.every if target_spec.golden is not None else SAMPLE_EVERY_S,
        load=_load(scenario, target_spec),
        playbook=pages.planned(playbook) if playbook is not None else None,
        alerts=expect.alerts(target_spec.alerts),
        services=tuple(PlannedService(name, service.role) for name, service in target_spec.services.items()),
        edges=_edges(target_spec),
        readings=tuple(
            PlannedReading(name, reading.id, reading.time, dict(reading.fields), reading.every)
            for name, reading in target_spec.readings.items()
        ),
        quality=PlannedQuality(**target_spec.quality.model_dump()) if target_spec.quality is not None else None,
        charts=target_spec.charts,
        act_at_s=act_at_s,
        restart_all_solves=scenario.restart_all_solves,
        command=command,
    )


def _check_arm(scenario: Scenario, arm: Arm) -> None:
    own = Arm.FAULT if scenario.kind is Kind.FAULT else Arm.DECOY
    if arm not in (own, Arm.CONTROL):
        raise UsageError(f"scenario '{scenario.scenario}' is a {scenario.kind}: its arms are {own} and control")


def _refuse_unsupported(scenario: Scenario, lacking: list[str]) -> None:
    if lacking:
        raise UnsupportedError(
            "\n".join([f"scenario '{scenario.scenario}' can't be run here:", *(f"  {reason}" for reason in lacking)]),
            hint="`drill list` says which scenarios need containers: run those with --target docker",
        )


# --- faults ---------------------------------------------------------------------------------------------------------


def _faults(
    scenario: Scenario,
    *,
    spec: TargetSpec,
    inventory: Inventory,
    seed: int,
    faults: Callable[[str], Fault],
) -> tuple[PlannedFault, ...]:
    """All faults resolved. Wrong arguments are told before lacking capabilities: they may be why one seems to lack."""
    jitter_s = fraction(seed, "onset") * (spec.alerts.scrape + spec.alerts.evaluation)
    planned: list[PlannedFault] = []
    wrong: list[str] = []
    lacking: list[str] = []
    for index, written in enumerate(scenario.faults):
        try:
            fault = faults(written.fault)
        except UsageError as error:
            wrong.append(f"faults[{index}]: {error.message}")
            continue
        lacking += lacks.capabilities(index, fault.declaration, target=spec.target, inventory=inventory)
        arguments, problems = resolved(
            fault.declaration, written.arguments(), inventory=inventory, readings=spec.readings
        )
        if problems:
            wrong += [f"faults[{index}] ({written.fault}): {problem}" for problem in problems]
            continue
        drafted = draft(
            fault.declaration,
            arguments=arguments,
            index=index,
            onset_s=round(written.after + jitter_s, 6),
            seed=derive(seed, "fault", index),
        )
        drafted = msgspec.structs.replace(drafted, cure=_cure(written, fault.declaration))
        try:
            planned.append(fault.plan(drafted, inventory))
        except UsageError as error:
            wrong.append(f"faults[{index}] ({written.fault}): {error.message}")
    if wrong:
        raise UsageError("\n".join(wrong), hint="`drill list --faults` shows every fault with its arguments")
    _refuse_unsupported(scenario, lacking)
    return tuple(planned)


def _cure(written: FaultSpec, declaration: FaultDeclaration) -> Cure:
    own: CureSpec | None = written.cure
    if own is None:
        return declaration.cure
    return Cure(kind=own.kind, action=own.action, arguments=dict(own.with_))


# --- the target -----------------------------------------------------------------------------------------------------


def _slis(spec: TargetSpec) -> tuple[PlannedSli, ...]:
    return tuple(PlannedSli(kind, sli.objective.min, sli.objective.max) for kind, sli in spec.slis.items())


def _load(scenario: Scenario, spec: TargetSpec) -> PlannedLoad | None:
    load = spec.load.get(scenario.load)
    return PlannedLoad(scenario.load, load.rate) if load is not None else None


def _edges(spec: TargetSpec) -> tuple[PlannedEdge, ...]:
    links = (PlannedEdge(link.from_, link.to, name) for name, link in spec.links.items())
    return (*links, *(PlannedEdge(a, b) for a, b in spec.graph.edges))
