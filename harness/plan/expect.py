"""Limits: what a scenario expects, with the playbook's time targets where it is silent.

Always true: a limit that stands in the plan can be met within the budget, its hold included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from harness.contract.faults import CureKind, PlannedFault
from harness.contract.words import Kind, Layer, Severity
from harness.spec.plan import PlannedAlerts, PlannedDetect, PlannedHeartbeat, PlannedLimit, PlannedRule
from harness.spec.playbook import Playbook, TimeTargets
from harness.spec.scenario import Scenario, WithinExpectation
from harness.spec.target import AlertsSpec, HeartbeatSpec, RuleSpec

HOLD_S = 3.0


class Limits(msgspec.Struct, frozen=True):
    """What a fault arm is judged by; `hold_s` is the longest hold asked for."""

    detect: PlannedDetect | None = None
    mitigate: PlannedLimit | None = None
    recover: PlannedLimit | None = None
    hold_s: float = HOLD_S


NO_LIMITS = Limits()
"""Controls and decoys ignore `expect`."""


def limits(
    scenario: Scenario, *, playbook: Playbook | None, rules: Mapping[str, RuleSpec], faults: Iterable[PlannedFault]
) -> tuple[Limits, list[str]]:
    """The limits of the fault arm, and why some of them can't be."""
    if scenario.kind is Kind.DECOY:
        return NO_LIMITS, []
    targets = playbook.head.targets if playbook is not None else TimeTargets()
    detect, problems = _detect(scenario, playbook=playbook, rules=rules)
    mitigate = _limit(scenario.expect.mitigate, targets.mitigate)
    curable = all(fault.cure.kind is not CureKind.EXTERNAL for fault in faults)
    recover = _limit(scenario.expect.recover, targets.recover if curable else None)
    for name, limit in (("mitigate", mitigate), ("recover", recover)):
        if limit is not None and limit.within_s + limit.hold_s > scenario.budget:
            problems.append(
                f"{name}: the playbook's target of {limit.within_s:g} s plus a hold of {limit.hold_s:g} s is beyond the"
                f" budget of {scenario.budget:g} s; give `expect.{name}` or a longer budget"
            )
    holds = [limit.hold_s for limit in (mitigate, recover) if limit is not None]
    return Limits(detect, mitigate, recover, max(holds, default=HOLD_S)), problems


def alerts(spec: AlertsSpec) -> PlannedAlerts:
    """The settings that make the floor under every detection."""
    return PlannedAlerts(
        scrape_s=spec.scrape,
        evaluation_s=spec.evaluation,
        group_wait_s=spec.group_wait,
        rules=tuple(PlannedRule(name, rule.layer, rule.severity, rule.hold) for name, rule in spec.paging.items()),
        heartbeat=_heartbeat(spec.heartbeat),
    )


def _heartbeat(spec: HeartbeatSpec | None) -> PlannedHeartbeat | None:
    if spec is None:
        return None
    return PlannedHeartbeat(spec.rule, spec.page, spec.layer, every_s=spec.every, within_s=spec.within)


def _limit(own: WithinExpectation | None, target_s: float | None) -> PlannedLimit | None:
    if own is not None:
        return PlannedLimit(own.within, own.hold)
    return PlannedLimit(target_s, HOLD_S) if target_s is not None else None


def _detect(
    scenario: Scenario, *, playbook: Playbook | None, rules: Mapping[str, RuleSpec]
) -> tuple[PlannedDetect | None, list[str]]:
    own = scenario.expect.detect
    if own is not None:
        return PlannedDetect(own.layer, own.within, own.severity, own.alert), []
    if playbook is None or playbook.head.targets.detect is None:
        return None, []
    within_s = playbook.head.targets.detect
    layers = sorted(_layers(playbook.head.answers, rules))
    if len(layers) != 1:
        told = ", ".join(layers) or "none that this target has"
        return None, [
            f"detect: `expect.detect` is silent and the playbook's answers name several layers or none ({told}):"
            " say in `expect.detect` which page must come"
        ]
    if not any(rule.layer is layers[0] and rule.severity is Severity.PAGE for rule in rules.values()):
        return None, [f"detect: no rule of the target makes a page of layer {layers[0]}, which the playbook answers"]
    if within_s > scenario.budget:
        return None, [f"detect: the playbook's target of {within_s:g} s is beyond the budget of {scenario.budget:g} s"]
    return PlannedDetect(layers[0], within_s), []


def _layers(answers: Iterable[str], rules: Mapping[str, RuleSpec]) -> set[Layer]:
    """The layers that a playbook answers: named themselves, or by a rule's name."""
    known = {str(layer): layer for layer in Layer} | {name: rule.layer for name, rule in rules.items()}
    return {known[answer] for answer in answers if answer in known}
