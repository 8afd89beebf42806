"""A playbook as the responder and the scorer use it: cells become steps, conditions become lists of comparisons."""

from __future__ import annotations

from collections.abc import Mapping

from harness.spec.plan import PlannedCondition, PlannedForbidden, PlannedPlaybook, PlannedStep
from harness.spec.playbook import Cell, Operator, Playbook, Section


def planned(playbook: Playbook) -> PlannedPlaybook:
    """The playbook, resolved."""
    head = playbook.head
    return PlannedPlaybook(
        id=head.id,
        title=head.title,
        severity=head.severity,
        owner=head.owner,
        steps=tuple(_step(section, cell) for section, cell in playbook.cells),
        forbidden=tuple(
            PlannedForbidden(do=f.do, because=f.because, arguments=dict(f.with_), until=f.until) for f in head.forbidden
        ),
        escalation=head.escalation,
        acknowledge_s=head.targets.acknowledge,
    )


def _step(section: Section, cell: Cell) -> PlannedStep:
    return PlannedStep(
        id=cell.id,
        section=section,
        observe=cell.observe,
        do=cell.do,
        report=cell.report,
        arguments=dict(cell.with_),
        expect=_conditions(cell.expect),
        verify=_conditions(cell.verify),
        verify_by=cell.verify_by,
        verify_arguments=dict(cell.verify_with),
        when=_conditions(cell.when),
        timeout_s=cell.timeout,
        within_s=cell.within,
        requires=cell.requires,
        guard=cell.guard,
        optional=cell.optional,
    )


def _conditions(condition: Mapping[str, Operator] | None) -> tuple[PlannedCondition, ...]:
    found = []
    for field, operator in (condition or {}).items():
        (given,) = operator.model_fields_set
        found.append(PlannedCondition(field, given.rstrip("_"), getattr(operator, given)))
    return tuple(found)
