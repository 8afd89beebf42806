"""The simulated driver: the same conductor in virtual time, against a stub target, with the harness itself being hurt.

Replies are lost, doubled or late; the harness crashes before and after every command and every reply, also where a command
was carried out and its reply never recorded. After a crash the reaper's own healing runs on the simulated ledger. What it
proves is order: no inject before its undo is durable, every path ends healed. It proves nothing of fsync, signals or
pid reuse: real kills stay in the tests.

Deterministic in (plan, world, trouble): every draw comes from the trouble's seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import msgspec

from harness.contract.undo import Json, UndoOutcome
from harness.contract.words import Effect, Phase, Severity
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
    StartObservers,
    StartWitness,
    StopObservers,
    StopWitness,
    TakeSnapshot,
)
from harness.history.events import (
    ActionDone,
    AlertReceived,
    AnyEvent,
    CommandIssued,
    Done,
    Failed,
    FaultHealed,
    FaultPrepared,
    Input,
    ObservationDone,
    Sample,
    SignalReceived,
    Snapshot,
    SnapshotTaken,
    Started,
    TimerFired,
    UndoApplied,
    WitnessRead,
)
from harness.plugin import Responder
from harness.run.ledger import Closed, Healed, Secured, heal
from harness.run.machine import Conductor
from harness.run.state import State
from harness.run.stubworld import BROKEN, Behaviour, MemoryLedger, World
from harness.run.turn import UNANSWERED
from harness.spec.plan import Plan

NS = 1_000_000_000
STEPS_MAX = 100_000
REPLY_LIMIT_S = 10.0


class Trouble(msgspec.Struct, frozen=True):
    """How the harness is hurt. Shares of replies lost, doubled and late; `crash_at`: the boundary at which it dies."""

    seed: int = 0
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    crash_at: int | None = None
    signal_at_s: float | None = None


class Simulated(msgspec.Struct, frozen=True):
    """What came of it. `boundaries`: how many places there were to crash at. `standing`: points left broken at the end."""

    events: tuple[AnyEvent, ...]
    state: State
    finish: Finish | None
    crashed: bool
    boundaries: int
    standing: tuple[str, ...]
    order_faults: tuple[str, ...]
    """Injections that were not preceded by their durable undo: always empty, or the machine is wrong."""
    virtual_s: float


class _CrashError(Exception):
    """The harness dies here."""


class SimulatedDriver:
    """Runs one conductor in virtual time."""

    def __init__(self, plan: Plan, responder: Responder, behaviour: Behaviour, trouble: Trouble) -> None:
        self.plan = plan
        self.conductor = Conductor(plan, responder)
        self.behaviour = behaviour
        self.trouble = trouble
        self.random = random.Random(trouble.seed)
        self.world = World(plan, behaviour)
        self.ledger = MemoryLedger()
        self.now_ns = NS
        self.events: list[AnyEvent] = []
        self.boundaries = 0
        self.observing = False
        self.witnessing: set[int] = set()
        self.finish: Finish | None = None
        self.order_faults: list[str] = []
        self._heap: list[tuple[int, int, Callable[[], Input | None]]] = []
        self._order = 0
        self._paged = False

    def run(self) -> Simulated:
        """To the end, or to the crash and through the reaper's healing."""
        state = self.conductor.start()
        crashed = False
        try:
            state = self._loop(state)
        except _CrashError:
            crashed = True
            self._reap()
        standing = tuple(f"stub/{i}" for i, value in self.world.points.items() if value == BROKEN)
        return Simulated(
            events=tuple(self.events),
            state=state,
            finish=self.finish,
            crashed=crashed,
            boundaries=self.boundaries,
            standing=standing,
            order_faults=tuple(self.order_faults),
            virtual_s=(self.now_ns - NS) / NS,
        )

    @property
    def now_s(self) -> float:
        """Virtual seconds."""
        return self.now_ns / NS

    def _loop(self, state: State) -> State:
        state = self._consume(state, Started(t_ns=self.now_ns))
        if self.trouble.signal_at_s is not None:
            self._later(self.trouble.signal_at_s, lambda: self._signal())
        for _ in range(STEPS_MAX):
            if state.phase is Phase.ENDED:
                return state
            if not self._heap:
                raise AssertionError(f"the run stands still in {state.phase} with {sorted(state.pending)}")
            self.now_ns, _, make = heapq.heappop(self._heap)
            event = make()
            if event is not None:
                state = self._consume(state, event)
        raise AssertionError(f"the run did not end within {STEPS_MAX} events")

    def _consume(self, state: State, event: Input) -> State:
        self._boundary()
        event = msgspec.structs.replace(event, seq=len(self.events) + 1)
        self.events.append(event)
        state, commands = self.conductor.step(state, event)
        for command in commands:
            issued = CommandIssued(seq=len(self.events) + 1, t_ns=self.now_ns, command=command, after=event.seq)
            self.events.append(issued)
            self._boundary()
            self._carry(command)
            self._boundary()
        return state

    def _boundary(self) -> None:
        """A place at which the harness may die."""
        self.boundaries += 1
        if self.trouble.crash_at == self.boundaries:
            raise _CrashError

    def _reap(self) -> None:
        """What the reaper does after the harness's death: up to three tries, from the ledger alone."""
        for _ in range(3):
            if not heal(self.ledger, lambda undo: self.world.undo(undo, self.now_s), by="reaper"):
                break
        self.ledger.append(Closed(by="reaper"))

    # --- commands ---------------------------------------------------------------------------------------------------

    def _carry(self, command: AnyCommand) -> None:
        match command:
            case SetTimer():
                name = command.name
                self._later(command.after_s, lambda: TimerFired(t_ns=self.now_ns, name=name))
            case StartWitness():
                self.witnessing.add(command.fault)
                self._witness(command.fault)
            case StopWitness():
                self.witnessing.discard(command.fault)
            case Finish():
                self.finish = command
            case _ if not isinstance(command, UNANSWERED):
                self._answer(command)
            case _:
                pass

    def _answer(self, command: AnyCommand) -> None:
        """Carries a command out (at once), and brings its reply, or not, or twice, or late."""
        reply = self._do(command)
        draw = self.random.random()
        trouble = self.trouble
        delay = self.behaviour.reply_s
        if draw < trouble.lost:
            lost = Failed(t_ns=0, command=command.id, error="no reply within its time limit")
            self._later(REPLY_LIMIT_S, lambda: self._stamped(lost))
            return
        if draw < trouble.lost + trouble.doubled:
            self._later(delay * 2, lambda: self._stamped(reply))
        elif draw < trouble.lost + trouble.doubled + trouble.late:
            late = Failed(t_ns=0, command=command.id, error="no reply within its time limit")
            self._later(REPLY_LIMIT_S, lambda: self._stamped(late))
            delay = REPLY_LIMIT_S * 1.5
        self._later(delay, lambda: self._stamped(reply))

    def _stamped(self, reply: Any) -> Input:
        fields = {"t_ns": self.now_ns}
        if hasattr(reply, "from_ns"):
            fields["from_ns"] = self.now_ns
        stamped: Input = msgspec.structs.replace(reply, **fields)
        return stamped

    def _do(self, command: AnyCommand) -> Any:
        match command:
            case StartObservers():
                if not self.observing:
                    self.observing = True
                    self._later(0.1, self._sample)
            case StopObservers():
                self.observing = False
            case TakeSnapshot():
                firing = ("Chronic",) if self.behaviour.chronic_alert else ()
                snapshot = Snapshot(services={s.name: "1:1" for s in self.plan.services}, firing=firing)
                return SnapshotTaken(t_ns=0, command=command.id, which=command.which, snapshot=snapshot)
            case PrepareFault():
                undos = (self.world.undo_of(command.fault),)
                return FaultPrepared(t_ns=0, command=command.id, fault=command.fault, undos=undos)
            case SecureUndo():
                self.ledger.append(Secured(fault=command.fault, name="stub", undos=command.undos))
            case InjectFault():
                self._inject(command.fault)
            case HealFault():
                return self._heal(command)
            case Act():
                self.world.act(command.action, self.now_s)
                return ActionDone(t_ns=0, command=command.id, from_ns=0, ok=True)
            case Observe():
                result = self.behaviour.observations.get(str(command.observation), {})
                return ObservationDone(t_ns=0, command=command.id, from_ns=0, ok=True, result=result)
            case _:
                pass
        return Done(t_ns=0, command=command.id)

    def _inject(self, index: int) -> None:
        if not any(isinstance(line, Secured) and line.fault == index for line in self.ledger.lines):
            self.order_faults.append(f"fault {index} was injected before its undo was durable")
        self.world.inject(index, self.now_s)
        if self.behaviour.detect_s is not None and self.behaviour.bites and not self._paged:
            self._paged = True
            self._later(self.behaviour.detect_s, self._page)

    def _heal(self, command: HealFault) -> FaultHealed:
        outcome = self.world.undo(self.world.undo_of(command.fault), self.now_s)
        applied = UndoApplied(kind="config", where=f"stub/{command.fault}", outcome=str(outcome))
        failed = ("config",) if outcome is UndoOutcome.FAILED else ()
        self.ledger.append(Healed(fault=command.fault, by="run", outcomes=(str(outcome),), failed=failed))
        return FaultHealed(t_ns=0, command=command.id, fault=command.fault, from_ns=0, undos=(applied,))

    # --- news -------------------------------------------------------------------------------------------------------

    def _later(self, after_s: float, make: Callable[[], Input | None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.now_ns + round(after_s * NS), self._order, make))

    def _sample(self) -> Input | None:
        if not self.observing:
            return None
        self._later(self.plan.sample_every_s, self._sample)
        return Sample(t_ns=self.now_ns, src="prober", values=self.world.sample(self.now_s), sent=8, ok=8)

    def _witness(self, index: int) -> Input | None:
        if index not in self.witnessing:
            return None
        self._later(self.plan.faults[index].witness_every_s, lambda: self._witness(index))
        blind = self.world.behaviour.blind
        effect = Effect.UNKNOWN if blind else self.world.effect(index, self.now_s)
        detail: dict[str, Json] = {"why": blind} if blind else {}
        return WitnessRead(t_ns=self.now_ns, src="witness", fault=index, effect=effect, detail=detail)

    def _page(self) -> Input:
        layer = str(self.plan.detect.layer) if self.plan.detect is not None else "availability"
        return AlertReceived(
            t_ns=self.now_ns,
            src="pager",
            name="Stub",
            status="firing",
            severity=Severity.PAGE,
            layer=layer,
            starts_ns=self.now_ns,
            active_ns=self.now_ns,
        )

    def _signal(self) -> Input:
        return SignalReceived(t_ns=self.now_ns, name="SIGTERM")


def simulate(
    plan: Plan, responder: Responder, behaviour: Behaviour | None = None, trouble: Trouble | None = None
) -> Simulated:
    """One drill in virtual time."""
    return SimulatedDriver(plan, responder, behaviour or Behaviour(), trouble or Trouble()).run()
