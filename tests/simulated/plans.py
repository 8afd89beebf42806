"""Literal plans for simulated drills."""

from __future__ import annotations

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault
from harness.contract.words import Action, Arm, CauseClass, Kind, Layer, Observation, ReportKind, SliKind
from harness.spec.plan import (
    PLAN_SCHEMA,
    Plan,
    PlannedAbort,
    PlannedAlerts,
    PlannedCondition,
    PlannedDetect,
    PlannedLimit,
    PlannedPlaybook,
    PlannedService,
    PlannedSli,
    PlannedStep,
)

STATE = Cure(kind=CureKind.STATE)
BY_ACTION = Cure(kind=CureKind.ACTION, action=Action.REROUTE, arguments={"link": "a-b"})
EXTERNAL = Cure(kind=CureKind.EXTERNAL)


def planned_fault(index: int = 0, *, cure: Cure = STATE, onset_s: float = 0.4) -> PlannedFault:
    """A fault on the stub's point of the same index."""
    return PlannedFault(
        index=index,
        fault="stub.break",
        arguments={},
        dose=1.0,
        onset_s=onset_s,
        witness_within_s=3.0,
        witness_every_s=0.2,
        cure=cure,
        cause=CauseClass.CONFIG,
        components=(Component(kind="service", name="a"),),
        look=Look(label="broken"),
    )


PLAYBOOK = PlannedPlaybook(
    id="stub",
    title="Stub",
    severity="high",
    owner="nobody",
    steps=(
        PlannedStep(id="ack", section="Acknowledge", report=ReportKind.ACK),
        PlannedStep(
            id="look",
            section="Assess",
            observe=Observation.VERSIONS,
            expect=(PlannedCondition(field="champion", op="eq", value="2"),),
        ),
        PlannedStep(
            id="fix",
            section="Act",
            do=Action.ROLLBACK,
            arguments={"to": "${look.previous}"},
            requires=("look",),
        ),
        PlannedStep(id="escalate", section="Escalate", report=ReportKind.ESCALATE),
        PlannedStep(id="resolve", section="Afterwards", report=ReportKind.RESOLVE),
    ),
)


def a_plan(
    *faults: PlannedFault,
    arm: Arm = Arm.FAULT,
    kind: Kind = Kind.FAULT,
    aborts: tuple[PlannedAbort, ...] = (),
    playbook: PlannedPlaybook | None = PLAYBOOK,
    budget_s: float = 30.0,
) -> Plan:
    """A plan over one availability SLI."""
    return Plan(
        schema=PLAN_SCHEMA,
        scenario="stub",
        title="Stub",
        kind=kind,
        incident="data-issue",
        scenario_digest="0",
        arm=arm,
        seed=1,
        target="stub",
        driver="stub",
        target_digest="0",
        responder="none",
        responder_arguments={},
        faults=faults,
        slis=(PlannedSli(kind=SliKind.AVAILABILITY, min=0.95),),
        detect=PlannedDetect(layer=Layer.AVAILABILITY, within_s=8),
        mitigate=PlannedLimit(within_s=15, hold_s=3),
        recover=PlannedLimit(within_s=22, hold_s=3),
        aborts=aborts,
        allow=(),
        safeguards=(),
        baseline_s=1.5,
        baseline_within_s=10,
        hold_s=3,
        budget_s=budget_s,
        cleanup_s=10,
        sample_every_s=0.5,
        load=None,
        playbook=playbook,
        alerts=PlannedAlerts(scrape_s=1, evaluation_s=1, group_wait_s=0),
        services=(PlannedService(name="a", role="a"), PlannedService(name="b", role="b")),
        edges=(),
        readings=(),
    )
