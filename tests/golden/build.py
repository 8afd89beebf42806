"""Literal histories, told in seconds: tiny builders for tests of the scorer and for the golden histories.

A `Story` collects what happened in any order and gives it back as a history. Its clock starts at 1000 s, so that a test
that forgets to subtract sees it. `bad_model()` is the whole drill bad-model-version as a playbook responder runs it well; every
part of it can be left out or moved by an argument, and more can be added to the story before it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault
from harness.contract.undo import Point, PointKind, Undo
from harness.contract.words import (
    Action,
    Arm,
    CauseClass,
    Effect,
    EndReason,
    Kind,
    Layer,
    Observation,
    Phase,
    ReportKind,
    Safeguard,
    Severity,
    SliKind,
)
from harness.history import commands as c
from harness.history import events as e
from harness.history.header import HISTORY_SCHEMA, MACHINE_VERSION, Header
from harness.history.reader import History, recorded
from harness.spec.plan import (
    PLAN_SCHEMA,
    Plan,
    PlannedAlerts,
    PlannedAllow,
    PlannedDetect,
    PlannedEdge,
    PlannedForbidden,
    PlannedLimit,
    PlannedLoad,
    PlannedPlaybook,
    PlannedQuality,
    PlannedReading,
    PlannedRule,
    PlannedSafeguard,
    PlannedService,
    PlannedSli,
    PlannedStep,
)

START_S = 1000.0
GOOD = {"availability": 1.0, "latency": 0.05, "correctness": 1.0, "freshness": 1.0, "decision-quality": 0.95}
WRONG = GOOD | {"correctness": 0.4, "decision-quality": 0.6}
BASELINE = e.Snapshot(
    services={"gateway": "10:1", "serving-a": "11:1", "serving-b": "12:1", "features": "13:1", "monitor": "14:1"},
    replicas={"gateway": 1, "serving": 2, "features": 1, "monitor": 1},
    versions={"risk/champion": "1", "serving-a": "1", "serving-b": "1"},
    config={"gateway/timeout_s": 1.0},
    data={"quarantine": 0},
    firing=(),
    silences=(),
    rules="rules-1",
)


def ns(seconds: float) -> int:
    """The history's nanosecond for a second of the story."""
    return round((START_S + seconds) * 1e9)


def fault(**changes: Any) -> PlannedFault:
    """model.promote of a bad version, cured by whatever rolls it back."""
    made = PlannedFault(
        index=0,
        fault="model.promote",
        arguments={"variant": "label-shuffled"},
        dose=1.0,
        onset_s=0.5,
        witness_within_s=3.0,
        witness_every_s=0.2,
        cure=Cure(CureKind.STATE),
        cause=CauseClass.MODEL,
        components=(Component("model", "risk"),),
        look=Look("bad model"),
        damage=Damage(reading="decisions", field="version", fact="version", debts={"rescored": "rescored"}),
        heal_within_s=5.0,
    )
    return msgspec.structs.replace(made, **changes)


def playbook() -> PlannedPlaybook:
    """A playbook of six steps with a guard, an order and a forbidden action."""
    return PlannedPlaybook(
        id="bad-model-version",
        title="Bad model version",
        severity="page",
        owner="ml-platform",
        steps=(
            PlannedStep("ack", "Acknowledge", report=ReportKind.ACK, within_s=1.0),
            PlannedStep("look", "Assess", observe=Observation.VERSIONS, guard=True),
            PlannedStep("diagnose", "Isolate", report=ReportKind.DIAGNOSE, requires=("look",)),
            PlannedStep("roll-back", "Act", do=Action.ROLLBACK, requires=("diagnose",), within_s=5.0),
            PlannedStep("rescore", "Act", do=Action.RESCORE, requires=("roll-back",)),
            PlannedStep("tell", "Afterwards", report=ReportKind.UPDATE, optional=True),
        ),
        forbidden=(PlannedForbidden(Action.RETRAIN, "the labels may be bad", until="rescore"),),
        acknowledge_s=2.0,
    )


def plan(**changes: Any) -> Plan:
    """The plan of bad-model-version on a small pipeline."""
    made = Plan(
        schema=PLAN_SCHEMA,
        scenario="bad-model-version",
        title="A retrained model with shuffled labels is promoted",
        kind=Kind.FAULT,
        incident="model-performance-degradation",
        scenario_digest="sha256:scenario",
        arm=Arm.FAULT,
        seed=7,
        target="reference",
        driver="embedded",
        target_digest="sha256:target",
        responder="playbook",
        responder_arguments={},
        faults=(fault(),),
        slis=(
            PlannedSli(SliKind.AVAILABILITY, min=0.99),
            PlannedSli(SliKind.LATENCY, max=0.25),
            PlannedSli(SliKind.CORRECTNESS, min=0.9),
            PlannedSli(SliKind.FRESHNESS, max=4.0),
            PlannedSli(SliKind.DECISION_QUALITY, min=0.8),
        ),
        detect=PlannedDetect(Layer.MODEL_QUALITY, within_s=8.0),
        mitigate=PlannedLimit(within_s=15.0, hold_s=2.0),
        recover=PlannedLimit(within_s=22.0, hold_s=2.0),
        aborts=(),
        allow=(PlannedAllow("model-alias"),),
        safeguards=(
            PlannedSafeguard(Safeguard.SERVICES, catastrophic=False),
            PlannedSafeguard(Safeguard.REPLICAS, catastrophic=True),
            PlannedSafeguard(Safeguard.VERSIONS, catastrophic=False),
            PlannedSafeguard(Safeguard.DATA, catastrophic=True),
            PlannedSafeguard(Safeguard.ALERT_RULES, catastrophic=True),
            PlannedSafeguard(Safeguard.SILENCES, catastrophic=False),
            PlannedSafeguard(Safeguard.CONFIG, catastrophic=False),
        ),
        baseline_s=2.0,
        baseline_within_s=10.0,
        hold_s=2.0,
        budget_s=30.0,
        cleanup_s=10.0,
        sample_every_s=0.5,
        load=PlannedLoad("steady", rate=50.0),
        playbook=playbook(),
        alerts=PlannedAlerts(
            scrape_s=0.5,
            evaluation_s=0.5,
            group_wait_s=0.0,
            rules=(
                PlannedRule("CanaryWrong", Layer.MODEL_QUALITY, Severity.PAGE, hold_s=1.0),
                PlannedRule("GatewayErrors", Layer.AVAILABILITY, Severity.PAGE),
                PlannedRule("InputDrift", Layer.DISTRIBUTION, Severity.TICKET),
            ),
        ),
        services=(
            PlannedService("gateway", "gateway"),
            PlannedService("serving-a", "serving"),
            PlannedService("serving-b", "serving"),
            PlannedService("features", "features"),
            PlannedService("monitor", "monitor"),
        ),
        edges=(
            PlannedEdge("gateway", "features", "gateway-features"),
            PlannedEdge("gateway", "serving-a"),
            PlannedEdge("serving-a", "risk"),
        ),
        readings=(
            PlannedReading("decisions", id="id", time="t", fields={"version": "model_version"}),
            PlannedReading("rescored", id="id", time="t", fields={"version": "model_version"}),
            PlannedReading("quarantine", id="id", time="t"),
        ),
        quality=PlannedQuality("decisions", "truth", "decision", "decline", "label", "synthetic"),
        command="drill run bad-model-version --seed 7",
    )
    return msgspec.structs.replace(made, **changes)


def header(of: Plan) -> Header:
    """A header whose every field is fixed."""
    return Header(
        schema=HISTORY_SCHEMA,
        machine=MACHINE_VERSION,
        run="r-golden",
        started_utc="2026-01-05T09:00:00Z",
        t_ns=ns(0),
        wall_ns=1_767_603_600_000_000_000,
        plan=of,
        playbook_text="",
        scenario_text="",
        target={},
        harness_version="0.1.0",
        python="3.11",
        platform="linux",
        commit="",
        instance="golden",
    )


class Story:
    """What happened, collected in any order and recorded in order of time."""

    def __init__(self, of: Plan | None = None) -> None:
        self.plan = of if of is not None else plan()
        self.told: list[e.AnyEvent] = []
        self._commands = 0

    def add(self, *events: e.AnyEvent) -> Story:
        self.told += events
        return self

    def without(self, unwanted: Callable[[e.AnyEvent], bool]) -> Story:
        self.told = [event for event in self.told if not unwanted(event)]
        return self

    def issue(self, at: float, kind: Callable[..., c.AnyCommand], **fields: Any) -> str:
        """Records a command and gives its id."""
        self._commands += 1
        command = kind(id=f"c{self._commands}", **fields)
        self.add(e.CommandIssued(t_ns=ns(at), command=command, after=1))
        return command.id

    def done(self, at: float, kind: Callable[..., c.AnyCommand], *, after: float = 0.05, **fields: Any) -> Story:
        """A command that is carried out."""
        command = self.issue(at, kind, **fields)
        return self.add(e.Done(t_ns=ns(at + after), from_ns=ns(at), res_ns=round(after * 1e9), command=command))

    def failed(self, at: float, kind: Callable[..., c.AnyCommand], error: str, **fields: Any) -> Story:
        command = self.issue(at, kind, **fields)
        return self.add(e.Failed(t_ns=ns(at + 0.05), from_ns=ns(at), command=command, error=error))

    def phase(self, at: float, phase: Phase) -> Story:
        self.issue(at, c.EnterPhase, phase=phase)
        return self

    def snapshot(self, at: float, which: str, snapshot: e.Snapshot) -> Story:
        command = self.issue(at, c.TakeSnapshot, which=which)
        return self.add(e.SnapshotTaken(t_ns=ns(at + 0.05), command=command, which=which, snapshot=snapshot))

    def samples(
        self, start: float, stop: float, values: dict[str, float | None], *, every: float = 0.5, **counts: int
    ) -> Story:
        """Prober samples in [start, stop): of 8 golden requests each, unless counts say otherwise."""
        wrong = round(8 * (1 - (values.get("correctness") or 1.0)))
        told = {"sent": 8, "ok": 8, "wrong": wrong} | counts
        return self.each(
            start, stop, every, lambda t: e.Sample(t_ns=t, res_ns=20_000_000, src="prober", values=values, **told)
        )

    def load(self, start: float, stop: float, *, scheduled: int = 50, failed: int = 0) -> Story:
        """Load of `scheduled` requests in each second of [start, stop]."""
        bucket = {"scheduled": scheduled, "ok": scheduled - failed, "failed": failed}
        return self.each(start + 1, stop + 1, 1.0, lambda t: e.LoadBucket(t_ns=t, res_ns=10**9, src="load", **bucket))

    def witness(self, start: float, stop: float, effect: Effect, *, every: float = 0.2, index: int = 0) -> Story:
        """Readings of a fault's witness in [start, stop)."""
        return self.each(
            start,
            stop,
            every,
            lambda t: e.WitnessRead(t_ns=t, res_ns=10_000_000, src="witness", fault=index, effect=effect),
        )

    def each(self, start: float, stop: float, every: float, event: Callable[[int], e.AnyEvent]) -> Story:
        count = max(0, round((stop - start) / every))
        return self.add(*(event(ns(start + i * every)) for i in range(count)))

    def alert(
        self,
        at: float,
        name: str = "CanaryWrong",
        *,
        severity: Severity = Severity.PAGE,
        status: str = "firing",
        layer: str = "model-quality",
        cond: float | None = None,
        fire: float | None = None,
        error: float = 0.0,
        cut: float = 0.0,
    ) -> Story:
        return self.add(
            e.AlertReceived(
                t_ns=ns(at),
                res_ns=5_000_000,
                src="pager",
                name=name,
                status=status,
                severity=severity,
                layer=layer,
                fingerprint=name,
                active_ns=None if cond is None else ns(cond),
                starts_ns=None if fire is None else ns(fire),
                clock_error_ns=round(error * 1e9),
                clock="monitoring" if error else "",
                cut_ns=round(cut * 1e9),
            )
        )

    def say(self, at: float, report: ReportKind, step: str = "", **data: Any) -> Story:
        self.issue(at, c.Say, report=report, data=data, by="playbook", step=step)
        return self

    def act(
        self, at: float, action: Action, *, after: float = 0.4, ok: bool = True, step: str = "", **arguments: Any
    ) -> Story:
        command = self.issue(at, c.Act, action=action, arguments=arguments, by="playbook", step=step)
        return self.add(e.ActionDone(t_ns=ns(at + after), from_ns=ns(at), command=command, ok=ok))

    def observe(self, at: float, observation: Observation, *, step: str = "") -> Story:
        command = self.issue(at, c.Observe, observation=observation, arguments={}, by="playbook", step=step)
        return self.add(e.ObservationDone(t_ns=ns(at + 0.1), from_ns=ns(at), command=command, ok=True))

    def end_step(self, at: float, step: str, outcome: str = "passed") -> Story:
        self.issue(at, c.EndStep, step=step, outcome=outcome)
        return self

    def records(self, at: float, reading: str, *records: dict[str, Any]) -> Story:
        return self.add(
            e.Records(t_ns=ns(at), res_ns=10_000_000, src="readings", reading=reading, records=list(records))
        )

    # --- whole stretches of a run ---------------------------------------------------------------------------------

    def begin(self, baseline: e.Snapshot = BASELINE) -> Story:
        """0 to 3 s: set up, observers, baseline recorded at 1 s."""
        self.add(e.Started(t_ns=ns(0))).phase(0.0, Phase.SETUP).done(0.1, c.SetUp).done(0.5, c.StartObservers)
        return self.phase(0.9, Phase.BASELINE).snapshot(1.0, "baseline", baseline)

    def inject(self, at: float, *, index: int = 0, version: str = "2") -> Story:
        """Prepare, secure and inject one fault; its witness watches from a second before."""
        undo = Undo("embedded", "golden", Point(PointKind.ALIAS, "risk/champion"), injected=version, restore="1")
        prepared = self.issue(at - 0.9, c.PrepareFault, fault=index)
        self.add(
            e.FaultPrepared(t_ns=ns(at - 0.8), command=prepared, fault=index, undos=(undo,), facts={"version": version})
        )
        self.done(at - 0.7, c.SecureUndo, fault=index, undos=(undo,))
        self.issue(at - 0.6, c.StartWitness, fault=index)
        return self.done(at, c.InjectFault, fault=index)

    def end(
        self,
        at: float,
        reason: EndReason = EndReason.CLAIMED,
        *,
        final: e.Snapshot | None = BASELINE,
        dirty: tuple[int, ...] = (),
        detail: str = "",
        heal: bool = True,
        why: str = "cleanup",
    ) -> Story:
        """Cleanup and afterwards: heal, see it healed, read everything to its end, compare, finish."""
        self.phase(at, Phase.CLEANUP)
        for one in self.plan.faults if heal else ():
            command = self.issue(at + 0.1, c.HealFault, fault=one.index, why=why)
            undos = (e.UndoApplied("alias", "risk/champion", "restored"),)
            self.add(
                e.FaultHealed(t_ns=ns(at + 0.2), command=command, fault=one.index, from_ns=ns(at + 0.1), undos=undos)
            )
            self.witness(at + 0.4, at + 1.0, Effect.ABSENT, index=one.index)
        self.done(at + 1.0, c.CollectReadings).phase(at + 1.1, Phase.AFTERWARDS)
        if final is not None:
            self.snapshot(at + 1.2, "final", final)
        self.done(at + 1.3, c.StopObservers).done(at + 1.4, c.TearDown)
        self.issue(at + 1.6, c.Finish, reason=reason, detail=detail, dirty=dirty)
        return self

    def history(self) -> History:
        return recorded(header(self.plan), sorted(self.told, key=lambda event: event.t_ns))


def decisions(story: Story, start: float, stop: float, version: str, *, every: float = 0.5) -> list[str]:
    """Two decisions each `every`, one of them a golden request; gives the ids of those that count."""
    ids = []
    for i in range(round((stop - start) / every)):
        at = start + i * every
        real, golden = f"t{round(at * 10):04d}", f"g{round(at * 10):04d}"
        ids.append(real)
        story.records(
            at,
            "decisions",
            {"id": real, "model_version": version, "decision": "decline", "synthetic": False},
            {"id": golden, "model_version": version, "decision": "decline", "synthetic": True},
        )
    return ids


def bad_model(
    of: Plan | None = None,
    *,
    baseline: e.Snapshot = BASELINE,
    final: e.Snapshot | None = BASELINE,
    present: bool = True,
    impact: bool = True,
    page_at: float | None = 7.0,
    responds: bool = True,
    rescores: bool = True,
    good_at: float = 9.5,
    end_at: float = 13.5,
    reason: EndReason = EndReason.CLAIMED,
    heal: bool = True,
) -> Story:
    """bad-model-version: injected at 4.0, there by 4.2, wrong from 4.5, paged at 7.0, rolled back by 8.9, good from 9.5."""
    story = Story(of).begin(baseline)
    story.load(1.0, end_at).samples(1.0, 4.5, GOOD).inject(4.0)
    story.phase(3.05, Phase.INJECT).phase(4.2, Phase.RESPOND).witness(3.4, 4.2, Effect.ABSENT)
    cured_at = 9.0 if responds else end_at
    story.witness(4.2, cured_at, Effect.PRESENT if present else Effect.ABSENT).witness(cured_at, end_at, Effect.ABSENT)
    bad_until = good_at if responds else end_at
    story.samples(4.5, bad_until, WRONG if impact else GOOD).samples(bad_until, end_at, GOOD)
    damaged = decisions(story, 4.5, cured_at, "2")
    decisions(story, cured_at + 0.1, end_at, "1")
    if page_at is not None:
        story.alert(page_at, cond=page_at - 1.5, fire=page_at - 0.5)
    if responds:
        _respond(story)
        if rescores:
            story.act(9.5, Action.RESCORE, step="rescore").end_step(10.2, "rescore")
            story.records(10.1, "rescored", *({"id": i, "model_version": "1"} for i in damaged))
        story.say(12.9, ReportKind.RESOLVE)
    story.phase(end_at - 0.5, Phase.SETTLE)
    return story.end(end_at, reason, final=final, heal=heal)


def _respond(story: Story) -> None:
    story.say(7.2, ReportKind.ACK, "ack").end_step(7.2, "ack")
    story.observe(7.4, Observation.VERSIONS, step="look").end_step(7.5, "look")
    story.say(8.0, ReportKind.DIAGNOSE, "diagnose", component="model/risk", cause="model").end_step(8.0, "diagnose")
    story.act(8.5, Action.ROLLBACK, step="roll-back", model="risk").end_step(8.9, "roll-back")


def control(of: Plan | None = None, *, values: dict[str, float | None] = GOOD, end_at: float = 13.5) -> Story:
    """A control of the same length: nothing is injected and nothing happens."""
    story = Story(of if of is not None else plan(arm=Arm.CONTROL, faults=()))
    story.begin().load(1.0, end_at).samples(1.0, 4.0, GOOD).samples(4.0, end_at, values)
    story.phase(4.0, Phase.RESPOND).phase(end_at - 0.5, Phase.SETTLE)
    return story.end(end_at, EndReason.BUDGET, heal=False)
