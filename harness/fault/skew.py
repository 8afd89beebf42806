"""Skew: a setting is changed, and what the victim uses isn't what it was made for any more.

Training and serving disagree about a feature, two inputs change places, a join goes to the wrong key: every value is legal, so
no record tells the harm by itself, as `config.set` needs it to. What tells is the same value twice: as the victim used it, and
as it truly is, by whoever knows. The witness joins the two by record id. Rejected: computing the right value here (the harness
would have to know the target's features), comparing distributions (many skews leave each of them as it was).

Always true: the witness never reads the setting; a record that lacks the value on either side says nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Against, Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import UsageError
from harness.fault import config, points, sampled, tapped
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

LEAST = 5
"""Records in a row that agree, to show that a skew of all records is gone."""
SILENT_S = 3.0
"""After so long without a record to compare, what was seen before says nothing of now."""


class Skew:
    """A setting makes a field differ between two readings that agree when all is well."""

    declaration = FaultDeclaration(
        name="config.skew",
        summary="a setting is changed; what the victim uses of a record isn't what it truly is any more",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose setting"),
            ArgumentDeclaration("key", "string", required=True, help="the setting"),
            ArgumentDeclaration("value", "setting", required=True, help="what it is set to"),
            ArgumentDeclaration("field", "string", required=True, help="the field that differs, in both readings"),
            ArgumentDeclaration("received", "reading", default="decisions", help="reading of what the victim used"),
            ArgumentDeclaration("sent", "reading", default="truth", help="reading of what it truly is"),
            ArgumentDeclaration("tolerance", "number", default=1e-6, help="by how much numbers may differ unharmed"),
            ArgumentDeclaration("share", "share", default=1.0, help="share of the records in which it shows"),
            ArgumentDeclaration(
                "repaid", "reading", help="reading of what was made good, such as rescored; left out: nothing is owed"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("F3", "F4", "F5"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a share or a tolerance by which nothing could be told."""
        arguments = fault.arguments
        if not arguments["share"] > 0:
            raise UsageError("share: a skew that shows in no record can't be seen; legal: above 0, at most 1")
        if not 0 <= arguments["tolerance"] < float("inf"):
            raise UsageError(f"tolerance: {arguments['tolerance']} is none; legal: 0 or more")
        repaid = arguments["repaid"]
        damage = Damage(
            reading=arguments["received"],
            field=arguments["field"],
            debts={} if repaid is None else {repaid: repaid},
            against=_against(fault),
        )
        return msgspec.structs.replace(
            fault,
            components=(Component("service", arguments["service"]),),
            look=Look(label=f"{arguments['service']}: {arguments['key']} = {arguments['value']}", glyph="S"),
            damage=damage,
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=SILENT_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is. Raises `UsageError` for one that isn't there, `EnvironmentProblem` where it stands already."""
        return config.prepared(fault, target)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where one of the last records differs from the truth; absent where enough of them agree with it."""
        field, against = fault.arguments["field"], _against(fault)
        pairs = tapped.compared(fault, target, memory, names=(field,))
        both = [(pair.received.get(field), pair.sent.get(field)) for pair in pairs]
        looks = [against.differs(used, truth) for used, truth in both if used is not None and truth is not None]
        now = clock.now_ns()
        if looks:
            memory["compared_ns"] = now
        effect = sampled.judged(looks, share=fault.arguments["share"], least=LEAST, memory=memory)
        recent = memory["looks"]
        detail: dict[str, Json] = {"compared": len(looks), "recent": len(recent), "recent_skewed": sum(recent)}
        if now - memory.get("compared_ns", 0) > SILENT_S * 1e9:
            return Reading(Effect.UNKNOWN, {**detail, "why": f"nothing to compare for {SILENT_S:g} s"})
        return Reading(effect, detail, healthy=effect is Effect.ABSENT)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No mask of ours: which records differ stands in the readings themselves."""
        return [], after


def _against(fault: PlannedFault) -> Against:
    return Against(reading=fault.arguments["sent"], tolerance=float(fault.arguments["tolerance"]))


SKEW = Skew()
