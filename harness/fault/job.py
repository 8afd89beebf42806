"""Jobs: a scheduled job of a service fails at every run.

By durable configuration, so that no restart cures it; what does is a change of that setting. The witness reads the job's own
run history: what failed is a run, not a setting.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import UsageError
from harness.fault import points, records
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target


class Fail:
    """Each run of the job ends with an error."""

    declaration = FaultDeclaration(
        name="job.fail",
        summary="a service's scheduled job fails at every run, whatever is restarted",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="the service that runs the job"),
            ArgumentDeclaration("key", "string", default="job_fail", help="the setting that makes its runs fail"),
            ArgumentDeclaration("error", "string", default="disk quota exceeded", help="what each run fails with"),
            ArgumentDeclaration("job", "string", help="the job's name, where the reading holds several"),
            ArgumentDeclaration("reading", "reading", default="jobs", help="reading of the job's runs"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.JOB,
        rows=("F1", "M3"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for an empty error, which would be no failure."""
        if not fault.arguments["error"].strip():
            raise UsageError("error: an empty text makes nothing fail; legal: what the job is to fail with")
        service = fault.arguments["service"]
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"job of {service} fails", glyph="J"),
            witness_within_s=3.0,
            witness_every_s=0.3,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is."""
        point = Point(PointKind.CONFIG, f"{fault.arguments['service']}/{fault.arguments['key']}")
        return Prepared(undos=points.undos(fault, target, [(point, fault.arguments["error"])]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where the last finished run failed; absent where it didn't; unknown before any has finished."""
        reading = fault.arguments["reading"]
        name, status, ended, error = (records.field(target, reading, n) for n in ("job", "status", "ended", "error"))
        found, caught_up = records.new(target, reading, memory)
        wanted = fault.arguments["job"]
        for record in found:
            if record.get(ended) is not None and wanted in (None, record.get(name)):
                memory["last"] = {"status": record.get(status), "error": record.get(error), "ended": record[ended]}
        last = memory.get("last")
        if last is None or not caught_up:
            return Reading(
                Effect.UNKNOWN, {"why": "no run has finished" if last is None else "still reading its history"}
            )
        failed = last["status"] == "failed"
        return Reading(Effect.PRESENT if failed else Effect.ABSENT, dict(last), healthy=not failed)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


FAIL = Fail()
