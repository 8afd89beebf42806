"""The record type of a Plan: every step of a run resolved and timed.

A plan holds no name that must still be looked up and no default that must still be filled in: the conductor, the scorer
and the reports work from the plan alone, with no plugin and no file of the scenario's. It is embedded in every history.
"""

from __future__ import annotations

import math

import msgspec

from harness.contract.faults import PlannedFault
from harness.contract.undo import Json
from harness.contract.words import Action, Arm, Kind, Layer, Observation, ReportKind, Safeguard, Severity, SliKind

PLAN_SCHEMA = 1


class PlannedSli(msgspec.Struct, frozen=True):
    """An SLI and its bound: good where min <= value, or value <= max. Seconds or shares."""

    kind: SliKind
    min: float | None = None
    max: float | None = None

    def good(self, value: float) -> bool:
        """Whether a sampled value meets the objective."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class PlannedDetect(msgspec.Struct, frozen=True):
    """The page expected; `within_s` counts from t_active."""

    layer: Layer
    within_s: float
    severity: Severity = Severity.PAGE
    alert: str | None = None


class PlannedLimit(msgspec.Struct, frozen=True):
    """A limit from t_active with its hold."""

    within_s: float
    hold_s: float


class PlannedAbort(msgspec.Struct, frozen=True):
    """A stop condition."""

    sli: SliKind
    for_s: float
    below: float | None = None
    above: float | None = None


class PlannedAllow(msgspec.Struct, frozen=True):
    """A change that is no collateral."""

    changed: str
    where: str | None = None


class PlannedCondition(msgspec.Struct, frozen=True):
    """One comparison: `field op value`; op is eq, ne, lt, gt or in; a value may be `${step.field}`."""

    field: str
    op: str
    value: Json


class PlannedStep(msgspec.Struct, frozen=True):
    """A playbook cell, resolved. Exactly one of observe, do, report."""

    id: str
    section: str
    observe: Observation | None = None
    do: Action | None = None
    report: ReportKind | None = None
    arguments: dict[str, Json] = {}
    expect: tuple[PlannedCondition, ...] = ()
    verify: tuple[PlannedCondition, ...] = ()
    verify_by: Observation | None = None
    verify_arguments: dict[str, Json] = {}
    when: tuple[PlannedCondition, ...] = ()
    timeout_s: float = 10.0
    within_s: float | None = None
    requires: tuple[str, ...] = ()
    guard: bool = False
    optional: bool = False


class PlannedForbidden(msgspec.Struct, frozen=True):
    """An action that the playbook forbids (until a step has succeeded, if `until` is given)."""

    do: Action
    because: str
    arguments: dict[str, Json] = {}
    until: str | None = None


class PlannedPlaybook(msgspec.Struct, frozen=True):
    """The playbook as the responder and the scorer use it."""

    id: str
    title: str
    severity: str
    owner: str
    steps: tuple[PlannedStep, ...]
    forbidden: tuple[PlannedForbidden, ...] = ()
    escalation: tuple[str, ...] = ()
    acknowledge_s: float | None = None


class PlannedRule(msgspec.Struct, frozen=True):
    """An alert rule of the target's monitoring, as declared."""

    name: str
    layer: Layer
    severity: Severity
    hold_s: float = 0.0


class PlannedHeartbeat(msgspec.Struct, frozen=True):
    """The rule that fires always, and the page that its absence is: due `every_s` + `within_s` after the last arrival."""

    rule: str
    page: str
    layer: Layer
    every_s: float
    within_s: float


class PlannedAlerts(msgspec.Struct, frozen=True):
    """Settings that make the floor under every TTD: scrape + evaluation + the rule's hold (in whole evaluations) + group wait.

    `rules` has the heartbeat's page too, whose floor is its own: how often heartbeats come, and how late they may be.
    """

    scrape_s: float
    evaluation_s: float
    group_wait_s: float
    rules: tuple[PlannedRule, ...] = ()
    heartbeat: PlannedHeartbeat | None = None

    def floor_s(self, rule: PlannedRule) -> float:
        """What no monitoring so set up can be faster than by design."""
        if self.heartbeat is not None and rule.name == self.heartbeat.page:
            return self.heartbeat.every_s + self.heartbeat.within_s
        return self.scrape_s + self.evaluation_s + self.held_s(rule) + self.group_wait_s

    def held_s(self, rule: PlannedRule) -> float:
        """How long the rule holds at least: it is looked at by evaluations only, so a hold of half of one takes a whole one."""
        if self.evaluation_s <= 0:
            return rule.hold_s
        return self.evaluation_s * math.ceil(round(rule.hold_s / self.evaluation_s, 6))


class PlannedService(msgspec.Struct, frozen=True):
    """A service of the target."""

    name: str
    role: str


class PlannedEdge(msgspec.Struct, frozen=True):
    """An edge of the declared graph; `link` names it where it is a link."""

    a: str
    b: str
    link: str | None = None


class PlannedSafeguard(msgspec.Struct, frozen=True):
    """A safeguard: what may not change; `share` is how much may be lost before it counts."""

    kind: Safeguard
    catastrophic: bool
    share: float = 0.0


class PlannedReading(msgspec.Struct, frozen=True):
    """A record reading that the target declares: its id field, its time field, which field carries what, how often it is read."""

    name: str
    id: str
    time: str | None
    fields: dict[str, str] = {}
    every_s: float = 0.0


class PlannedQuality(msgspec.Struct, frozen=True):
    """How a decision is right: decisions joined to truth by id, `positive` goes with a label of 1.

    `same`: by which field of theirs the decisions of two runs are joined; None: by their ids.
    """

    decisions: str
    truth: str
    decision: str
    positive: str
    label: str
    synthetic: str | None
    same: str | None = None


class PlannedLoad(msgspec.Struct, frozen=True):
    """Open-loop load: requests a second, scheduled from the seed."""

    name: str
    rate: float


class Plan(msgspec.Struct, frozen=True):
    """One run, resolved. Made by `harness.plan` from (Scenario, target inventory, seed); pure data.

    `faults` is empty in a control. Times are seconds: `baseline_s` how long objectives must hold before anything is
    injected, `hold_s` the hold of a recovery, `budget_s` from t_active to the end of the respond phase, `cleanup_s` how
    long heals may take to be seen.
    """

    schema: int
    scenario: str
    title: str
    kind: Kind
    incident: str
    scenario_digest: str
    arm: Arm
    seed: int
    target: str
    driver: str
    target_digest: str
    responder: str
    responder_arguments: dict[str, Json]
    faults: tuple[PlannedFault, ...]
    slis: tuple[PlannedSli, ...]
    detect: PlannedDetect | None
    mitigate: PlannedLimit | None
    recover: PlannedLimit | None
    aborts: tuple[PlannedAbort, ...]
    allow: tuple[PlannedAllow, ...]
    safeguards: tuple[PlannedSafeguard, ...]
    baseline_s: float
    baseline_within_s: float
    hold_s: float
    budget_s: float
    cleanup_s: float
    sample_every_s: float
    load: PlannedLoad | None
    playbook: PlannedPlaybook | None
    alerts: PlannedAlerts
    services: tuple[PlannedService, ...]
    edges: tuple[PlannedEdge, ...]
    readings: tuple[PlannedReading, ...]
    quality: PlannedQuality | None = None
    charts: tuple[str, ...] = ()
    act_at_s: float | None = None
    """restart-all acts unasked at this time after t_active (`--act-at`); None: at the first page."""
    restart_all_solves: bool = False
    command: str = ""
    """The command that repeats the run."""
