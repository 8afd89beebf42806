"""What a fault declares of itself, as data: it travels in the plan, so that scorer and report need no plugin."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from harness.contract.undo import Json, Undo
from harness.contract.words import Action, CauseClass, Effect


class CureKind(StrEnum):
    """What ends a fault's cause."""

    STATE = "state"
    """The target's own state: the right action changes it, as a rollback does."""
    ACTION = "action"
    """A named standard action lifts it, as replacing a bad host would."""
    EXTERNAL = "external"
    """Beyond the operator: never ends within the budget; only mitigation is scored."""


class Cure(msgspec.Struct, frozen=True):
    """A fault's cure. With `action`: the action, and the arguments that it must at least carry."""

    kind: CureKind
    action: Action | None = None
    arguments: dict[str, Json] = {}


class Against(msgspec.Struct, frozen=True):
    """Where the truth about a field stands: in the record of the same id of another reading, under the same field."""

    reading: str
    tolerance: float = 0.0

    def differs(self, value: Json, truth: Json) -> bool:
        """Whether a value isn't what the truth says; numbers may differ by the tolerance."""
        if isinstance(value, int | float) and isinstance(truth, int | float):
            return not abs(value - truth) <= self.tolerance  # NaN differs from everything
        return bool(value != truth)


class Damage(msgspec.Struct, frozen=True):
    """Which records were damaged: those of the tap's `mask`, those of `reading` where `field` equals the fact (without a
    field, all of them since the injection), or, with `against`, those whose `field` isn't what the truth says.

    Of these only some, where it says so: with `lacking_in`, those that this other reading didn't have `lacking_s` later (a
    row that was decided and not stored); with `repeats_by`, those whose id stands there with two values of that field.

    `debts` names the readings that repay the debt, by kind: {"rescored": "rescored", "quarantined": "quarantine"}.
    """

    by_mask: bool = False
    reading: str | None = None
    field: str | None = None
    fact: str | None = None
    debts: dict[str, str] = {}
    against: Against | msgspec.UnsetType = msgspec.UNSET
    lacking_in: str | msgspec.UnsetType = msgspec.UNSET
    lacking_s: float | msgspec.UnsetType = msgspec.UNSET
    repeats_by: str | msgspec.UnsetType = msgspec.UNSET


class Look(msgspec.Struct, frozen=True):
    """How a report draws the fault: a short label, a glyph, and a colour name of the report's palette."""

    label: str
    glyph: str = "!"
    colour: str = "fault"


class Reading(msgspec.Struct, frozen=True):
    """One reading of a witness.

    `detail` says in numbers what was seen on the far side; `healthy` tells whether the victim also does its job again,
    where the witness can know (a killed service that is back up).
    """

    effect: Effect
    detail: dict[str, Json] = {}
    healthy: bool | None = None


class Component(msgspec.Struct, frozen=True):
    """A node of the declared graph: kind is service, link, dataset or model."""

    kind: str
    name: str


class PlannedFault(msgspec.Struct, frozen=True):
    """One fault of a plan, resolved: no names to look up, no defaults to fill in.

    `onset_s` counts from the end of the baseline, jitter included. `arguments` are the fault's own, complete.
    """

    index: int
    fault: str
    arguments: dict[str, Json]
    dose: float
    onset_s: float
    witness_within_s: float
    witness_every_s: float
    cure: Cure
    cause: CauseClass
    components: tuple[Component, ...]
    look: Look
    damage: Damage | None = None
    heal_within_s: float = 10.0
    witness_timeout_s: float = 2.0
    seed: int = 0
    """For the fault's own draws, such as which records are hit."""
    witness_blind_s: float = 0.0
    """How long the effect may have been there, or gone, while the witness still says otherwise, because it must gather looks
    or records first. Widens the interval in which the effect began or ended; 0 where it looks at the present moment."""
    way: str | msgspec.UnsetType = msgspec.UNSET
    """How the target will do it and why so, where its driver has several ways; elsewhere it isn't written at all."""


class Prepared(msgspec.Struct, frozen=True):
    """What `prepare` found: the undos, and facts that later steps need (such as the version to promote)."""

    undos: tuple[Undo, ...]
    facts: dict[str, Json] = {}
