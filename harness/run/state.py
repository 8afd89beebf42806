"""What the conductor remembers between two events: frozen records only.

The folds that decide (onset, hold, stop) are those of `harness.measure`, carried here by value, so that a scorer that
folds the recorded run comes to the same answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from harness.contract.faults import Prepared
from harness.contract.words import Effect, EndReason, Phase
from harness.history.commands import AnyCommand
from harness.history.events import Snapshot
from harness.measure.folds import Hold, Stop
from harness.spec.plan import Plan


class FaultStage(StrEnum):
    """How far a fault has come. `MAYBE` from the moment the inject command is issued: it may have bitten."""

    IDLE = "idle"
    PREPARING = "preparing"
    SECURING = "securing"
    SECURED = "secured"
    MAYBE = "maybe"
    INJECTED = "injected"
    HEALING = "healing"
    UNDONE = "undone"
    """Undos applied; healed once the witness is clear too."""


class FaultState(msgspec.Struct, frozen=True):
    """One fault's progress. `ready`: its witness was seen absent before the injection."""

    stage: FaultStage = FaultStage.IDLE
    prepared: Prepared | None = None
    witnessing: bool = False
    ready: bool = False
    effect: Effect = Effect.UNKNOWN
    effect_ns: int = 0
    unknown: str = ""
    """Why the last reading of its witness tells nothing, where it does not."""
    last_absent_ns: int | None = None
    inject_ns: int | None = None
    active_ns: int | None = None
    heals: int = 0
    undone_ns: int | None = None
    clear: bool = False
    """Seen absent by a reading that began after the undos were applied."""


class State(msgspec.Struct, frozen=True):
    """The conductor's state. `pending`: commands that wait for their reply, by id; `asked`: the responder's among them."""

    plan: Plan
    phase: Phase
    now_ns: int
    issued: int
    pending: dict[str, AnyCommand]
    asked: dict[str, AnyCommand]
    faults: tuple[FaultState, ...]
    responder: Any
    baseline: Hold
    baseline_held: bool
    stops: tuple[Stop, ...]
    good: Hold
    """Objectives met and, where the cure allows it, causes gone: what ends the settle phase early."""
    sample_good: bool
    snapshot: Snapshot | None = None
    final_taken: bool = False
    collected: bool = False
    stopping: bool = False
    """Observers were told to stop."""
    started_ns: int = 0
    t_active_ns: int | None = None
    claim_ns: int | None = None
    budget_over: bool = False
    reason: EndReason | None = None
    detail: str = ""
    dirty: tuple[int, ...] = ()
