"""Stress: something in a service's container takes CPU, memory or the disk away from it, as a runaway job beside it would.

The witness needs two things that the injector doesn't tell: the host's process list shows stress-ng alive in the container,
and the kernel's counters show that the container takes at least half of what it was asked to take. A busy service alone is no
stress, and neither are processes that take nothing.

CPU is judged by the container's time between two readings, against as many CPUs as the workers could use within its limit. A
machine that is busy elsewhere gives them less: then it is unknown, and where it stays so, the injection is invalid. Workers that
live and take little are never "absent", because nobody can tell whether they don't want or don't get.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target, containers

TOOL = "stress-ng"
KINDS = ("cpu", "memory", "io")
MIB = 2**20
WORKERS_MAX = 64
LASTS_S_MAX = 3600.0
WRITTEN_A_SECOND = MIB
"""What writers are expected to write at least; how fast the disk is nobody knows."""
ENOUGH, NOTHING = 0.5, 0.1
"""Shares of what was asked for: from `ENOUGH` on it is taken; memory below `NOTHING` isn't."""
EVERY_S = 0.4
SPAN_S_MIN = 0.3
"""Rates over less than this tell more of the clock than of the container."""


class Stress:
    """One kind of stress on one service."""

    declaration = FaultDeclaration(
        name="process.stress",
        summary="a runaway process beside a service, in its own container, takes CPU, memory or the disk",
        needs=frozenset({Capability.STRESS}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose container; its image has stress-ng"),
            ArgumentDeclaration("cpu", "integer", help="workers that compute; or give `memory` or `io`"),
            ArgumentDeclaration("memory", "size", help="how much is held, such as 48MiB; or give `cpu` or `io`"),
            ArgumentDeclaration("io", "integer", help="workers that write and sync; or give `cpu` or `memory`"),
            ArgumentDeclaration(
                "lasts", "duration", default=600.0, help="ends by itself after so long; choose more than the budget"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.RESOURCE,
        rows=("R1", "R2", "R5"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for none or several of cpu, memory and io, and for amounts out of range."""
        given = [kind for kind in KINDS if fault.arguments[kind] is not None]
        if len(given) != 1:
            raise UsageError(f"give exactly one of {', '.join(KINDS)}; found: {', '.join(given) or 'none'}")
        kind, amount = given[0], fault.arguments[given[0]]
        if kind == "memory" and amount < MIB:
            raise UsageError(f"memory: {amount:g} bytes; legal: from 1MiB on")
        if kind != "memory" and not 1 <= amount <= WORKERS_MAX:
            raise UsageError(f"{kind}: {amount} workers; legal: from 1 to {WORKERS_MAX}")
        if not 1 <= fault.arguments["lasts"] <= LASTS_S_MAX:
            raise UsageError(f"lasts: {fault.arguments['lasts']:g} s; legal: from 1s to 1h")
        service = fault.arguments["service"]
        told = f"{amount / MIB:g} MiB" if kind == "memory" else f"{amount} worker{'s' if amount > 1 else ''}"
        return msgspec.structs.replace(
            fault,
            dose=float(amount),
            components=(Component("service", service),),
            look=Look(label=f"{service}: {kind} stress, {told}", glyph="R"),
            witness_within_s=6.0,
            witness_every_s=EVERY_S,
            witness_blind_s=2 * EVERY_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Raises `EnvironmentProblem` where the image lacks stress-ng, where stress runs already, and where the memory
        asked for is more than the container may have."""
        service, (kind, amount) = fault.arguments["service"], _asked(fault)
        inside = containers(target)
        if not inside.carries(service, TOOL):
            raise EnvironmentProblem(
                f"service '{service}': its image doesn't carry {TOOL}, so nothing can be started beside it",
                hint="cpu.withhold and memory.limit need nothing of the image",
            )
        before = inside.usage(service)
        if before.stressors:
            raise EnvironmentProblem(f"service '{service}': {TOOL} runs in its container before the injection")
        held = before.memory_bytes or 0
        if kind == "memory" and before.memory_limit is not None and held + amount > before.memory_limit:
            raise EnvironmentProblem(
                f"service '{service}' holds {held} bytes of {before.memory_limit}: {amount} more would be killed over the limit",
                hint="Less `memory`; memory.limit is the fault that kills",
            )
        wanted: Json = {kind: amount, "seconds": round(fault.arguments["lasts"])}
        undos = points.undos(fault, target, [(Point(PointKind.STRESS, service), wanted)])
        return Prepared(undos=undos, facts={"memory": held})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Starts it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while stress-ng lives in the container and the container takes what was asked for, by and large."""
        service, (kind, amount) = fault.arguments["service"], _asked(fault)
        now = containers(target).usage(service)
        detail: dict[str, Json] = {"stressors": now.stressors}
        if not now.stressors:
            memory.clear()
            return Reading(Effect.ABSENT, detail, healthy=target.process(service).ready)
        if kind == "memory":
            taken = None if now.memory_bytes is None else now.memory_bytes - prepared.facts["memory"]
            wanted = float(amount)
            detail["beyond_bytes"] = taken
        elif kind == "cpu":
            taken, wanted = _rate(memory, now.cpu_s), min(amount, now.cpus)
            detail |= {"cpus_used": taken, "cpus": wanted}
        else:
            taken, wanted = _rate(memory, containers(target).written_bytes(service)), float(WRITTEN_A_SECOND)
            detail["written_a_second"] = taken
        share = None if taken is None else taken / wanted
        if share is not None and share >= ENOUGH:
            return Reading(Effect.PRESENT, detail, healthy=False)
        given_up = kind == "memory" and share is not None and share < NOTHING
        return Reading(Effect.ABSENT if given_up else Effect.UNKNOWN, detail, healthy=False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _asked(fault: PlannedFault) -> tuple[str, int]:
    return next((kind, int(fault.arguments[kind])) for kind in KINDS if fault.arguments[kind] is not None)


def _rate(memory: dict[str, Any], total: float) -> float | None:
    """A second, since the reading before; None where there is none yet."""
    now = clock.now_ns()
    if "at_ns" in memory and (now - memory["at_ns"]) / 1e9 < SPAN_S_MIN:
        return memory.get("rate")
    before = memory.get("total")
    rate = None if before is None else round(max(0.0, total - before) / ((now - memory["at_ns"]) / 1e9), 6)
    memory |= {"at_ns": now, "total": total, "rate": rate}
    return rate


STRESS = Stress()
