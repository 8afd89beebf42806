"""Models: a harmful version is promoted: one that answers wrongly, or one that its replicas have no room for.

The version is really made by the target's own registry, so that digest, lineage and history tell one story, and promoting is
an alias move that the right rollback undoes. Rejected: patching scores on their way, which no rollback would cure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, HarnessError
from harness.fault import points
from harness.fault.resource import after_kills, before_kills
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

_MODEL = ArgumentDeclaration("model", "model", required=True, help="the model whose alias is moved")


def _replicas(fault: PlannedFault, target: Target) -> list[str]:
    role = target.spec.models[fault.arguments["model"]].served.role
    return [name for name, service in target.spec.services.items() if service.role == role]


def _promotion(fault: PlannedFault, target: Target) -> Prepared:
    """Has the version made, not promoted. Users feel nothing of it."""
    model = fault.arguments["model"]
    version = str(target.make_variant(model, fault.arguments["variant"]))
    point = Point(PointKind.ALIAS, f"{model}/{target.spec.models[model].alias}")
    before = str(target.get(point))
    if before == version:
        raise EnvironmentProblem(f"model '{model}': the version made, {version}, is the promoted one already")
    undo = points.undo(target, point, injected=version, restore=before, within_s=fault.heal_within_s)
    return Prepared(undos=(undo,), facts={"version": version, "before": before})


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
            _MODEL,
            ArgumentDeclaration(
                "variant", "variant", required=True, help="which harmful version, as target.yaml makes it"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.MODEL,
        rows=("M1", "M4", "M8", "D11", "F8"),
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
        """Has the version made."""
        return _promotion(fault, target)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Moves the alias."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where any replica answers with the version; absent where all answer and none with it; else unknown.

        A replica that doesn't answer now may serve the version again when it does.
        """
        model = fault.arguments["model"]
        served = {name: target.served_version(name, model) for name in _replicas(fault, target)}
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


class Oversize:
    """A version becomes the one that the alias names that no replica has room for: each is killed while it loads it.

    So none ever answers with it, and `Promote` would call it not seen. Nor do kills for memory alone show it: a limit
    that was lowered kills too.
    """

    declaration = FaultDeclaration(
        name="model.oversize",
        summary="a version is promoted that needs more memory than its replicas may have; each is killed loading it",
        needs=frozenset({Capability.MODEL, Capability.LIMIT_MEMORY}),
        arguments=(
            _MODEL,
            ArgumentDeclaration("variant", "variant", required=True, help="a heavy version, as target.yaml makes it"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.MODEL,
        rows=("R2",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """No version of it ever decides, so no record bears it: there is no damage beside what the fallback does."""
        model, variant = fault.arguments["model"], fault.arguments["variant"]
        return msgspec.structs.replace(
            fault,
            components=(Component("model", model),),
            look=Look(label=f"{model}: {variant} promoted, no room for it", glyph="M"),
            witness_within_s=8.0,
            witness_every_s=0.2,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Has the version made; notes limits, processes and kills of now."""
        replicas = _replicas(fault, target)
        limits = {name: _limit(name, target) for name in replicas}
        boundless = [name for name, limit in limits.items() if limit is None]
        if boundless:
            raise EnvironmentProblem(
                f"service '{boundless[0]}' has no memory limit, so no version is too big for it",
                hint="`memory` of the service in target.yaml, or its limit in the Compose file",
            )
        facts = before_kills(replicas, target)
        prepared = _promotion(fault, target)
        return Prepared(undos=prepared.undos, facts={**prepared.facts, **facts, "limits": limits})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Moves the alias."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a replica died for memory while the alias named the version and the limits were what they are
        in the baseline; absent where each has stayed alive for a while, either without it or serving it.

        Where the alias stands proves nothing; it only tells whose kill it was. In a pause between two kills a replica looks
        well: unless the alias is elsewhere, only serving the version shows that it has room for it.
        """
        standing = str(target.get(prepared.undos[0].point)) == prepared.facts["version"]
        suspect = standing or memory.get("standing", False)
        memory["standing"] = standing
        effects: dict[str, Effect] = {}
        for name in _replicas(fault, target):
            effects[name] = _room(name, fault, prepared, target, memory, suspect=suspect, standing=standing)
        detail: dict[str, Json] = {
            "alias_at_version": standing,
            **{name: str(effect) for name, effect in effects.items()},
        }
        if Effect.PRESENT in effects.values():
            return Reading(Effect.PRESENT, detail, healthy=False)
        if set(effects.values()) == {Effect.ABSENT}:
            return Reading(Effect.ABSENT, detail, healthy=True)
        return Reading(Effect.UNKNOWN, detail, healthy=False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _limit(name: str, target: Target) -> int | None:
    """Bytes that a service may hold; None for any."""
    value = target.get(Point(PointKind.MEMORY, name))
    limit: int | None = value["bytes"] if isinstance(value, dict) else value
    return limit


def _room(
    name: str,
    fault: PlannedFault,
    prepared: Prepared,
    target: Target,
    memory: dict[str, Any],
    *,
    suspect: bool,
    standing: bool,
) -> Effect:
    """Of one replica. `memory` keeps for each whether its last kill was this version's; a kill that wasn't tells nothing."""
    try:
        process = target.process(name)
    except HarnessError:
        return Effect.UNKNOWN
    ours: dict[str, bool] = memory.setdefault("ours", {})
    counted = memory.setdefault("counted", dict(prepared.facts["kills"]))
    effect = after_kills(name, process, prepared, memory.setdefault("seen", {}))
    if process.memory_kills > counted[name]:
        counted[name] = process.memory_kills
        limit = _limit(name, target)
        ours[name] = suspect and (limit is None or limit >= prepared.facts["limits"][name])
    if effect is Effect.PRESENT:
        return Effect.PRESENT if ours.get(name, False) else Effect.UNKNOWN
    if effect is Effect.ABSENT and standing and name in ours:
        served = target.served_version(name, fault.arguments["model"])
        return Effect.ABSENT if served == prepared.facts["version"] else Effect.UNKNOWN
    return effect


PROMOTE = Promote()
OVERSIZE = Oversize()
