"""Rollouts: a harmful version was taken back everywhere but on one replica, which doesn't follow the alias any more.

So the registry and the other replicas are right, and every second answer is wrong. A promotion alone can't make that: the
alias must go there and back, and the replica must be deaf in between. What stays is one setting; all else stands as before
when the injection is over, and has an undo of its own for the case that it doesn't come to its end. The others are kept
from following meanwhile, so that no user meets the version by them.

Rejected: two promotions in a scenario, of which the first would be a drill of its own; a replica on an old image, which
embedded targets don't have. What is known here of following is only the name of the setting, which the scenario gives.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

LOOKS, LOOK_EVERY_S = 60, 0.05
"""For so long an injection waits for the replica to answer with the version; then the witness tells that it doesn't."""


class Partial:
    """One replica keeps a version that the alias has left, and no longer looks where the alias stands.

    Restarting everything else, or moving the alias, doesn't reach it. Draining it spares users; it is cured when it answers
    with another version.
    """

    declaration = FaultDeclaration(
        name="model.partial",
        summary="a harmful version was taken back everywhere but on one replica, which follows the alias no more",
        needs=frozenset({Capability.MODEL, Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("model", "model", required=True, help="the model whose version it is"),
            ArgumentDeclaration(
                "variant", "variant", required=True, help="which harmful version, as target.yaml makes it"
            ),
            ArgumentDeclaration("service", "service", required=True, help="the replica that is left behind"),
            ArgumentDeclaration(
                "key", "string", default="follow_alias", help="the replicas' setting, true where one follows the alias"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("P1", "P2", "C6"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` where the service is the only one of its role: then nothing is partial."""
        service, variant = fault.arguments["service"], fault.arguments["variant"]
        role = inventory.services[service]
        if sum(one == role for one in inventory.services.values()) < 2:
            raise UsageError(f"service: '{service}' is the only one of role '{role}'; legal: one of several replicas")
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service} keeps {variant}", glyph="M"),
            damage=Damage(reading="decisions", field="model_version", fact="version", debts={"rescored": "rescored"}),
            witness_within_s=4.0,
            witness_every_s=0.2,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Has the version made, not promoted. The undos, in order: the others' setting, the alias, the replica's setting."""
        model, service, key = (fault.arguments[name] for name in ("model", "service", "key"))
        declared = target.spec.models[model]
        replicas = [name for name, one in target.spec.services.items() if one.role == declared.served.role]
        if service not in replicas:
            raise UsageError(f"service: '{service}' doesn't serve '{model}'; legal: {', '.join(replicas)}")
        version = str(target.make_variant(model, fault.arguments["variant"]))
        alias = Point(PointKind.ALIAS, f"{model}/{declared.alias}")
        if str(target.get(alias)) == version:
            raise EnvironmentProblem(f"model '{model}': the version made, {version}, is the promoted one already")
        wanted: list[tuple[Point, Json]] = [
            (Point(PointKind.CONFIG, f"{name}/{key}"), False) for name in replicas if name != service
        ]
        wanted += [(alias, version), (Point(PointKind.CONFIG, f"{service}/{key}"), False)]
        undos = points.undos(fault, target, wanted)
        deaf = [undo.point.where for undo in undos if undo.point != alias and undo.restore is not True]
        if deaf:
            raise EnvironmentProblem(
                f"{deaf[0]} isn't true before the injection: that replica doesn't follow the alias"
            )
        return Prepared(undos=undos, facts={"version": version})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """There and back; done already, it changes nothing."""
        model, service, version = fault.arguments["model"], fault.arguments["service"], prepared.facts["version"]
        *others, alias, own = prepared.undos
        if target.get(own.point) is not False or target.served_version(service, model) != version:
            for undo in (*others, alias):
                target.set(undo.point, undo.injected)
            for _ in range(LOOKS):
                if target.served_version(service, model) == version:
                    break
                time.sleep(LOOK_EVERY_S)
            target.set(own.point, own.injected)
        for undo in (alias, *others):
            target.set(undo.point, undo.restore)
        return {f"{own.point.kind}:{own.point.where}": own.injected, "left_with": version}

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where the replica answers with the version; unknown where it doesn't answer, for it may again."""
        served = target.served_version(fault.arguments["service"], fault.arguments["model"])
        if served is None:
            return Reading(Effect.UNKNOWN, {"served": None}, healthy=False)
        left_behind = served == prepared.facts["version"]
        return Reading(Effect.PRESENT if left_behind else Effect.ABSENT, {"served": served}, healthy=not left_behind)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No mask: damaged decisions bear the version."""
        return [], after


PARTIAL = Partial()
