"""What a scenario or a playbook asks for and the target lacks: refused by name, all at once, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.contract.faults import CureKind, PlannedFault
from harness.contract.words import Safeguard
from harness.plugin import FaultDeclaration, Inventory, unknown
from harness.spec.playbook import Playbook
from harness.spec.scenario import Scenario
from harness.spec.target import TargetSpec

MODEL_ALIAS = "model-alias"
"""What may be allowed to change beside the safeguards."""


def capabilities(index: int, declaration: FaultDeclaration, *, target: str, inventory: Inventory) -> Iterator[str]:
    """Capabilities that a fault needs and the target lacks."""
    lacking = sorted(declaration.needs - inventory.capabilities)
    if lacking:
        can = ", ".join(sorted(inventory.capabilities)) or "nothing"
        wants = ", ".join(lacking)
        yield f"faults[{index}]: {declaration.name} needs {wants}: target '{target}' ({inventory.driver}) can {can}"


def not_declared(playbook: Playbook, inventory: Inventory) -> tuple[str, ...]:
    """Every action and observation that a playbook names and the target doesn't declare."""
    found: list[str] = []
    for section, cell in playbook.cells:
        where = f"playbook {playbook.head.id}, {section}, step {cell.id}"
        if cell.do is not None and cell.do not in inventory.actions:
            found.append(f"{where}: {unknown('action', cell.do, inventory.actions)}")
        for observation in (cell.observe, cell.verify_by):
            if observation is not None and observation not in inventory.observations:
                found.append(f"{where}: {unknown('observation', observation, inventory.observations)}")
    return tuple(found)


def expectations(scenario: Scenario, spec: TargetSpec, *, faults: Iterable[PlannedFault]) -> Iterator[str]:
    """What `expect` asks for and can never be seen."""
    expect = scenario.expect
    yield from _detect(scenario, spec)
    if not spec.slis and (expect.mitigate or expect.recover):
        yield f"expect: mitigate and recover need SLIs, and target '{spec.target}' declares none"
    external = [fault.fault for fault in faults if fault.cure.kind is CureKind.EXTERNAL]
    if expect.recover is not None and external:
        yield (
            f"expect.recover: the cure of {', '.join(external)} is external: it never ends within the budget, so only"
            " `mitigate` can be expected (or give the fault a `cure`)"
        )


def _detect(scenario: Scenario, spec: TargetSpec) -> Iterator[str]:
    detect = scenario.expect.detect
    if detect is None:
        return
    rules = spec.alerts.paging
    if detect.alert is not None and detect.alert not in rules:
        yield f"expect.detect.alert: {unknown('rule', detect.alert, rules)}"
        return
    wanted = [rules[detect.alert]] if detect.alert is not None else list(rules.values())
    if not any(rule.layer is detect.layer and rule.severity is detect.severity for rule in wanted):
        having = sorted({str(rule.layer) for rule in rules.values() if rule.severity is detect.severity})
        which = f"rule '{detect.alert}'" if detect.alert is not None else "no rule"
        verb = "is no" if detect.alert is not None else "makes a"
        yield (
            f"expect.detect: {which} {verb} {detect.severity} of layer {detect.layer};"
            f" layers with one: {', '.join(having) or 'none'}"
        )


def rest(scenario: Scenario, spec: TargetSpec) -> Iterator[str]:
    """Stop conditions, load and allowances that name what the target lacks."""
    for index, abort in enumerate(scenario.abort):
        if abort.sli not in spec.slis:
            yield f"abort[{index}]: {unknown('SLI', abort.sli, spec.slis)}"
    chosen = "load" in scenario.model_fields_set
    if scenario.load not in spec.load and (spec.load or chosen):
        yield f"load: {unknown('load', scenario.load, spec.load)}"
    legal = [*(str(safeguard) for safeguard in Safeguard), MODEL_ALIAS]
    for index, allowed in enumerate(scenario.allow):
        if str(allowed.changed) not in legal:
            yield f"allow[{index}]: {unknown('safeguard', str(allowed.changed), legal)}"
