"""What the conductor and the responders want done: commands, as they leave the machine and stand in the history.

Every command has an id (`c1`, `c2`, ... in the order they were made). A driver carries it out at least once; carrying it
out twice must do no more than once. Those with a reply are answered by an event of `events.py` that bears the id; those
without (`EnterPhase`, `Say`, `SetTimer`, `StopWitness`) are done when recorded.
"""

from __future__ import annotations

import msgspec

from harness.contract.undo import Json, Undo
from harness.contract.words import Action, EndReason, Observation, Phase, ReportKind


class Command(msgspec.Struct, frozen=True, tag_field="do", kw_only=True):
    """Base of all commands (a msgspec union needs one tag field; nobody else inherits from it)."""

    id: str


class EnterPhase(Command, frozen=True, kw_only=True, tag="enter-phase"):
    """The run enters a phase. No reply."""

    phase: Phase


class SetUp(Command, frozen=True, kw_only=True, tag="set-up"):
    """Bring the target to its baseline: up, reset, ready. Reply: `Done` or `Failed`."""


class StartObservers(Command, frozen=True, kw_only=True, tag="start-observers"):
    """Prober, pager sink, readings, scrape and load. Reply: `Done` or `Failed`."""


class TakeSnapshot(Command, frozen=True, kw_only=True, tag="take-snapshot"):
    """Read the target's state: `baseline` or `final`. Reply: `SnapshotTaken` or `Failed`."""

    which: str


class PrepareFault(Command, frozen=True, kw_only=True, tag="prepare-fault"):
    """Reply: `FaultPrepared` or `Failed`."""

    fault: int


class SecureUndo(Command, frozen=True, kw_only=True, tag="secure-undo"):
    """Write the undos to the ledger and sync it. Reply: `Done` or `Failed`; only after Done may the fault be injected."""

    fault: int
    undos: tuple[Undo, ...]


class StartWitness(Command, frozen=True, kw_only=True, tag="start-witness"):
    """Read the fault's witness every so often until told to stop. Gives `WitnessRead` events. No reply of its own."""

    fault: int


class StopWitness(Command, frozen=True, kw_only=True, tag="stop-witness"):
    """No reply."""

    fault: int


class InjectFault(Command, frozen=True, kw_only=True, tag="inject-fault"):
    """Reply: `Done` or `Failed`, with the bracket of the call."""

    fault: int


class HealFault(Command, frozen=True, kw_only=True, tag="heal-fault"):
    """Apply the fault's undos. `why`: cleanup, stop-condition, cure, failed. Reply: `FaultHealed` or `Failed`."""

    fault: int
    why: str


class Act(Command, frozen=True, kw_only=True, tag="act"):
    """A standard action on the target. Reply: `ActionDone`. `step` is the playbook step, or empty."""

    action: Action
    arguments: dict[str, Json]
    by: str
    step: str = ""


class Observe(Command, frozen=True, kw_only=True, tag="observe"):
    """A standard observation. Reply: `ObservationDone`."""

    observation: Observation
    arguments: dict[str, Json]
    by: str
    step: str = ""


class Say(Command, frozen=True, kw_only=True, tag="say"):
    """The responder says something: ack, severity, diagnose, escalate, update, resolve. No reply."""

    report: ReportKind
    data: dict[str, Json]
    by: str
    step: str = ""


class EndStep(Command, frozen=True, kw_only=True, tag="end-step"):
    """The responder is through with a playbook step: passed, failed or skipped, and why. No reply."""

    step: str
    outcome: str
    why: str = ""


class SetTimer(Command, frozen=True, kw_only=True, tag="set-timer"):
    """An event `TimerFired` with `name` is due `after_s` from the event that led here. No reply of its own."""

    name: str
    after_s: float


class CollectReadings(Command, frozen=True, kw_only=True, tag="collect-readings"):
    """Read all declared record readings to their end, so that debt is known at the end. Reply: `Done` or `Failed`."""


class StopObservers(Command, frozen=True, kw_only=True, tag="stop-observers"):
    """Reply: `Done` or `Failed`."""


class TearDown(Command, frozen=True, kw_only=True, tag="tear-down"):
    """Release the target: reset it in place, or take it down. Reply: `Done` or `Failed`."""


class Finish(Command, frozen=True, kw_only=True, tag="finish"):
    """The run is over. No reply. `reason` says why the respond phase ended; `dirty` names faults not seen healed."""

    reason: EndReason
    detail: str = ""
    dirty: tuple[int, ...] = ()


AnyCommand = (
    EnterPhase
    | SetUp
    | StartObservers
    | TakeSnapshot
    | PrepareFault
    | SecureUndo
    | StartWitness
    | StopWitness
    | InjectFault
    | HealFault
    | Act
    | Observe
    | Say
    | EndStep
    | SetTimer
    | CollectReadings
    | StopObservers
    | TearDown
    | Finish
)
