"""The source: what comes in looks as ever, and means something else.

Neither a record nor any distribution of what is received tells: only the truth about it does. So the witness reads truth, joined
with what the victim received by record id, and asks whether the share of positives *given the input* has changed: records are put
into bands by a column (of equal size in the reference), and in each band the share of positives of the reference is compared with
that of the last records by a two-proportion z. The sum of the squares over the bands is chi-squared; its bound is what two
samples of one world exceed less than once in 100,000 looks. A change of the inputs alone leaves it as it is, because within a
band nothing has changed: that is `source.shift`'s. Rejected: the share of all positives, which a shift of the inputs moves too;
asking the source for its regime, which is what was injected.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from harness import clock
from harness.contract.faults import Cure, CureKind, PlannedFault, Prepared, Reading
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass, Effect
from harness.fault import records
from harness.fault.source import SILENT_S, Shift
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Target

BANDS = 5
REFERENCE = 250
RECENT = 150
RECENT_LEAST = 60
CHI_SQUARED = 31.0
"""Of five bands: p = 1e-5."""
PENDING_MAX = 4000

Labelled = tuple[float, bool]
"""A value of the column, and whether the truth is positive."""


def dependence(reference: Sequence[Labelled], recent: Sequence[Labelled]) -> float:
    """How much the share of positives given the value differs: chi-squared with BANDS degrees of freedom where it doesn't."""
    ordered = sorted(value for value, _ in reference)
    edges = [ordered[len(ordered) * band // BANDS] for band in range(1, BANDS)]
    total = 0.0
    for band in range(BANDS):
        before = [positive for value, positive in reference if bisect_right(edges, value) == band]
        now = [positive for value, positive in recent if bisect_right(edges, value) == band]
        if not before or not now:
            continue
        pooled = (sum(before) + sum(now)) / (len(before) + len(now))
        variance = pooled * (1 - pooled) * (1 / len(before) + 1 / len(now))
        if variance > 0:
            total += (sum(before) / len(before) - sum(now) / len(now)) ** 2 / variance
    return total


class Concept(Shift):
    """The source goes by other rules. Planned, prepared and injected as `source.shift`; only its witness differs."""

    declaration = FaultDeclaration(
        name="source.concept",
        summary="what requests mean changes: the same inputs, other truths; no input tells",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", default="source", help="the service that makes the records"),
            ArgumentDeclaration("regime", "string", required=True, help="its setting `regime` while the fault stands"),
            ArgumentDeclaration("magnitude", "number", default=1.0, help="its setting `magnitude`: how far"),
            ArgumentDeclaration("column", "string", default="amount", help="the input whose meaning changes, a number"),
            ArgumentDeclaration("label", "string", default="label", help="of the truth: 1 where it is positive"),
            ArgumentDeclaration("received", "reading", default="decisions", help="reading of what the victim received"),
            ArgumentDeclaration("truth", "reading", default="truth", help="reading of the truth about it"),
        ),
        dose="magnitude",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DRIFT,
        rows=("X3",),
    )

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where the truth given the input is another than it was at first."""
        found, caught_up = _labelled(fault, target, memory)
        reference: list[Labelled] = memory.setdefault("reference", [])
        missing = max(REFERENCE - len(reference), 0)
        reference += found[:missing]
        recent = [*memory.get("recent", ()), *found[missing:]][-RECENT:]
        memory["recent"] = recent
        now = clock.now_ns()
        if found:
            memory["came_ns"] = now
        silent = now - memory.get("came_ns", 0) > SILENT_S * 1e9
        if len(recent) < RECENT_LEAST or silent or not caught_up:
            why = f"no labelled record for {SILENT_S:g} s" if silent else "too few labelled records yet"
            return Reading(Effect.UNKNOWN, {"reference": len(reference), "recent": len(recent), "why": why})
        statistic = dependence(reference, recent)
        detail: dict[str, Json] = {"chi_squared": round(statistic, 2), "bound": CHI_SQUARED}
        return Reading(Effect.PRESENT if statistic >= CHI_SQUARED else Effect.ABSENT, detail)


def _labelled(fault: PlannedFault, target: Target, memory: dict[str, Any]) -> tuple[list[Labelled], bool]:
    """What has been received and judged since the last look, in the order of arrival; and whether that is all there is.

    Received first, then the truth: whatever was received by then has one. What has no partner yet waits, boundedly.
    """
    received, truth = fault.arguments["received"], fault.arguments["truth"]
    values: dict[Any, float] = memory.setdefault("values", {})
    truths: dict[Any, bool] = memory.setdefault("truths", {})
    arrived, all_arrived = records.new(target, received, memory)
    judged, all_judged = records.new(target, truth, memory)
    column = records.field(target, received, fault.arguments["column"])
    label = records.field(target, truth, fault.arguments["label"])
    for record in arrived:
        value, identity = record.get(column), record.get(target.spec.readings[received].id)
        if (
            isinstance(value, int | float)
            and math.isfinite(value)
            and not records.is_synthetic(target, received, record)
        ):
            values[identity] = float(value)
    for record in judged:
        if record.get(label) in (0, 1):
            truths[record.get(target.spec.readings[truth].id)] = bool(record[label])
    found = [(values.pop(one), truths.pop(one)) for one in list(values) if one in truths]
    for side in (values, truths):
        for old in list(side)[:-PENDING_MAX]:
            del side[old]
    return found, all_arrived and all_judged


CONCEPT = Concept()
