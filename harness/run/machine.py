"""The conductor: `step(state, event) -> (state, commands)`. A pure machine.

It decides everything about a run: when the baseline is good enough, when to inject, when to stop, when it is over, and
that all is healed. It knows no clock, thread, socket or file: time enters as the `t_ns` of events, effects leave as
commands with ids, carried out at least once, and their replies come back as events. Rejected: a sequence of blocking
calls with `finally` (it heals neither on SIGKILL nor in the middle of a wait, and can't be simulated).

Always true, on every path and whatever is lost, doubled or late:
* no fault is injected before its undo is durable;
* no fault is injected before its witness was seen absent and the baseline held;
* every fault that may have been injected is healed before `Finish`, or named in `Finish.dirty`;
* a late or doubled reply changes nothing; an event that can't be is an error, not silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract.words import Arm, EndReason, Phase, ReportKind
from harness.errors import ImpossibleEventError
from harness.history.commands import (
    Act,
    AnyCommand,
    CollectReadings,
    Finish,
    HealFault,
    InjectFault,
    PrepareFault,
    Say,
    SecureUndo,
    SetTimer,
    SetUp,
    StartObservers,
    StopObservers,
    StopWitness,
    TakeSnapshot,
    TearDown,
)
from harness.history.events import (
    ActionDone,
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
    SnapshotTaken,
    Started,
    TimerFired,
    WitnessRead,
)
from harness.measure.folds import GAP_SAMPLES, Hold, Stop
from harness.plugin import Brief, Responder
from harness.run import faultline
from harness.run.faultline import NS
from harness.run.state import FaultStage, FaultState, State
from harness.run.turn import Turn

if TYPE_CHECKING:
    from harness.spec.plan import Plan

DRILLING = (Phase.INJECT, Phase.RESPOND, Phase.SETTLE)
BEFORE_END = (Phase.SETUP, Phase.BASELINE, *DRILLING)
LAST_LINES = 10
"""Of a service's log, told with its unasked end."""
Reply = Done | Failed | SnapshotTaken | FaultPrepared | FaultHealed | ActionDone | ObservationDone


class Conductor:
    """The machine for one plan and one responder. Holds nothing that changes: both are given, the state is passed."""

    def __init__(self, plan: Plan, responder: Responder) -> None:
        self.plan = plan
        self.responder = responder

    def start(self) -> State:
        """The state before the first event (which must be `Started`)."""
        plan = self.plan
        return State(
            plan=plan,
            phase=Phase.SETUP,
            now_ns=0,
            issued=0,
            pending={},
            asked={},
            faults=tuple(FaultState() for _ in plan.faults),
            responder=None,
            baseline=Hold(hold_ns=round(plan.baseline_s * NS)),
            baseline_held=False,
            stops=tuple(Stop(for_ns=round(a.for_s * NS), below=a.below, above=a.above) for a in plan.aborts),
            # One sample longer than the hold asked for: the scorer counts the hold of each part (objectives, every
            # cause) from and to readings of its own, which may lie a sample apart from those that are folded here.
            good=Hold(
                hold_ns=round((plan.hold_s + plan.sample_every_s) * NS),
                gap_ns=round(GAP_SAMPLES * plan.sample_every_s * NS),
            ),
            sample_good=False,
        )

    def step(self, state: State, event: Input) -> tuple[State, tuple[AnyCommand, ...]]:
        """The state after the event, and the commands it led to. Raises `ImpossibleEventError`."""
        if state.phase is Phase.ENDED:
            return state, ()
        turn = Turn(state)
        turn.set(now_ns=max(state.now_ns, event.t_ns))
        replied = self._take_in(turn, event)
        if replied is not False:
            self._ask_responder(turn, event)
        self._go_on(turn)
        return turn.state, tuple(turn.out)

    # --- taking an event in -----------------------------------------------------------------------------------------

    def _take_in(self, turn: Turn, event: Input) -> bool:
        """Updates the state by the event alone. False: a late or doubled reply, which changes nothing."""
        if isinstance(event, Reply):
            return self._reply(turn, event)
        match event:
            case Started():
                turn.set(started_ns=event.t_ns)
                turn.issue(SetUp)
            case Sample():
                self._sampled(turn, event)
            case WitnessRead() if turn.state.phase is not Phase.AFTERWARDS:
                # Afterwards witnesses are told to stop and the target is taken down: what they see then is our doing.
                faultline.witnessed(turn, event)
                if not faultline.cause_gone(turn.state):
                    self._fold_good(turn)
            case TimerFired():
                self._timer(turn, event.name)
            case ServiceExited():
                self._service_exited(turn, event)
            case SignalReceived():
                turn.end(EndReason.SIGNAL, event.name)
            case ObserverLost():
                if turn.state.phase in BEFORE_END:
                    turn.end(EndReason.ENVIRONMENT, f"{event.observer} was lost: {event.error}")
        return True

    def _reply(self, turn: Turn, event: Reply) -> bool:
        command = turn.answered(event.command)
        if command is None:
            if not event.command[1:].isdigit() or int(event.command[1:]) > turn.state.issued:
                raise ImpossibleEventError(f"a reply to {event.command!r}, which was never issued")
            return False
        match command:
            case PrepareFault() if isinstance(event, FaultPrepared):
                faultline.prepared(turn, event)
            case SecureUndo(fault=index) if isinstance(event, Done):
                faultline.secured(turn, index)
            case InjectFault(fault=index) if isinstance(event, Done):
                faultline.injected(turn, event, index)
            case InjectFault(fault=index) if isinstance(event, Failed):
                faultline.heal_again(turn, index)
                turn.end(
                    EndReason.INVALID_INJECTION, f"{self.plan.faults[index].fault} could not be injected: {event.error}"
                )
            case HealFault() if isinstance(event, FaultHealed | Failed):
                faultline.healed(turn, event, command)
            case TakeSnapshot(which="baseline") if isinstance(event, SnapshotTaken):
                turn.set(snapshot=event.snapshot)
            case CollectReadings():
                turn.set(collected=True)
            case Act() if isinstance(event, ActionDone) and event.ok:
                faultline.lift_by_action(turn, command)
            case SetUp() | StartObservers() | TakeSnapshot(which="baseline") | PrepareFault() | SecureUndo() if (
                isinstance(event, Failed)
            ):
                turn.end(EndReason.ENVIRONMENT, event.error)
            case _:
                pass
        return True

    def _sampled(self, turn: Turn, event: Sample) -> None:
        values = event.values
        good = True
        for sli in self.plan.slis:
            value = values.get(sli.kind)
            good = good and value is not None and sli.good(value)
        turn.set(sample_good=good)
        state = turn.state
        if state.phase is Phase.BASELINE:
            baseline = state.baseline.step(event.t_ns, good)
            held = baseline.since_ns is not None and baseline.held_ns is not None
            turn.set(baseline=baseline, baseline_held=held)
        elif state.phase in DRILLING:
            self._fold_good(turn)
            self._check_stops(turn, event)

    def _fold_good(self, turn: Turn) -> None:
        """Folded at samples, as the scorer does, so that both see the same hold; a cause that is back breaks it at once."""
        state = turn.state
        if state.phase in DRILLING:
            good = state.sample_good and faultline.cause_gone(state)
            turn.set(good=state.good.step(state.now_ns, good))

    def _check_stops(self, turn: Turn, event: Sample) -> None:
        stops = []
        for planned, stop in zip(self.plan.aborts, turn.state.stops, strict=True):
            after = stop.step(event.t_ns, event.values.get(planned.sli))
            stops.append(after)
            if after.breached_ns is not None:
                bound = f"below {planned.below:g}" if planned.below is not None else f"above {planned.above:g}"
                turn.end(EndReason.STOP_CONDITION, f"{planned.sli} {bound} for {planned.for_s:g} s")
        turn.set(stops=tuple(stops))

    def _timer(self, turn: Turn, name: str) -> None:
        state = turn.state
        kind, _, argument = name.partition(":")
        if kind == "baseline" and state.phase is Phase.BASELINE:
            turn.end(EndReason.ENVIRONMENT, self._why_no_baseline(state))
        elif kind == "onset" and state.phase in DRILLING:
            faultline.inject(turn, int(argument))
        elif kind == "window" and state.phase in DRILLING:
            faultline.window_over(turn, int(argument))
        elif kind == "budget" and not state.budget_over:
            turn.set(budget_over=True)
            if state.phase is Phase.SETTLE:
                self._bound_settling(turn)
        elif (kind == "settle" and state.phase is Phase.SETTLE) or (kind == "collect" and not state.collected):
            turn.set(collected=state.collected or kind == "collect")
            if kind == "settle":
                turn.set(good=Hold(hold_ns=state.good.hold_ns, gap_ns=state.good.gap_ns))
        elif kind == "cleanup" and state.phase is Phase.CLEANUP:
            turn.set(dirty=faultline.not_clear(state.faults))

    def _why_no_baseline(self, state: State) -> str:
        if not state.baseline_held:
            return f"objectives did not hold for {self.plan.baseline_s:g} s within {self.plan.baseline_within_s:g} s"
        unready = [(p.fault, f.unknown) for p, f in zip(self.plan.faults, state.faults, strict=True) if not f.ready]
        if unready:
            names = ", ".join(name for name, _ in unready)
            why = "; ".join(dict.fromkeys(why for _, why in unready if why))
            said = f"the witness of {names} never said that the effect is absent before the injection"
            return f"{said}: {why}" if why else said
        return "the baseline could not be recorded in time"

    def _service_exited(self, turn: Turn, event: ServiceExited) -> None:
        if event.asked:
            return
        before = turn.state.phase in (Phase.SETUP, Phase.BASELINE)
        control = self.plan.arm is Arm.CONTROL and turn.state.phase in BEFORE_END
        if before or control:
            last = "".join(f"\n  | {line}" for line in event.log[-LAST_LINES:])
            turn.end(EndReason.ENVIRONMENT, f"{event.service} ended unasked ({event.reason}){last}")

    # --- the responder ----------------------------------------------------------------------------------------------

    def _ask_responder(self, turn: Turn, event: Input) -> None:
        state = turn.state
        if state.phase not in (Phase.INJECT, Phase.RESPOND) or state.responder is None or state.reason is not None:
            return
        after, commands = self.responder.step(state.responder, event, state.asked)
        command_id = getattr(event, "command", None)
        asked = {k: v for k, v in state.asked.items() if k != command_id}
        turn.set(responder=after, asked=asked)
        self._pass_on(turn, commands)

    def _pass_on(self, turn: Turn, commands: tuple[AnyCommand, ...]) -> None:
        for command in commands:
            turn.pass_on(command)
            if isinstance(command, Say) and command.report is ReportKind.RESOLVE and turn.state.claim_ns is None:
                turn.set(claim_ns=turn.state.now_ns)

    # --- going on: what the state now allows -------------------------------------------------------------------------

    def _go_on(self, turn: Turn) -> None:
        """Moves through the phases as far as the state allows, at most once through each."""
        for _ in Phase:
            before = turn.state.phase
            if turn.state.reason is not None and before in BEFORE_END:
                self._leave(turn)
            else:
                self._advance(turn)
            if turn.state.phase is before:
                return

    def _advance(self, turn: Turn) -> None:
        state = turn.state
        match state.phase:
            case Phase.SETUP:
                self._from_setup(turn)
            case Phase.BASELINE:
                self._from_baseline(turn)
            case Phase.INJECT:
                if any(fault.active_ns is not None for fault in state.faults):
                    self._respond(turn, min(f.active_ns for f in state.faults if f.active_ns is not None))
            case Phase.RESPOND:
                self._from_respond(turn)
            case Phase.SETTLE:
                self._from_settle(turn)
            case Phase.CLEANUP:
                self._from_cleanup(turn)
            case Phase.AFTERWARDS:
                self._from_afterwards(turn)
            case Phase.ENDED:
                pass

    def _from_setup(self, turn: Turn) -> None:
        state = turn.state
        if state.issued == 0 or state.pending:
            return
        if state.issued == 1:  # SetUp alone was issued, and is answered
            turn.issue(StartObservers)
            return
        turn.enter(Phase.BASELINE)
        turn.issue(SetTimer, name="baseline", after_s=self.plan.baseline_within_s)
        faultline.prepare_all(turn)
        if not turn.state.faults:
            turn.issue(TakeSnapshot, which="baseline")

    def _from_baseline(self, turn: Turn) -> None:
        state = turn.state
        prepared = all(fault.stage is FaultStage.SECURED for fault in state.faults)
        if prepared and state.snapshot is None and not turn.is_pending(TakeSnapshot):
            turn.issue(TakeSnapshot, which="baseline")
        ready = all(fault.ready for fault in state.faults)
        if not (prepared and ready and state.baseline_held and state.snapshot is not None):
            return
        turn.enter(Phase.INJECT)
        responder, commands = self.responder.start(Brief(plan=self.plan, act_at_s=self.plan.act_at_s))
        turn.set(responder=responder)
        self._pass_on(turn, commands)
        if self.plan.faults:
            faultline.schedule(turn)
        else:
            self._respond(turn, state.now_ns)

    def _respond(self, turn: Turn, active_ns: int) -> None:
        turn.set(t_active_ns=active_ns)
        turn.enter(Phase.RESPOND)
        spent_s = (turn.state.now_ns - active_ns) / NS
        turn.issue(SetTimer, name="budget", after_s=max(0.0, self.plan.budget_s - spent_s))

    def _from_respond(self, turn: Turn) -> None:
        """A claim ends the respond phase of a fault arm; controls and decoys are watched for the whole budget."""
        state = turn.state
        claimed = state.claim_ns is not None and self.plan.arm is Arm.FAULT
        if not (claimed or state.budget_over):
            return
        turn.enter(Phase.SETTLE)
        if state.budget_over:
            self._bound_settling(turn)

    def _bound_settling(self, turn: Turn) -> None:
        turn.issue(SetTimer, name="settle", after_s=self.plan.hold_s + 3 * self.plan.sample_every_s)

    def _from_settle(self, turn: Turn) -> None:
        """A hold begun before the end of the budget may finish; then nothing more is waited for."""
        state = turn.state
        if state.collected:
            self._leave(turn)
            return
        if turn.is_pending(CollectReadings):
            return
        held = state.good.since_ns is not None and state.good.held_ns is not None
        waiting = state.good.since_ns is not None if state.budget_over else True
        if self.plan.arm is Arm.FAULT and not held and waiting:
            return
        turn.issue(CollectReadings)
        turn.issue(SetTimer, name="collect", after_s=5.0)

    def _leave(self, turn: Turn) -> None:
        """Ends the drill itself: heals all. Reached from every phase before."""
        claimed = turn.state.claim_ns is not None and not turn.state.budget_over
        turn.end(EndReason.CLAIMED if claimed else EndReason.BUDGET)
        turn.enter(Phase.CLEANUP)
        faultline.heal_all(turn, "cleanup" if turn.state.reason in NATURAL else str(turn.state.reason))
        if faultline.not_clear(turn.state.faults):
            turn.issue(SetTimer, name="cleanup", after_s=self.plan.cleanup_s)

    def _from_cleanup(self, turn: Turn) -> None:
        state = turn.state
        unhealed = faultline.not_clear(state.faults)
        if unhealed and not state.dirty:
            return
        if turn.is_pending(HealFault, Act, SetUp, StartObservers, PrepareFault, InjectFault):
            return
        turn.enter(Phase.AFTERWARDS)
        for index, fault in enumerate(state.faults):
            if fault.witnessing:
                turn.issue(StopWitness, fault=index)
        if state.snapshot is not None:
            turn.issue(TakeSnapshot, which="final")

    def _from_afterwards(self, turn: Turn) -> None:
        state = turn.state
        if turn.is_pending(TakeSnapshot, StopObservers, TearDown):
            return
        if not state.stopping:
            turn.set(stopping=True)
            turn.issue(StopObservers)
            turn.issue(TearDown)
            return
        dirty = faultline.not_clear(state.faults)
        turn.issue(Finish, reason=state.reason or EndReason.BUDGET, detail=state.detail, dirty=dirty)
        turn.enter(Phase.ENDED)


NATURAL = (EndReason.CLAIMED, EndReason.BUDGET)
"""Ends that are no accident."""
