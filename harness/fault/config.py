"""Settings: one of a service's settings is changed, to a value that does harm.

That the setting reads back as it was set proves nothing: services take values that they never use. So the scenario says by what
the harm is told, a field of the victim's own records, and the witness reads these: a value that it `shows`, or a number that it
lies `above`. One stalled moment lifts some records above any bound, so how many must tell it can be said. A fault for each
setting was rejected: what a setting does differs from target to target, how one is changed doesn't.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
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
            ArgumentDeclaration("shows", "setting", help="what the field holds in a harmed record"),
            ArgumentDeclaration("above", "number", help="instead of `shows`: it is a number above this"),
            ArgumentDeclaration("least", "integer", default=1, help="harmed records in the window that show it"),
            ArgumentDeclaration(
                "window", "duration", default=1.0, help="records come at least this often; how far back is looked"
            ),
            ArgumentDeclaration(
                "repaid", "reading", help="reading of what was made good, such as rescored; left out: nothing is owed"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("R7", "D8", "F2", "F6"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Which setting it is that the target has, only the target can say: see `prepare`. Raises `UsageError` where the harm
        isn't told by exactly one of `shows` and `above`, or what is owed couldn't be told."""
        service, window_s = fault.arguments["service"], float(fault.arguments["window"])
        shows, above, least = (fault.arguments[name] for name in ("shows", "above", "least"))
        if (shows is None) == (above is None):
            raise UsageError("shows, above: one of them tells the harm; give exactly one")
        if least < 1:
            raise UsageError(f"least: {least} records show nothing; legal: 1 or more")
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service}: {fault.arguments['key']} = {fault.arguments['value']}", glyph="C"),
            damage=_damage(fault),
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=window_s,  # *present* until the last harmed record is that old
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is. Raises `UsageError` for one that isn't there, `EnvironmentProblem` where it stands already."""
        return msgspec.structs.replace(prepared(fault, target), facts={"shows": fault.arguments["shows"]})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where enough of the records that came within the window show it; unknown where none came."""
        reading, now = fault.arguments["reading"], clock.now_ns()
        name = records.field(target, reading, fault.arguments["field"])
        begun = "came" in memory
        found, caught_up = records.new(target, reading, memory)
        if not caught_up:
            return Reading(Effect.UNKNOWN, {"why": "still reading what was there before"})
        came: list[tuple[int, int, int]] = memory.get("came", [])  # when, how many, how many of them harmed
        if begun:  # when what was there at the first look came, nobody knows
            hits = [_harmed(fault, record[name]) for record in found if name in record]
            came = [*came, (now, len(hits), sum(hits))] if hits else came
        oldest_ns = now - round(fault.arguments["window"] * 1e9)
        memory["came"] = came = [one for one in came if one[0] >= oldest_ns]
        if not came:
            return Reading(Effect.UNKNOWN, {"why": f"no record with '{name}' came"})
        harmed = sum(hits for _, _, hits in came)
        shown = harmed >= fault.arguments["least"]
        detail: dict[str, Json] = {"records": sum(count for _, count, _ in came), "harmed": harmed}
        return Reading(Effect.PRESENT if shown else Effect.ABSENT, detail, healthy=not shown)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged by a mask of ours."""
        return [], after


def prepared(fault: PlannedFault, target: Target) -> Prepared:
    """How to take the arguments' `service`, `key` and `value` back. Raises as `Set.prepare` does."""
    service, key, value = (fault.arguments[name] for name in ("service", "key", "value"))
    undos = points.undos(fault, target, [(Point(PointKind.CONFIG, f"{service}/{key}"), value)])
    if undos[0].restore == value:
        raise EnvironmentProblem(f"service '{service}': {key} is {value!r} before the injection")
    return Prepared(undos=undos)


def _harmed(fault: PlannedFault, value: Json) -> bool:
    above = fault.arguments["above"]
    if above is None:
        return bool(value == fault.arguments["shows"])
    return isinstance(value, int | float) and value > above


def _damage(fault: PlannedFault) -> Damage | None:
    """The records that bear what the field shows, where something is owed for them."""
    reading, field, repaid = (fault.arguments[name] for name in ("reading", "field", "repaid"))
    if repaid is None:
        return None
    if fault.arguments["shows"] is None:
        raise UsageError("repaid: what is owed is told by what records show; give `shows`, not `above`")
    return Damage(reading=reading, field=field, fact="shows", debts={repaid: repaid})


SET = Set()
