"""The source: what comes in is drawn from another population.

Nothing is wrong with any record, so no record tells. The witness compares distributions of what the victim received: the
values of the baseline (its own reference, complete before anything is injected, because only then it says *absent* for the
first time) with the last values. Two questions, either of which shows it: the Kolmogorov-Smirnov distance (any change of
shape), above c * sqrt((n + m) / (n * m)) with c = 2.2, which two samples of one population exceed with a probability of
2 * exp(-2 * c^2), once in 8000; and the rank-sum z of Mann and Whitney (a small shift of everything, to which the former is
half blind), above 4.5. On the reference pipeline's benign season, half a sigma, they see it after 195 records in 95 of 100
runs, and nothing in 1500 records of the baseline (400 runs of each). Where the population of one segment changes, the others
water the change down to nothing; then only the records of that segment are compared, and fewer of them, because they are rarer.
Rejected: SciPy, whose import takes longer than a look may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import UsageError
from harness.fault import points, records
from harness.measure.shift import distance
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

REFERENCE = 250
RECENT = 200
RECENT_LEAST = 60
SEGMENT_REFERENCE = 60
SEGMENT_RECENT = 50
SEGMENT_RECENT_LEAST = 20
KS_C = 2.2
RANK_Z = 4.5
SILENT_S = 3.0


def rank_z(a: Sequence[float], b: Sequence[float]) -> float:
    """The rank-sum statistic of Mann and Whitney (1947), standardised; ties share their mean rank."""
    ranks: dict[float, float] = {}
    ordered = sorted([*a, *b])
    for index, value in enumerate(ordered):
        if value not in ranks:
            last = index
            while last + 1 < len(ordered) and ordered[last + 1] == value:
                last += 1
            ranks[value] = (index + last) / 2 + 1
    n, m = len(a), len(b)
    u = sum(ranks[value] for value in a) - n * (n + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


class Shift:
    """The source draws from another regime."""

    declaration = FaultDeclaration(
        name="source.shift",
        summary="the population that requests come from changes; every single record is fine",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", default="source", help="the service that makes the records"),
            ArgumentDeclaration("regime", "string", required=True, help="its setting `regime` while the fault stands"),
            ArgumentDeclaration("magnitude", "number", default=1.0, help="its setting `magnitude`: how far"),
            ArgumentDeclaration(
                "column", "string", default="amount", help="a number that the victim notes of each record"
            ),
            ArgumentDeclaration("received", "reading", default="decisions", help="reading of what the victim received"),
            ArgumentDeclaration("segment_field", "string", help="the field that tells whose records change"),
            ArgumentDeclaration("segment", "string", help="its value where they do; left out: everybody's"),
        ),
        dose="magnitude",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DRIFT,
        rows=("X1", "X5", "X6"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a magnitude that shifts nothing, or a service that isn't there."""
        service, regime = fault.arguments["service"], fault.arguments["regime"]
        if service not in inventory.services:
            raise UsageError(f"service: '{service}' isn't there; legal: {', '.join(sorted(inventory.services))}")
        if fault.dose <= 0:
            raise UsageError(f"magnitude: {fault.dose:g} shifts nothing; legal: a number above 0")
        if (fault.arguments.get("segment") is None) is not (fault.arguments.get("segment_field") is None):
            raise UsageError("segment: needs `segment_field` beside it, and the other way round; give both or none")
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service}: regime {regime} x {fault.dose:g}", glyph="X"),
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=6.0,  # *absent* until enough of the values compared are of the new population
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The settings as they are; the magnitude is set first, so that the regime begins with it."""
        service = fault.arguments["service"]
        wanted: list[tuple[Point, Json]] = [
            (Point(PointKind.CONFIG, f"{service}/magnitude"), fault.arguments["magnitude"]),
            (Point(PointKind.CONFIG, f"{service}/regime"), fault.arguments["regime"]),
        ]
        return Prepared(undos=points.undos(fault, target, wanted))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the settings."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where the last values are distributed otherwise than the first ones."""
        reading = fault.arguments["received"]
        name = records.field(target, reading, fault.arguments["column"])
        found, caught_up = records.new(target, reading, memory)
        values = [
            float(record[name])
            for record in found
            if isinstance(record.get(name), int | float)
            and not records.is_synthetic(target, reading, record)
            and _in_segment(fault, target, record)
        ]
        whole = fault.arguments.get("segment") is None
        reference_size, recent_size, least = (
            (REFERENCE, RECENT, RECENT_LEAST) if whole else (SEGMENT_REFERENCE, SEGMENT_RECENT, SEGMENT_RECENT_LEAST)
        )
        reference: list[float] = memory.setdefault("reference", [])
        missing = reference_size - len(reference)
        reference += values[:missing]
        recent = [*memory.get("recent", ()), *values[missing if missing > 0 else 0 :]][-recent_size:]
        memory["recent"] = recent
        now = clock.now_ns()
        if values:
            memory["came_ns"] = now
        silent = now - memory.get("came_ns", 0) > SILENT_S * 1e9
        if len(recent) < least or silent or not caught_up:
            why = f"no value for {SILENT_S:g} s" if silent else "too few values yet"
            return Reading(Effect.UNKNOWN, {"reference": len(reference), "recent": len(recent), "why": why})
        gap, z = distance(reference, recent), rank_z(reference, recent)
        n, m = len(reference), len(recent)
        bound = KS_C * math.sqrt((n + m) / (n * m))
        detail: dict[str, Json] = {"ks": round(gap, 4), "ks_bound": round(bound, 4), "rank_z": round(z, 3)}
        shifted = gap >= bound or abs(z) >= RANK_Z
        return Reading(Effect.PRESENT if shifted else Effect.ABSENT, detail)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No record is damaged."""
        return [], after


def _in_segment(fault: PlannedFault, target: Target, record: records.Record) -> bool:
    segment = fault.arguments.get("segment")
    if segment is None:
        return True
    name = records.field(target, fault.arguments["received"], fault.arguments["segment_field"])
    return bool(record.get(name) == segment)


SHIFT = Shift()
