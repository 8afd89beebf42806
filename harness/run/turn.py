"""One step of the conductor in the making: the state so far, and the commands that leave.

Handlers write on a `Turn`; nothing outside one step ever sees it, so the machine as a whole stays a pure function.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from harness.contract.words import EndReason, Phase
from harness.history.commands import (
    Act,
    AnyCommand,
    Command,
    EndStep,
    EnterPhase,
    Finish,
    Observe,
    Say,
    SetTimer,
    StartWitness,
    StopWitness,
)
from harness.run.state import FaultState, State

UNANSWERED = (EnterPhase, StartWitness, StopWitness, Say, EndStep, SetTimer, Finish)
"""Commands that are done when recorded."""
RESPONDERS = (Act, Observe)


class Turn:
    """A state being stepped. `out` collects the commands in order."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.out: list[AnyCommand] = []

    def set(self, **changes: Any) -> None:
        """Replaces fields of the state."""
        self.state = replace(self.state, **changes)

    def set_fault(self, index: int, **changes: Any) -> FaultState:
        """Replaces fields of one fault's state, and gives it."""
        faults = list(self.state.faults)
        faults[index] = replace(faults[index], **changes)
        self.set(faults=tuple(faults))
        return faults[index]

    def issue(self, make: type[Command], **fields: Any) -> str:
        """Issues a command and gives its id."""
        number = self.state.issued + 1
        command = make(id=f"c{number}", **fields)
        self._record(command, number)
        return command.id

    def pass_on(self, command: AnyCommand) -> str:
        """Issues a responder's command under the conductor's next id."""
        number = self.state.issued + 1
        numbered: AnyCommand = replace(command, id=f"c{number}")
        self._record(numbered, number)
        if isinstance(numbered, RESPONDERS):
            self.set(asked={**self.state.asked, numbered.id: numbered})
        return numbered.id

    def _record(self, command: Any, number: int) -> None:
        self.out.append(command)
        pending = self.state.pending
        if not isinstance(command, UNANSWERED):
            pending = {**pending, command.id: command}
        self.set(issued=number, pending=pending)

    def answered(self, command_id: str) -> AnyCommand | None:
        """The pending command of this id, which is pending no more; None where the reply is late or doubled."""
        command = self.state.pending.get(command_id)
        if command is not None:
            self.set(pending={k: v for k, v in self.state.pending.items() if k != command_id})
        return command

    def enter(self, phase: Phase) -> None:
        """Enters a phase."""
        self.issue(EnterPhase, phase=phase)
        self.set(phase=phase)

    def end(self, reason: EndReason, detail: str = "") -> None:
        """Notes why the run ends; the first reason stands."""
        if self.state.reason is None:
            self.set(reason=reason, detail=detail)

    def is_pending(self, *kinds: type[Command]) -> bool:
        """Whether a command of these kinds still waits for its reply."""
        return any(isinstance(command, kinds) for command in self.state.pending.values())
