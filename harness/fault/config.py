"""Settings: one of a service's settings is changed, to a value that does harm.

That the setting reads back as it was set proves nothing: services take values that they never use. So the scenario says by what
the harm is told, a field of the victim's own records, and the witness reads these. A fault for each setting was rejected: what a
setting does differs from target to target, how one is changed doesn't.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem
from harness.fault import points, records
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target


class Set:
    """A setting of a service."""

    declaration = FaultDeclaration(
        name="config.set",
        summary="a service's setting is changed; a field of the victim's records tells the harm",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose setting"),
            ArgumentDeclaration("key", "string", required=True, help="the setting"),
            ArgumentDeclaration("value", "setting", required=True, help="what it is set to"),
            ArgumentDeclaration("reading", "reading", required=True, help="reading of the records that tell the harm"),
            ArgumentDeclaration("field", "string", required=True, help="their field that tells it"),
            ArgumentDeclaration("shows", "setting", required=True, help="what the field holds in a harmed record"),
            ArgumentDeclaration(
                "window", "duration", default=1.0, help="records come at least this often; how far back is looked"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("R7",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Which setting it is that the target has, only the target can say: see `prepare`."""
        service, window_s = fault.arguments["service"], float(fault.arguments["window"])
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service}: {fault.arguments['key']} = {fault.arguments['value']}", glyph="C"),
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=window_s,  # *present* until the last harmed record is that old
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is. Raises `UsageError` for one that isn't there, `EnvironmentProblem` where it stands already."""
        service, key, value = (fault.arguments[name] for name in ("service", "key", "value"))
        prepared = Prepared(undos=points.undos(fault, target, [(Point(PointKind.CONFIG, f"{service}/{key}"), value)]))
        if prepared.undos[0].restore == value:
            raise EnvironmentProblem(f"service '{service}': {key} is {value!r} before the injection")
        return prepared

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where one of the records that came within the window shows it; unknown where none came."""
        reading, now = fault.arguments["reading"], clock.now_ns()
        name = records.field(target, reading, fault.arguments["field"])
        begun = "came" in memory
        found, caught_up = records.new(target, reading, memory)
        if not caught_up:
            return Reading(Effect.UNKNOWN, {"why": "still reading what was there before"})
        came: list[tuple[int, bool]] = memory.get("came", [])
        if begun:  # when what was there at the first look came, nobody knows
            hits = [record[name] == fault.arguments["shows"] for record in found if name in record]
            came = [*came, *((now, hit) for hit in {*hits})]
        oldest_ns = now - round(fault.arguments["window"] * 1e9)
        memory["came"] = came = [one for one in came if one[0] >= oldest_ns]
        if not came:
            return Reading(Effect.UNKNOWN, {"why": f"no record with '{name}' came"})
        shown = any(hit for _, hit in came)
        return Reading(Effect.PRESENT if shown else Effect.ABSENT, {"records": len(found)}, healthy=not shown)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged by a mask of ours."""
        return [], after


SET = Set()
