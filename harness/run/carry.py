"""Carries the conductor's commands out on a live target: one thread a command, each with a time limit.

What throws becomes a `Failed` (or a refused `ActionDone`, `ObservationDone`) event; what hangs is given up by the live
driver's own time limit, and its late reply is ignored by the conductor. Injecting and healing one fault are serialised by
a lock a fault, so that a heal never overtakes the injection that it is to take back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

from harness.clock import now_ns
from harness.contract.faults import Prepared
from harness.contract.undo import Undo, UndoOutcome
from harness.errors import EnvironmentProblem, HarnessError
from harness.history.commands import (
    Act,
    AnyCommand,
    CollectReadings,
    HealFault,
    InjectFault,
    Observe,
    PrepareFault,
    SecureUndo,
    SetUp,
    StartObservers,
    StopObservers,
    TakeSnapshot,
    TearDown,
)
from harness.history.events import (
    ActionDone,
    AnyEvent,
    Done,
    Failed,
    FaultHealed,
    FaultPrepared,
    Note,
    ObservationDone,
    SnapshotTaken,
    UndoApplied,
)
from harness.plugin import Fault, Target, counted
from harness.run.ledger import Healed, Ledger, Secured
from harness.spec.plan import Plan

LIMITS_S: dict[type, float] = {
    SetUp: 60.0,
    StartObservers: 20.0,
    TakeSnapshot: 10.0,
    PrepareFault: 20.0,
    SecureUndo: 5.0,
    InjectFault: 10.0,
    HealFault: 12.0,
    Act: 30.0,
    Observe: 12.0,
    CollectReadings: 6.0,
    StopObservers: 12.0,
    TearDown: 30.0,
}
"""How long each kind of command may take before its reply counts as lost."""


class ObserversLike(Protocol):
    """What a live run needs of its observers."""

    def prepare(self) -> None: ...
    def start(self) -> None: ...
    def collect(self) -> None: ...
    def stop(self) -> None: ...


class Carrier:
    """Carries commands out. `put` hands the reply in; `release` resets or takes down the target at the end."""

    def __init__(
        self,
        plan: Plan,
        *,
        target: Target,
        faults: tuple[Fault, ...],
        observers: ObserversLike,
        ledger: Ledger,
        put: Callable[[AnyEvent], None],
        set_up: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.target = target
        self.faults = faults
        self.observers = observers
        self.ledger = ledger
        self.put = put
        self.set_up = set_up
        self.release = release
        self.prepared: dict[int, Prepared] = {}
        self._locks = [threading.Lock() for _ in faults]
        self._abandoned = threading.Event()

    def carry(self, command: AnyCommand) -> None:
        """Begins to carry a command out; returns at once."""
        threading.Thread(target=self._carry, args=(command,), daemon=True, name=f"carry-{command.id}").start()

    def abandon(self) -> None:
        """Injects nothing from now on, and returns when no injection is under way any more, or its time limit is over."""
        self._abandoned.set()
        deadline = time.monotonic() + LIMITS_S[InjectFault]
        for lock in self._locks:
            if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                lock.release()

    def _carry(self, command: AnyCommand) -> None:
        began = now_ns()
        try:
            event = self._do(command, began)
        except HarnessError as error:
            event = _failed(command, began, error.message, getattr(error, "log", ()))
        except Exception as error:  # a defect of a plugin or ours: the run must go on to its healing
            event = _failed(command, began, f"{type(error).__name__}: {error}", ())
        self.put(event)

    def _do(self, command: AnyCommand, began: int) -> AnyEvent:
        match command:
            case SetUp():
                self.set_up()
            case StartObservers():
                self.observers.start()
            case StopObservers():
                self.observers.stop()
            case CollectReadings():
                self.observers.collect()
            case TearDown():
                self.release()
            case TakeSnapshot():
                snapshot = self.target.snapshot()
                ended = now_ns()
                return SnapshotTaken(
                    t_ns=ended, res_ns=ended - began, command=command.id, which=command.which, snapshot=snapshot
                )
            case PrepareFault():
                return self._prepare(command, began)
            case SecureUndo():
                name = self.plan.faults[command.fault].fault
                self.ledger.append(Secured(fault=command.fault, name=name, undos=command.undos))
            case InjectFault():
                return self._inject(command)
            case HealFault():
                return self._heal(command)
            case Act():
                result = self.target.act(command.action, command.arguments)
                ended = now_ns()
                return ActionDone(
                    t_ns=ended, res_ns=ended - began, command=command.id, from_ns=began, ok=True, result=result
                )
            case Observe():
                result = self.target.observe(command.observation, command.arguments)
                ended = now_ns()
                return ObservationDone(
                    t_ns=ended, res_ns=ended - began, command=command.id, from_ns=began, ok=True, result=result
                )
            case _:
                raise AssertionError(f"{type(command).__name__} needs no carrying out")
        ended = now_ns()
        return Done(t_ns=ended, res_ns=ended - began, command=command.id, from_ns=began)

    def _prepare(self, command: PrepareFault, began: int) -> AnyEvent:
        index = command.fault
        prepared = self.faults[index].prepare(self.plan.faults[index], self.target)
        self.prepared[index] = prepared
        ended = now_ns()
        return FaultPrepared(
            t_ns=ended,
            res_ns=ended - began,
            command=command.id,
            fault=index,
            undos=prepared.undos,
            facts=prepared.facts,
        )

    def _inject(self, command: InjectFault) -> AnyEvent:
        index = command.fault
        with self._locks[index]:
            if self._abandoned.is_set():
                raise EnvironmentProblem("the run is over: nothing is injected any more")
            began = now_ns()
            receipt = self.faults[index].inject(self.plan.faults[index], self.prepared[index], self.target)
            ended = now_ns()
        return Done(t_ns=ended, res_ns=ended - began, command=command.id, from_ns=began, data=receipt)

    def _heal(self, command: HealFault) -> AnyEvent:
        index = command.fault
        limit_s = self.plan.faults[index].heal_within_s
        lock = self._locks[index]
        held = lock.acquire(timeout=limit_s / 2)
        try:
            self._note_counts(index)
            began = now_ns()
            applied = [self._undo(undo) for undo in reversed(self.prepared[index].undos)]
            ended = now_ns()
        finally:
            if held:
                lock.release()
        failed = tuple(f"{undo.kind}:{undo.where}" for undo in applied if undo.outcome == UndoOutcome.FAILED)
        outcomes = tuple(f"{undo.kind}:{undo.where}={undo.outcome}" for undo in applied)
        with contextlib.suppress(OSError):  # the undo stands all the same; at worst it is applied once more
            self.ledger.append(Healed(fault=index, by="run", outcomes=outcomes, failed=failed))
        return FaultHealed(
            t_ns=ended, res_ns=ended - began, command=command.id, fault=index, from_ns=began, undos=tuple(applied)
        )

    def _note_counts(self, index: int) -> None:
        """The injector's own counters, before they go with what is taken back: to be compared with the witness."""
        for undo in self.prepared[index].undos:
            with contextlib.suppress(Exception):  # whatever the counters throw, the undo must come
                if counts := counted(self.target, undo.point):
                    told = ", ".join(f"{key} {value}" for key, value in counts.items())
                    words = f"fault {index}: the injector counted at {undo.point.where}: {told}"
                    self.put(Note(t_ns=now_ns(), src="injector", text=words, data={"fault": index, **counts}))

    def _undo(self, undo: Undo) -> UndoApplied:
        try:
            outcome, error = self.target.undo(undo), ""
        except Exception as problem:  # whatever one undo throws, the others must still be applied
            outcome, error = UndoOutcome.FAILED, str(problem)
        return UndoApplied(kind=str(undo.point.kind), where=undo.point.where, outcome=str(outcome), error=error)


def _failed(command: AnyCommand, began: int, error: str, log: tuple[str, ...]) -> AnyEvent:
    """The event that says that a command could not be carried out, in the shape its asker expects."""
    ended = now_ns()
    res = ended - began
    match command:
        case Act():
            return ActionDone(t_ns=ended, res_ns=res, command=command.id, from_ns=began, ok=False, error=error)
        case Observe():
            return ObservationDone(t_ns=ended, res_ns=res, command=command.id, from_ns=began, ok=False, error=error)
        case _:
            return Failed(t_ns=ended, res_ns=res, command=command.id, from_ns=began, error=error, log=tuple(log))
