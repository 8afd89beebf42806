"""Disks: a volume of limited size is filled until only so much is free.

The witness asks inside the container how much a write would still find room for. That our file lies there proves nothing: what
was deleted beside it may have made room. Rejected: filling whatever disk a path lies on, which would be the host's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target, containers

MIB = 2**20
TAKEN_MIN = MIB
"""Less than this is not worth taking, and hardly told from what the service itself writes and deletes."""
BACK_SHARE = 0.1
"""Share of what was taken that may be free again, as temporary files come and go, while the disk still counts as full."""


class Fill:
    """So many bytes are left on a disk."""

    declaration = FaultDeclaration(
        name="disk.fill",
        summary="a volume of limited size is filled; only so many bytes are left on it",
        needs=frozenset({Capability.FILL_DISK}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose volume"),
            ArgumentDeclaration("path", "string", required=True, help="where it is mounted in the container"),
            ArgumentDeclaration("free", "size", required=True, help="how much is left, such as 64KiB; lower is worse"),
        ),
        dose="free",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.RESOURCE,
        rows=("R6",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a path that names no place of its own."""
        service, path = fault.arguments["service"], str(fault.arguments["path"])
        if not path.startswith("/") or not path.strip("/"):
            raise UsageError(f"path: '{path}' is no mounted volume; legal: where one is mounted, such as /state")
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service}:{path} full, {fault.dose / 1024:g} KiB left", glyph="R"),
            witness_within_s=4.0,
            witness_every_s=0.3,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Measures what is free. Raises `UsageError` where it is no volume of limited size, `EnvironmentProblem` where there
        is nothing to take."""
        service, path, left = fault.arguments["service"], str(fault.arguments["path"]), int(fault.dose)
        point = Point(PointKind.DISK, f"{service}/{path.strip('/')}")
        filled = target.get(point)  # refuses what is no volume of limited size
        before = containers(target).free_bytes(service, path)
        if before - left < TAKEN_MIN:
            raise EnvironmentProblem(
                f"service '{service}': {path} has {before} bytes free before the injection: filling it until {left} are"
                f" left takes less than {TAKEN_MIN}, which nobody would notice",
                hint="A smaller `free`, or a volume that isn't full yet",
            )
        # Where nothing is to be left, a bit more is asked for than there is: some may become free in between.
        wanted = filled + before - left + (TAKEN_MIN if left == 0 else 0)
        return Prepared(
            undos=(points.undo(target, point, injected=wanted, restore=filled, within_s=fault.heal_within_s),),
            facts={"free": before},
        )

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Any]:
        """Fills it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while at least nine tenths of what was to be taken can't be written."""
        service, path, left = fault.arguments["service"], str(fault.arguments["path"]), int(fault.dose)
        free = containers(target).free_bytes(service, path)
        most = left + BACK_SHARE * (prepared.facts["free"] - left)
        effect = Effect.PRESENT if free <= most else Effect.ABSENT
        healthy = target.process(service).ready if effect is Effect.ABSENT else False
        return Reading(effect, {"free_bytes": free, "at_most": round(most)}, healthy=healthy)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


FILL = Fill()
