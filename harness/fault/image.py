"""Images: a service runs from another image, as after a bad roll-out.

The witness reads which image the container that runs now was made from, by id: a name may have come to mean another one in
the meantime. Whether the service also does its job with it is another question, and `healthy` answers it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target, containers

REMADE_S = 30.0
"""How long it may take to end a container and have another one in its place."""


class Roll:
    """Another image is rolled out to one service."""

    declaration = FaultDeclaration(
        name="image.roll",
        summary="a service's container is made anew from another image",
        needs=frozenset({Capability.IMAGE}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose container"),
            ArgumentDeclaration("image", "string", required=True, help="an image that the engine has"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("C1", "C2"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Its names were checked; whether there is such an image, only the engine knows."""
        service = fault.arguments["service"]
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service} runs {fault.arguments['image']}", glyph="C"),
            witness_within_s=REMADE_S,
            witness_every_s=0.3,
            heal_within_s=REMADE_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Raises `EnvironmentProblem` where there is no such image, or the service runs from it already."""
        service, image = fault.arguments["service"], fault.arguments["image"]
        wanted = containers(target).image_id(image)
        if target.process(service).image == wanted:
            raise EnvironmentProblem(
                f"service '{service}' runs from image {image} before the injection: there is nothing to roll out"
            )
        undos = points.undos(fault, target, [(Point(PointKind.IMAGE, service), image)])
        return Prepared(undos=undos, facts={"image_id": wanted})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Rolls it out."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while the service's container is of that image, even where that keeps dying; unknown where there is none."""
        reading = target.process(fault.arguments["service"])
        detail: dict[str, Json] = {"image": reading.image, "state": reading.state, "ready": reading.ready}
        if not reading.image:
            return Reading(Effect.UNKNOWN, {**detail, "why": "there is no container"}, healthy=False)
        effect = Effect.PRESENT if reading.image == prepared.facts["image_id"] else Effect.ABSENT
        return Reading(effect, detail, healthy=bool(reading.ready) if effect is Effect.ABSENT else False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


ROLL = Roll()
