"""Rollouts: replicas are replaced one after the other, and nobody waits for them to be ready.

Two settings of the service that rolls out, durable, so that no restart ends it: how often it replaces one, and whether it
waits for readiness. The witness reads which requests replicas refused because they weren't ready. Rejected: looking whether
replicas are ready, for an unready one that gets no request harms nobody, and that is what the check is for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.fault import points, records
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

SETTLED_S = 1.0
"""Beyond a whole turn of the rollout: without a refusal for so long, replicas get no requests that they must refuse."""


class Rush:
    """A rollout goes on and on, and each replica gets requests before it is ready."""

    declaration = FaultDeclaration(
        name="rollout.rush",
        summary="replicas are replaced again and again, and get requests before they are ready",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="the service that rolls out"),
            ArgumentDeclaration("every", "duration", required=True, help="one replica so often; lower is worse"),
            ArgumentDeclaration(
                "every_key", "string", default="rollout_every_s", help="the setting of that, in seconds"
            ),
            ArgumentDeclaration(
                "check_key", "string", default="rollout_ready_check", help="the setting that waits for readiness"
            ),
            ArgumentDeclaration(
                "reading", "reading", default="refusals", help="requests that unready replicas refused"
            ),
        ),
        dose="every",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("P6",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """A burst may take a turn or two of the rollout to begin."""
        service = fault.arguments["service"]
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service} sends requests to unready replicas", glyph="D"),
            witness_within_s=2 * fault.dose + 4.0,
            witness_every_s=0.3,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The settings as they are: the check is lost first, and found again last."""
        service = fault.arguments["service"]
        check = Point(PointKind.CONFIG, f"{service}/{fault.arguments['check_key']}")
        every = Point(PointKind.CONFIG, f"{service}/{fault.arguments['every_key']}")
        return Prepared(undos=points.undos(fault, target, [(check, False), (every, fault.dose)]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the settings."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where requests were refused since the last look; absent where none was for more than a turn.

        In between it is unknown: the next burst may be on its way.
        """
        first = "cursors" not in memory
        found, caught_up = records.new(target, fault.arguments["reading"], memory)
        now = clock.now_ns()
        refused = 0 if first else len(found)  # what was refused before the first look is of another time
        detail: dict[str, Json] = {"refused": refused}
        if refused:
            memory["last_ns"] = now
        if not caught_up:
            return Reading(Effect.UNKNOWN, {**detail, "why": "still reading what was refused"})
        if refused:
            return Reading(Effect.PRESENT, detail, healthy=False)
        last = memory.get("last_ns")
        if last is not None and now - last < (fault.dose + SETTLED_S) * 1e9:
            return Reading(Effect.UNKNOWN, detail, healthy=False)
        return Reading(Effect.ABSENT, detail, healthy=True)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


RUSH = Rush()
