"""Processes: killed, stopped for good, or halted in the middle of what they do.

The witness looks at the process as the operating system shows it. That it runs and that it does its job again are two
things: `healthy` is the second.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, ProcessReading, Target

RUNNING, STOPPED, GONE = "running", "stopped", "gone"
_SERVICE = ArgumentDeclaration("service", "service", required=True, help="whose process")


def _planned(fault: PlannedFault, label: str) -> PlannedFault:
    return msgspec.structs.replace(
        fault,
        components=(Component("service", fault.arguments["service"]),),
        look=Look(label=label, glyph="P"),
        witness_within_s=2.0,
        witness_every_s=0.1,
    )


def _running(target: Target, service: str) -> ProcessReading:
    """The process, which must be there before anything is done to it."""
    reading = target.process(service)
    if reading.state != RUNNING:
        raise EnvironmentProblem(
            f"service '{service}' is {reading.state} before the injection",
            hint="`drill status` shows its last log lines",
        )
    return reading


def _detail(reading: ProcessReading) -> dict[str, Json]:
    return {"state": reading.state, "identity": reading.identity, "ready": reading.ready}


class Kill:
    """The process is killed. With `down` it stays down until somebody starts it.

    A supervisor may have it back before the next look: then a process that is not the one of before shows the kill, once.
    """

    declaration = FaultDeclaration(
        name="process.kill",
        summary="a service's process is killed; with `down` it stays down",
        needs=frozenset({Capability.KILL}),
        arguments=(
            _SERVICE,
            ArgumentDeclaration("down", "boolean", default=False, help="keeps it down instead of having it restarted"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.PROCESS,
        rows=("P4", "F1", "M3"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Its name was checked."""
        return _planned(fault, f"{fault.arguments['service']} {'down' if fault.arguments['down'] else 'killed'}")

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Notes which process it is."""
        service = fault.arguments["service"]
        identity = _running(target, service).identity
        wanted = [(Point(PointKind.PROCESS, service), "down" if fault.arguments["down"] else "killed")]
        return Prepared(undos=points.undos(fault, target, wanted), facts={"identity": identity})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Kills it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while there is no process."""
        reading = target.process(fault.arguments["service"])
        if reading.state == GONE:
            memory["seen"] = True
            return Reading(Effect.PRESENT, _detail(reading), healthy=False)
        replaced = bool(reading.identity) and reading.identity != prepared.facts["identity"]
        if replaced and not memory.get("seen", False):
            memory["seen"] = True
            return Reading(Effect.PRESENT, {**_detail(reading), "why": "another process than before"}, healthy=False)
        return Reading(Effect.ABSENT, _detail(reading), healthy=reading.ready)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


class Pause:
    """The process is stopped: its connections stay open, and nothing comes back."""

    declaration = FaultDeclaration(
        name="process.pause",
        summary="a service's process is stopped: connections open, no answer",
        needs=frozenset({Capability.PAUSE}),
        arguments=(_SERVICE,),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.PROCESS,
        rows=("N6", "D12"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Its name was checked."""
        return _planned(fault, f"{fault.arguments['service']} paused")

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """It must run now."""
        service = fault.arguments["service"]
        identity = _running(target, service).identity
        wanted = [(Point(PointKind.PROCESS, service), "paused")]
        return Prepared(undos=points.undos(fault, target, wanted), facts={"identity": identity})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Stops it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while it is stopped; a process that is gone is neither stopped nor well."""
        reading = target.process(fault.arguments["service"])
        effect = {STOPPED: Effect.PRESENT, RUNNING: Effect.ABSENT}.get(reading.state, Effect.UNKNOWN)
        return Reading(effect, _detail(reading), healthy=reading.ready if effect is Effect.ABSENT else False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


class Stop:
    """The service goes down and stays down until somebody starts it: no supervisor has it back, as after an operator's stop.

    Unlike a kill it is not over in a moment, so the process alone shows it; which process runs afterwards is all the same.
    """

    declaration = FaultDeclaration(
        name="service.stop",
        summary="a service is stopped and stays down until it is started",
        needs=frozenset({Capability.KILL}),
        arguments=(_SERVICE,),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.PROCESS,
        rows=("P4", "F1"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Its name was checked."""
        return _planned(fault, f"{fault.arguments['service']} stopped")

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """It must run now."""
        service = fault.arguments["service"]
        _running(target, service)
        return Prepared(undos=points.undos(fault, target, [(Point(PointKind.PROCESS, service), "down")]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Stops it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while there is no process."""
        reading = target.process(fault.arguments["service"])
        effect = Effect.PRESENT if reading.state == GONE else Effect.ABSENT
        return Reading(effect, _detail(reading), healthy=reading.ready if effect is Effect.ABSENT else False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


KILL = Kill()
PAUSE = Pause()
STOP = Stop()
