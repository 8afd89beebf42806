"""A state machine that plays the world against the conductor: any event, in any order, at any time.

Unlike the simulated driver, which keeps to a plausible world, this one is free: replies overtake each other, fail, come
twice or never; timers fire late; witnesses say what they like; signals and deaths come when they come. What must hold,
holds all the same. At the end the world becomes fair (every command answered, every witness truthful), and then the run
must end healed: safety while it is broken, liveness when it is not.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.contract.undo import Point, PointKind, Undo
from harness.contract.words import Arm, Effect, Phase, Severity, SliKind
from harness.history.commands import (
    Act,
    AnyCommand,
    Finish,
    HealFault,
    InjectFault,
    Observe,
    PrepareFault,
    SecureUndo,
    SetTimer,
    TakeSnapshot,
)
from harness.history.events import (
    ActionDone,
    AlertReceived,
    Done,
    Failed,
    FaultHealed,
    FaultPrepared,
    Input,
    ObservationDone,
    ObserverLost,
    Sample,
    ServiceExited,
    SignalReceived,
    Snapshot,
    SnapshotTaken,
    Started,
    TimerFired,
    UndoApplied,
    WitnessRead,
)
from harness.respond.none import NoResponder
from harness.respond.playbook import PlaybookResponder
from harness.respond.restart_all import RestartAllResponder
from harness.run.machine import Conductor
from harness.run.turn import UNANSWERED
from harness.spec.plan import PlannedAbort
from tests.simulated.plans import BY_ACTION, EXTERNAL, STATE, a_plan, planned_fault

UNDO = Undo(driver="stub", instance="s", point=Point(kind=PointKind.CONFIG, where="a/b"), injected=1, restore=0)
STEP_NS = 100_000_000
FAIR_STEPS = 4000


class World(RuleBasedStateMachine):
    """The adversary. `broken`: faults whose injection was carried out and not undone since.

    `newest_first`: commands under way are carried out in the wrong order, so that a heal may overtake its injection.
    """

    @initialize(
        cures=st.lists(st.sampled_from([STATE, BY_ACTION, EXTERNAL]), max_size=2),
        responder=st.sampled_from([NoResponder(), PlaybookResponder(), RestartAllResponder()]),
        fair_until=st.sampled_from([None, InjectFault, InjectFault, Phase.RESPOND]),
        newest_first=st.booleans(),
    )
    def begin(self, cures: list, responder: Any, fair_until: Any, newest_first: bool) -> None:
        self.newest_first = False
        faults = tuple(planned_fault(i, cure=cure) for i, cure in enumerate(cures))
        abort = PlannedAbort(sli=SliKind.AVAILABILITY, for_s=2.0, below=0.5)
        arm = Arm.FAULT if faults else Arm.CONTROL
        self.plan = a_plan(*faults, arm=arm, aborts=(abort,), budget_s=8.0)
        self.conductor = Conductor(self.plan, responder)
        self.state = self.conductor.start()
        self.now = STEP_NS
        self.waiting: list[AnyCommand] = []
        self.answered: list[Input] = []
        self.timers: list[str] = []
        self.durable: set[int] = set()
        self.broken: set[int] = set()
        self.finish: Finish | None = None
        self.feed(Started(t_ns=self.now))
        # Chance alone would seldom find its way through the baseline, and what matters comes after it.
        for _ in range(200):
            issued = any(isinstance(command, InjectFault) for command in self.waiting)
            if fair_until is None or not faults or issued or self.state.phase is fair_until:
                break
            self.be_fair()
        if fair_until is Phase.RESPOND and faults:
            for _ in range(20):
                if self.state.phase is Phase.RESPOND:
                    break
                self.be_fair()
        self.newest_first = newest_first

    def feed(self, event: Input) -> None:
        """One event to the conductor; its commands to the world."""
        self.state, commands = self.conductor.step(self.state, event)
        for command in commands:
            assert self.finish is None or not isinstance(command, InjectFault | HealFault | Act)
            match command:
                case InjectFault():
                    assert command.fault in self.durable, "injected before its undo was durable"
                    assert self.state.faults[command.fault].prepared is not None
                case SetTimer():
                    self.timers.append(command.name)
                case Finish():
                    self.finish = command
                case _:
                    pass
            if not isinstance(command, UNANSWERED):
                self.waiting.append(command)

    def tick(self) -> int:
        self.now += STEP_NS
        return self.now

    def reply(self, command: AnyCommand) -> Input:
        """Carries a command out, and gives its reply."""
        t = self.tick()
        match command:
            case PrepareFault():
                return FaultPrepared(t_ns=t, command=command.id, fault=command.fault, undos=(UNDO,))
            case SecureUndo():
                self.durable.add(command.fault)
            case InjectFault():
                self.broken.add(command.fault)
            case HealFault():
                self.broken.discard(command.fault)
                undone = (UndoApplied(kind="config", where="a/b", outcome="restored"),)
                return FaultHealed(t_ns=t, command=command.id, fault=command.fault, from_ns=t, undos=undone)
            case TakeSnapshot():
                return SnapshotTaken(t_ns=t, command=command.id, which=command.which, snapshot=Snapshot())
            case Act():
                return ActionDone(t_ns=t, command=command.id, from_ns=t, ok=True)
            case Observe():
                result = {"champion": "2", "previous": "1"}
                return ObservationDone(t_ns=t, command=command.id, from_ns=t, ok=True, result=result)
            case _:
                pass
        return Done(t_ns=t, command=command.id, from_ns=t)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_reply_comes(self, data: st.DataObject) -> None:
        command = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        event = self.reply(command)
        self.answered.append(event)
        self.feed(event)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), carried_out=st.booleans())
    def a_reply_is_lost(self, data: st.DataObject, carried_out: bool) -> None:
        """Its time limit is over; it may have been carried out all the same."""
        command = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if carried_out:
            self.answered.append(self.reply(command))
        self.feed(Failed(t_ns=self.tick(), command=command.id, error="no reply within its time limit"))

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def a_reply_comes_again(self, data: st.DataObject) -> None:
        before = self.state
        self.feed(data.draw(st.sampled_from(self.answered)))
        assert self.state.pending.keys() <= before.pending.keys() | {c.id for c in self.waiting}

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def a_timer_fires(self, data: st.DataObject) -> None:
        name = self.timers.pop(data.draw(st.integers(0, len(self.timers) - 1)))
        self.feed(TimerFired(t_ns=self.tick(), name=name))

    @rule(good=st.sampled_from([True, True, True, False, None]), times=st.integers(1, 30))
    def users_get(self, good: bool | None, times: int) -> None:
        value = {True: 1.0, False: 0.0, None: None}[good]
        for _ in range(times):
            self.feed(Sample(t_ns=self.tick(), values={"availability": value}))

    @precondition(lambda self: any(fault.witnessing for fault in self.state.faults))
    @rule(data=st.data(), effect=st.sampled_from(list(Effect)))
    def a_witness_says(self, data: st.DataObject, effect: Effect) -> None:
        reading = [i for i, fault in enumerate(self.state.faults) if fault.witnessing]
        fault = data.draw(st.sampled_from(reading))
        self.feed(WitnessRead(t_ns=self.tick(), res_ns=1, fault=fault, effect=effect))

    @rule()
    def a_page_comes(self) -> None:
        self.feed(AlertReceived(t_ns=self.tick(), name="A", status="firing", severity=Severity.PAGE))

    @rule(what=st.sampled_from(["signal", "exit", "observer"]))
    def something_dies(self, what: str) -> None:
        t = self.tick()
        events: dict[str, Input] = {
            "signal": SignalReceived(t_ns=t, name="SIGTERM"),
            "exit": ServiceExited(t_ns=t, service="a", reason="exit", code=1),
            "observer": ObserverLost(t_ns=t, observer="prober"),
        }
        self.feed(events[what])

    @invariant()
    def what_is_broken_at_the_end_is_named(self) -> None:
        if getattr(self, "finish", None) is not None:
            unnamed = self.broken - set(self.finish.dirty)
            assert not unnamed, f"{unnamed} are broken, and Finish names {self.finish.dirty}"

    def be_fair(self) -> None:
        """Every command answered, every witness truthful, users content, and the next timer."""
        for command in sorted(self.waiting, key=lambda c: int(c.id[1:]), reverse=self.newest_first):
            self.waiting.remove(command)
            self.feed(self.reply(command))
        for index, fault in enumerate(self.state.faults):
            if fault.witnessing:
                effect = Effect.PRESENT if index in self.broken else Effect.ABSENT
                self.feed(WitnessRead(t_ns=self.tick(), res_ns=1, fault=index, effect=effect))
        self.feed(Sample(t_ns=self.tick(), values={"availability": 1.0}))
        if self.timers and not self.waiting and self.state.phase is not Phase.BASELINE:
            self.feed(TimerFired(t_ns=self.tick(), name=self.timers.pop(0)))

    def teardown(self) -> None:
        """The world turns fair: then the run ends, and nothing is left broken."""
        if not hasattr(self, "plan"):
            return
        in_time = self.state.phase not in (Phase.CLEANUP, Phase.AFTERWARDS, Phase.ENDED) and not self.newest_first
        for _ in range(FAIR_STEPS):
            if self.state.phase is Phase.ENDED:
                break
            self.be_fair()
        assert self.state.phase is Phase.ENDED, f"stands still in {self.state.phase}, pending {self.state.pending}"
        assert self.finish is not None
        assert self.broken <= set(self.finish.dirty)
        if in_time:
            assert self.broken == set(), "a fair world, and yet it was not healed"
            assert self.finish.dirty == ()


World.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestAnyOrder = World.TestCase
