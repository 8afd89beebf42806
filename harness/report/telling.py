"""What happened in a run, one sentence for each thing that did: the event log of the page and the lines of the terminal.

A `Teller` is fed a run's commands and events in order, live or from a history, and says what is news. Samples, buckets and
readings that only repeat what was known are no news. What always holds: it judges nothing (that is the scorer's), and it
never raises over what a target wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from harness.contract.words import Effect, Severity
from harness.history import commands as c
from harness.history import events as e
from harness.history.reader import History
from harness.report.words import arguments_text, plain
from harness.spec.plan import Plan


class Lane(StrEnum):
    """Where on the page it belongs."""

    PHASE = "phase"
    FAULT = "fault"
    IMPACT = "impact"
    ALERT = "alert"
    RESPONDER = "responder"
    RECOVERY = "recovery"
    HARNESS = "harness"


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened. `what` is a short word for a mark, `text` the sentence; `bad` asks for attention."""

    t_ns: int
    lane: Lane
    what: str
    text: str
    bad: bool = False
    from_ns: int | None = None
    step: str = ""
    fault: int | None = None


class Teller:
    """Tells the news of one run. Keeps what it needs to know what is new."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._commands: dict[str, tuple[int, c.AnyCommand]] = {}
        self._effects: dict[int, Effect] = {}

    def ordered(self, t_ns: int, command: c.AnyCommand) -> Happening | None:
        """News of a command as it was issued."""
        self._commands.setdefault(command.id, (t_ns, command))
        match command:
            case c.EnterPhase():
                return Happening(t_ns, Lane.PHASE, str(command.phase), f"phase: {command.phase}")
            case c.InjectFault():
                text = f"inject: {self._fault(command.fault)}"
                return Happening(t_ns, Lane.FAULT, "inject", text, fault=command.fault)
            case c.HealFault():
                return Happening(t_ns, Lane.FAULT, "heal", f"heal ({command.why}): {self._fault(command.fault)}")
            case c.Say():
                return Happening(t_ns, Lane.RESPONDER, str(command.report), _said(command), step=command.step)
            case c.EndStep():
                why = f": {plain(command.why)}" if command.why else ""
                failed = command.outcome == "failed"
                text = f"step {command.step} {command.outcome}{why}"
                return Happening(t_ns, Lane.RESPONDER, "step", text, bad=failed, step=command.step)
            case c.Finish():
                told = f"{command.reason}{f': {plain(command.detail)}' if command.detail else ''}"
                dirty = f"; NOT HEALED: faults {', '.join(map(str, command.dirty))}" if command.dirty else ""
                return Happening(t_ns, Lane.HARNESS, "end", f"end: {told}{dirty}", bad=bool(command.dirty))
            case _:
                return None

    def seen(self, event: e.AnyEvent) -> Happening | None:
        """News of an event other than a command."""
        match event:
            case e.WitnessRead():
                return self._witnessed(event)
            case e.AlertReceived():
                return _alerted(event)
            case e.ActionDone() | e.ObservationDone():
                return self._replied(event)
            case e.FaultHealed():
                told = ", ".join(
                    f"{u.where} {u.outcome}{f' ({plain(u.error)})' if u.error else ''}" for u in event.undos
                )
                bad = any(undo.outcome == "failed" for undo in event.undos)
                text = f"undo applied: {plain(told) or 'nothing to undo'}"
                return Happening(event.t_ns, Lane.FAULT, "undone", text, bad=bad, from_ns=event.from_ns)
            case e.Failed():
                return self._failed(event)
            case e.ServiceExited():
                how = f"{event.reason}{'' if event.code is None else f' {event.code}'}"
                asked = "" if event.asked else ", unasked"
                text = f"{event.service} ended ({how}{asked})"
                return Happening(event.t_ns, Lane.HARNESS, "exit", text, bad=not event.asked)
            case e.SignalReceived():
                return Happening(event.t_ns, Lane.HARNESS, "signal", f"told to stop: {plain(event.name)}", bad=True)
            case e.ObserverLost():
                text = f"observer lost: {event.observer} {plain(event.error)}".rstrip()
                return Happening(event.t_ns, Lane.HARNESS, "lost", text, bad=True)
            case e.Note():
                return Happening(event.t_ns, Lane.HARNESS, "note", plain(event.text))
            case _:
                return None

    def _fault(self, index: int) -> str:
        if index >= len(self.plan.faults):
            return f"fault {index}"
        fault = self.plan.faults[index]
        return plain(f"{fault.fault} {arguments_text(fault.arguments)}")

    def _witnessed(self, event: e.WitnessRead) -> Happening | None:
        if event.effect is Effect.UNKNOWN:
            return None
        before = self._effects.get(event.fault, Effect.ABSENT)
        self._effects[event.fault] = event.effect
        if event.effect is before:
            return None
        seen = event.effect is Effect.PRESENT
        said = f" ({plain(arguments_text(event.detail), limit=160)})" if event.detail else ""
        text = f"witness {'sees it' if seen else 'is clear'}: {self._fault(event.fault)}{said}"
        return Happening(event.t_ns, Lane.FAULT, "active" if seen else "clear", text)

    def _replied(self, event: e.ActionDone | e.ObservationDone) -> Happening | None:
        _, command = self._commands.get(event.command, (0, None))
        error = "" if event.ok else f" FAILED: {plain(event.error) or 'refused'}"
        match command:
            case c.Act():
                what, told = str(command.action), f"{command.action} {arguments_text(command.arguments)}".strip()
            case c.Observe():
                what = f"look {command.observation}"
                told = f"look at {command.observation} {arguments_text(command.arguments)}".strip()
            case _:
                return None
        return Happening(
            event.t_ns,
            Lane.RESPONDER,
            what,
            plain(told) + error,
            bad=not event.ok,
            from_ns=event.from_ns or None,
            step=command.step,
        )

    def _failed(self, event: e.Failed) -> Happening:
        _, command = self._commands.get(event.command, (0, None))
        what = command.__struct_config__.tag if command is not None else event.command
        last = f" ({plain(event.log[-1])})" if event.log else ""
        text = f"{what} failed: {plain(event.error)}{last}"
        return Happening(event.t_ns, Lane.HARNESS, "failed", text, bad=True, from_ns=event.from_ns or None)


def tell(history: History) -> Iterator[Happening]:
    """All that happened in a recorded run, in the order in which it was recorded."""
    teller = Teller(history.header.plan)
    for event in history.events():
        told = teller.ordered(event.t_ns, event.command) if isinstance(event, e.CommandIssued) else teller.seen(event)
        if told is not None:
            yield told


def _alerted(event: e.AlertReceived) -> Happening:
    page = event.severity is Severity.PAGE
    resolved = event.status != "firing"
    what = "resolved" if resolved else ("page" if page else "ticket")
    word = what.upper() if what == "page" else what
    layer = f" [{event.layer}]" if event.layer else ""
    summary = f": {plain(event.summary, limit=160)}" if event.summary else ""
    text = f"{word} {plain(event.name)}{layer}{summary}"
    return Happening(event.t_ns, Lane.ALERT, what, text, bad=page and not resolved)


def _said(command: c.Say) -> str:
    data = {name: value for name, value in command.data.items() if value is not None}
    return plain(f"{command.report} by {command.by} {arguments_text(data)}")
