"""Models: a harmful version is promoted.

The version is really made by the target's own registry, so that digest, lineage and history tell one story, and promoting is
an alias move that the right rollback undoes. Rejected: patching scores on their way, which no rollback would cure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target


class Promote:
    """A version of the given variant becomes the one that the alias names.

    The witness asks each replica which version it answers with: an alias that moved while the servers keep the old version
    has no effect yet.
    """

    declaration = FaultDeclaration(
        name="model.promote",
        summary="a harmful model version is promoted; replicas load it and answer with it",
        needs=frozenset({Capability.MODEL}),
        arguments=(
            ArgumentDeclaration("model", "model", required=True, help="the model whose alias is moved"),
            ArgumentDeclaration(
                "variant", "variant", required=True, help="which harmful version, as target.yaml makes it"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.MODEL,
        rows=("M1", "M4", "M8", "D11"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Nothing of it needs the inventory beyond the names, which were checked."""
        model, variant = fault.arguments["model"], fault.arguments["variant"]
        return msgspec.structs.replace(
            fault,
            components=(Component("model", model),),
            look=Look(label=f"{model}: {variant} promoted", glyph="M"),
            damage=Damage(reading="decisions", field="model_version", fact="version", debts={"rescored": "rescored"}),
            witness_within_s=4.0,
            witness_every_s=0.2,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Has the version made, not promoted. Users feel nothing of it."""
        model = fault.arguments["model"]
        version = str(target.make_variant(model, fault.arguments["variant"]))
        point = Point(PointKind.ALIAS, f"{model}/{target.spec.models[model].alias}")
        before = str(target.get(point))
        if before == version:
            raise EnvironmentProblem(f"model '{model}': the version made, {version}, is the promoted one already")
        undo = points.undo(target, point, injected=version, restore=before, within_s=fault.heal_within_s)
        return Prepared(undos=(undo,), facts={"version": version, "before": before})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Moves the alias."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where any replica answers with the version; absent where all answer and none with it; else unknown.

        A replica that doesn't answer now may serve the version again when it does.
        """
        model = fault.arguments["model"]
        role = target.spec.models[model].served.role
        replicas = [name for name, service in target.spec.services.items() if service.role == role]
        served = {name: target.served_version(name, model) for name in replicas}
        if prepared.facts["version"] in served.values():
            return Reading(Effect.PRESENT, dict(served), healthy=False)
        if not served or None in served.values():
            return Reading(Effect.UNKNOWN, dict(served), healthy=False)
        return Reading(Effect.ABSENT, dict(served), healthy=True)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No mask: damaged decisions bear the version."""
        return [], after


PROMOTE = Promote()
