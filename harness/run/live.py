"""The live driver: feeds the conductor from one queue, writes the history, has its commands carried out.

One thread (the caller's) takes events in, writes them, steps the conductor and writes its commands, so that a history's
order is the order in which events were consumed. Everything that waits for the world happens in other threads. Every
command has a time limit: when it is over, the driver itself says `Failed`. If the conductor throws, or the history can't be
written any more, the error goes on to whoever runs the driver, who heals from the ledger. A view that throws (the terminal was
closed) is not asked again: what nobody watches must still be healed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from harness.clock import now_ns
from harness.contract.words import Phase
from harness.history.commands import AnyCommand, Finish, InjectFault, SetTimer, StartWitness, StopWitness
from harness.history.events import (
    AnyEvent,
    CommandIssued,
    Failed,
    FaultHealed,
    Input,
    Lag,
    Note,
    Started,
    TimerFired,
)
from harness.history.writer import HistoryWriter
from harness.plugin import Fault
from harness.run.carry import LIMITS_S, Carrier
from harness.run.inbox import Inbox
from harness.run.machine import Conductor
from harness.run.state import State
from harness.run.turn import UNANSWERED
from harness.run.witnesses import Witnesses

NS = 1_000_000_000
LAG_EVERY_NS = NS
TICK_S = 0.5
"""The longest the driver sleeps: bounds how late it notices its own lag."""

View = Callable[[State, AnyEvent, tuple[AnyCommand, ...]], None]
"""Told of every event after it was consumed: the terminal. Must not block."""


class LiveDriver:
    """Runs one conductor to its end."""

    def __init__(
        self,
        conductor: Conductor,
        *,
        inbox: Inbox,
        writer: HistoryWriter,
        carrier: Carrier,
        witnesses: Witnesses,
        faults: tuple[Fault, ...],
        view: View,
    ) -> None:
        self.conductor = conductor
        self.inbox = inbox
        self.writer = writer
        self.carrier = carrier
        self.witnesses = witnesses
        self.faults = faults
        self.view = view
        self.finish: Finish | None = None
        self._timers: list[tuple[int, int, str]] = []
        self._limits: dict[str, int] = {}
        self._order = 0
        self._worst_lag = 0
        self._lag_due = 0
        self._blind = False

    def run(self) -> Finish:
        """From `Started` to `Finish`. Bounded, since every wait of the conductor is."""
        state = self.conductor.start()
        state = self._consume(state, Started(t_ns=now_ns()))
        while state.phase is not Phase.ENDED:
            for event in self._due():
                state = self._consume(state, event)
            if state.phase is Phase.ENDED:
                break
            arrived = self._take()
            if arrived is None:
                continue
            if isinstance(arrived, Input):
                state = self._consume(state, arrived)
            else:
                self._show(state, self.writer.append(arrived), ())
        self._drain(state)
        assert self.finish is not None, "the conductor ends by Finish"
        return self.finish

    def _consume(self, state: State, event: Input) -> State:
        event = self.writer.append(event)
        state, commands = self.conductor.step(state, event)
        for command in commands:
            self.writer.append(CommandIssued(t_ns=now_ns(), command=command, after=event.seq))
            if isinstance(command, InjectFault):
                self.writer.sync()
            self._start(command)
        if isinstance(event, Input) and hasattr(event, "command"):
            self._limits.pop(event.command, None)
        if isinstance(event, FaultHealed):
            self.witnesses.hurry(event.fault)
        self._show(state, event, commands)
        return state

    def _show(self, state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> None:
        if self._blind:
            return
        try:
            self.view(state, event, commands)
        except Exception as error:
            self._blind = True
            words = f"the view failed and was left out from here on: {type(error).__name__}: {error}"
            self.writer.append(Note(t_ns=now_ns(), text=words))

    def _start(self, command: AnyCommand) -> None:
        match command:
            case SetTimer():
                self._order += 1
                heapq.heappush(self._timers, (now_ns() + round(command.after_s * NS), self._order, command.name))
            case StartWitness():
                planned = self.conductor.plan.faults[command.fault]
                prepared = self.carrier.prepared[command.fault]
                self.witnesses.start(self.faults[command.fault], planned, prepared)
            case StopWitness():
                self.witnesses.stop(command.fault)
            case Finish():
                self.finish = command
            case _ if not isinstance(command, UNANSWERED):
                self._limits[command.id] = now_ns() + round(LIMITS_S[type(command)] * NS)
                self.carrier.carry(command)
            case _:
                pass

    def _due(self) -> list[Input]:
        """Timers and time limits that are over by now, as events; and the harness's own lag, from timers that ran late."""
        now = now_ns()
        events: list[Input] = []
        while self._timers and self._timers[0][0] <= now:
            due, _, name = heapq.heappop(self._timers)
            self._note_lag(now - due)
            events.append(TimerFired(t_ns=now, res_ns=now - due, name=name))
        for command_id, due in list(self._limits.items()):
            if due <= now:
                del self._limits[command_id]
                events.append(Failed(t_ns=now, command=command_id, error="no reply within its time limit"))
        if now >= self._lag_due:
            if self._worst_lag:
                self.writer.append(Lag(t_ns=now, worst_ns=self._worst_lag))
            self._worst_lag, self._lag_due = 0, now + LAG_EVERY_NS
        return events

    def _note_lag(self, lag_ns: int) -> None:
        self._worst_lag = max(self._worst_lag, lag_ns)

    def _take(self) -> AnyEvent | None:
        """The next event. Waking up later than asked for is lag of ours as much as a late timer."""
        timeout_s = self._until_next_s()
        began = now_ns()
        arrived = self.inbox.take(timeout_s)
        if arrived is None:
            self._note_lag(now_ns() - began - round(timeout_s * NS))
        return arrived

    def _until_next_s(self) -> float:
        next_timer = self._timers[0][0] if self._timers else now_ns() + round(TICK_S * NS)
        soonest = min([next_timer, *self._limits.values()])
        return min(TICK_S, max(0.0, (soonest - now_ns()) / NS))

    def _drain(self, state: State) -> None:
        """Bulk that was handed in before the observers stopped still belongs to the history."""
        self.witnesses.join(1.0)
        while (event := self.inbox.take(0.0)) is not None:
            if not isinstance(event, Input):
                self.writer.append(event)
        if self.inbox.dropped:
            words = f"{self.inbox.dropped} events of bulk were dropped: they came faster than they could be written"
            self.writer.append(Note(t_ns=now_ns(), text=words, data={"dropped": self.inbox.dropped}))
        if self._worst_lag:
            self.writer.append(Lag(t_ns=now_ns(), worst_ns=self._worst_lag))
