"""Resources: CPU withheld, memory limited, for one service or for all of a role.

CPU is withheld by stopping and continuing the victim, so that the instrument isn't starved with its subject; the witness
looks how often the process is found stopped. A memory limit bites only where the process wants more: the witness sees
processes die for memory. That a process holds more than its limit and lives on shows no effect, but a limit that nobody
enforces, so it counts as none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, ProcessReading, Target

GONE = "gone"
LOOKS = 3
"""Readings over which the share of stopped looks is averaged: a duty cycle is seen by luck in a single one."""
SHARE_MAX = 0.99
STAYS_S = 2.0
"""A process that was killed for memory is well again when it has stayed alive for so long."""
BYTES_MIN = 2**20

_VICTIMS = (
    ArgumentDeclaration("service", "service", help="the service; or give `role`"),
    ArgumentDeclaration("role", "role", help="every service of this role; or give `service`"),
)


def _victims(fault: PlannedFault, services: Iterable[tuple[str, str]]) -> list[str]:
    service, role = fault.arguments["service"], fault.arguments["role"]
    return [name for name, its_role in services if name == service or its_role == role]


def _planned(fault: PlannedFault, inventory: Inventory, label: str) -> PlannedFault:
    if (fault.arguments["service"] is None) == (fault.arguments["role"] is None):
        raise UsageError("give exactly one of `service` and `role`")
    return msgspec.structs.replace(
        fault,
        components=tuple(Component("service", name) for name in _victims(fault, inventory.services.items())),
        look=Look(label=f"{fault.arguments['service'] or fault.arguments['role']} {label}", glyph="R"),
    )


def _of_target(fault: PlannedFault, target: Target) -> list[str]:
    return _victims(fault, ((name, service.role) for name, service in target.spec.services.items()))


def _processes(fault: PlannedFault, target: Target) -> dict[str, ProcessReading | None]:
    """Each victim's process; None where it can't be read."""
    found: dict[str, ProcessReading | None] = {}
    for name in _of_target(fault, target):
        try:
            found[name] = target.process(name)
        except HarnessError:
            found[name] = None
    return found


def _of_all(effects: Iterable[Effect]) -> Effect:
    """One victim shows it; its absence must be known of all."""
    seen = set(effects)
    if Effect.PRESENT in seen:
        return Effect.PRESENT
    return Effect.ABSENT if seen == {Effect.ABSENT} else Effect.UNKNOWN


class Withhold:
    """A share of the CPU is withheld."""

    declaration = FaultDeclaration(
        name="cpu.withhold",
        summary="a service gets only a part of the CPU that it would have",
        needs=frozenset({Capability.LIMIT_CPU}),
        arguments=(*_VICTIMS, ArgumentDeclaration("share", "share", required=True, help="share of the time withheld")),
        dose="share",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.RESOURCE,
        rows=("R1", "R5"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for both or none of service and role, and for all of the CPU."""
        if fault.dose > SHARE_MAX:
            raise UsageError(f"share: {fault.dose:g} is a pause (see process.pause); legal: up to {SHARE_MAX:g}")
        planned = _planned(fault, inventory, f"without {fault.dose:.0%} of its CPU")
        return msgspec.structs.replace(planned, witness_within_s=3.0, witness_every_s=0.1, witness_blind_s=LOOKS * 0.1)

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The limits as they are."""
        runs = round(1.0 - fault.dose, 6)
        wanted = [(Point(PointKind.CPU, name), runs) for name in _of_target(fault, target)]
        return Prepared(undos=points.undos(fault, target, wanted))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets the limits."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a victim is found stopped in at least half of what the dose says, over the last readings."""
        processes = _processes(fault, target)
        shares: dict[str, float] = {}
        effects = []
        for name, process in processes.items():
            if process is None or process.state == GONE:
                memory.pop(name, None)
                effects.append(Effect.UNKNOWN)
                continue
            recent = [*memory.get(name, ()), process.stopped_share][-LOOKS:]
            memory[name] = recent
            shares[name] = round(sum(recent) / len(recent), 6)
            effects.append(Effect.PRESENT if shares[name] >= fault.dose / 2 else Effect.ABSENT)
        effect = _of_all(effects)
        ready = all(process is not None and process.ready is not False for process in processes.values())
        return Reading(effect, {"stopped_share": shares}, healthy=effect is Effect.ABSENT and ready)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


class MemoryLimit:
    """A limit that is killed over, as systemd-oomd does. Bites where the service wants more than that."""

    declaration = FaultDeclaration(
        name="memory.limit",
        summary="a service is killed whenever it holds more private memory than the limit",
        needs=frozenset({Capability.LIMIT_MEMORY}),
        arguments=(
            *_VICTIMS,
            ArgumentDeclaration("limit", "size", required=True, help="such as 96MiB; lower is worse"),
        ),
        dose="limit",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.RESOURCE,
        rows=("R2", "R4"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for both or none of service and role, and for limits that nothing fits in."""
        if fault.dose < BYTES_MIN:
            raise UsageError(f"limit: {fault.dose:g} bytes is too little for any process; legal: from 1MiB")
        planned = _planned(fault, inventory, f"limited to {fault.dose / 2**20:g} MiB")
        return msgspec.structs.replace(planned, witness_within_s=5.0, witness_every_s=0.1)

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The limits as they are, and how often each was killed for memory until now."""
        names = _of_target(fault, target)
        wanted = [(Point(PointKind.MEMORY, name), int(fault.dose)) for name in names]
        return Prepared(undos=points.undos(fault, target, wanted), facts=before_kills(names, target))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets the limits."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a victim died for memory and is gone; absent where each has stayed alive for a while, and is ready.

        In between it is unknown: whether a process that is back will stay shows only later, and that later is ours.
        """
        processes = _processes(fault, target)
        effects = [after_kills(name, process, prepared, memory) for name, process in processes.items()]
        known = {name: process for name, process in processes.items() if process is not None}
        detail: dict[str, Json] = {
            "memory_bytes": {name: process.memory_bytes for name, process in known.items()},
            "kills": {name: process.memory_kills - prepared.facts["kills"][name] for name, process in known.items()},
            "states": {name: process.state for name, process in known.items()},
        }
        effect = _of_all(effects)
        return Reading(effect, detail, healthy=effect is Effect.ABSENT)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def before_kills(names: Iterable[str], target: Target) -> dict[str, Json]:
    """The facts that `after_kills` compares with. Raises `EnvironmentProblem` where one is gone already."""
    processes = {name: target.process(name) for name in names}
    gone = [name for name, process in processes.items() if process.state == GONE]
    if gone:
        raise EnvironmentProblem(f"service '{gone[0]}' is gone before the injection")
    return {
        "kills": {name: process.memory_kills for name, process in processes.items()},
        "identities": {name: process.identity for name, process in processes.items()},
    }


def after_kills(name: str, process: ProcessReading | None, prepared: Prepared, memory: dict[str, Any]) -> Effect:
    """What kills for memory have made of one process, against the facts `kills` and `identities` of `prepare`.

    A kill counts where a process is really gone, or another than before: a count alone is the injector's word."""
    if process is None:
        return Effect.UNKNOWN
    first = {"kills": prepared.facts["kills"][name], "identity": prepared.facts["identities"][name], "died_ns": None}
    seen = memory.setdefault(name, first)
    died = process.memory_kills > seen["kills"] and (process.state == GONE or process.identity != seen["identity"])
    now = clock.now_ns()
    if died:
        seen["kills"], seen["died_ns"] = process.memory_kills, now
    if process.state != GONE:
        seen["identity"] = process.identity
    if died or (seen["died_ns"] is not None and process.state == GONE):
        return Effect.PRESENT
    staying = seen["died_ns"] is not None and now - seen["died_ns"] < STAYS_S * 1e9
    if staying or process.state == GONE or process.ready is False:
        return Effect.UNKNOWN
    return Effect.ABSENT


WITHHOLD = Withhold()
LIMIT = MemoryLimit()
