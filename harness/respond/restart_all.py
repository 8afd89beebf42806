"""The laziest response there is: restart everything, then say that it is resolved.

A scenario that this passes measures nothing of a response, or says so (`restart_all_solves`). It acts at the first page, or
unasked at `--act-at` seconds after its start, for faults that nobody is paged for.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from harness.contract.words import Action, ReportKind, Severity
from harness.history.commands import Act, AnyCommand, Say, SetTimer
from harness.history.events import ActionDone, AlertReceived, AnyEvent, TimerFired
from harness.plugin import Brief

BY = "restart-all"
TIMER = "responder:act"


class RestartState(msgspec.Struct, frozen=True):
    """Services still to restart, in order; `acting` once it has begun."""

    todo: tuple[str, ...]
    acting: bool = False
    claimed: bool = False


class RestartAllResponder:
    """Restarts every service, one after the other, and claims."""

    name = BY
    mutates = True

    def start(self, brief: Brief) -> tuple[RestartState, tuple[AnyCommand, ...]]:
        """Remembers the services; sets its timer where it is to act unasked."""
        state = RestartState(todo=tuple(service.name for service in brief.plan.services))
        if brief.act_at_s is None:
            return state, ()
        return state, (SetTimer(id="", name=TIMER, after_s=brief.act_at_s),)

    def step(
        self, state: RestartState, event: AnyEvent, issued: Mapping[str, AnyCommand]
    ) -> tuple[RestartState, tuple[AnyCommand, ...]]:
        """Begins at the first page or the timer; goes on with every reply."""
        paged = isinstance(event, AlertReceived) and event.severity is Severity.PAGE and event.status == "firing"
        timed = isinstance(event, TimerFired) and event.name == TIMER
        if not state.acting:
            if not (paged or timed):
                return state, ()
            ack = Say(id="", report=ReportKind.ACK, data={}, by=BY)
            after, commands = self._next(msgspec.structs.replace(state, acting=True))
            return after, (ack, *commands)
        if isinstance(event, ActionDone) and event.command in issued:
            return self._next(state)
        return state, ()

    def _next(self, state: RestartState) -> tuple[RestartState, tuple[AnyCommand, ...]]:
        if state.todo:
            act = Act(id="", action=Action.RESTART, arguments={"service": state.todo[0]}, by=BY)
            return msgspec.structs.replace(state, todo=state.todo[1:]), (act,)
        if state.claimed:
            return state, ()
        resolve = Say(id="", report=ReportKind.RESOLVE, data={"summary": "restarted everything"}, by=BY)
        return msgspec.structs.replace(state, claimed=True), (resolve,)
