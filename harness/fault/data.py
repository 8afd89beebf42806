"""Data: records are damaged on their way over a link, by a tap that keeps a mask of what it did.

The damage itself is `harness.corrupt`'s; here it is planned and witnessed. The witness never asks the tap: it joins what the
victim says it received with what the source says it sent, by record id, and looks whether a value differs as the fault
would make it. The mask is the injector's receipt and tells which records are owed a repair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import UsageError
from harness.fault import linked, points, records, sampled
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

LEAST = 5
"""Undamaged records in a row that show a full dose to be absent."""
SILENT_S = 3.0
"""After so long without a record to compare, what was seen before says nothing of now."""
PENDING_MAX = 4000
FORMATS = ("json", "ndjson", "csv", "oip")
OF_HTTP, OF_REDIS = ("path", "format"), ("keys", "field")
"""What means something only where the link carries that."""
ROUNDED = 0.011
"""Amounts may be rounded to cents on their way."""


def _arguments(*own: ArgumentDeclaration) -> tuple[ArgumentDeclaration, ...]:
    return (
        ArgumentDeclaration("link", "link", required=True, help="the link whose messages are damaged"),
        ArgumentDeclaration("column", "string", required=True, help="the field of a record that is damaged"),
        *own,
        ArgumentDeclaration("dose", "share", default=1.0, help="share of the records that is hit"),
        ArgumentDeclaration(
            "record", "string", default="$", help="where the records are in a message, such as $.entries[*]"
        ),
        ArgumentDeclaration("id", "string", default="id", help="the field that holds a record's id"),
        ArgumentDeclaration(
            "carries", "string", default="http", choices=("http", "redis"), help="HTTP messages, or Redis streams"
        ),
        ArgumentDeclaration("path", "string", default="", help="http: only messages to this path; empty: all"),
        ArgumentDeclaration(
            "format", "string", choices=FORMATS, help="http: of the bodies; left out: by their media type"
        ),
        ArgumentDeclaration("keys", "string", help="redis: only streams of these names, * for anything; left out: all"),
        ArgumentDeclaration(
            "field", "string", help="redis: the entry's field that holds JSON; left out: the entry's own fields"
        ),
        ArgumentDeclaration(
            "stream", "string", default="upstream", choices=("upstream", "downstream"), help="requests or responses"
        ),
        ArgumentDeclaration("received", "reading", default="decisions", help="reading of what the victim received"),
        ArgumentDeclaration("sent", "reading", default="truth", help="reading of what was sent"),
    )


@dataclass(frozen=True, slots=True)
class Tapped:
    """A fault that damages records in transit: its corruption, and how a damaged value is told from a sound one.

    `differs(arguments, sent, received)` is None where the pair tells nothing (a zero times a hundred).
    """

    declaration: FaultDeclaration
    corruption: Callable[[Mapping[str, Json]], dict[str, Json]]
    differs: Callable[[Mapping[str, Json], Json, Json], bool | None]
    check: Callable[[Mapping[str, Json]], None]
    label: Callable[[Mapping[str, Json]], str]

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` where the damage would change nothing, or the link has no taps."""
        way = linked.way(fault, inventory, linked.TAP)
        self.check(fault.arguments)
        _check_carried(fault.arguments)
        return msgspec.structs.replace(
            fault,
            way=msgspec.UNSET if way is None else way.by,
            components=(Component("link", fault.arguments["link"]),),
            look=Look(label=self.label(fault.arguments), glyph="D"),
            damage=Damage(by_mask=True, debts={"quarantined": "quarantine", "rescored": "rescored"}),
            witness_within_s=4.0,
            witness_every_s=0.3,
            witness_blind_s=SILENT_S if fault.dose >= 1.0 else 4.0,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The tap's definition; nothing is tapped yet."""
        arguments = fault.arguments
        tap = {
            "stream": arguments["stream"],
            **_carried(arguments),
            "record": arguments["record"],
            "id": arguments["id"],
            "corrupt": {
                **self.corruption(arguments),
                "columns": [arguments["column"]],
                "dose": fault.dose,
                "seed": fault.seed,
            },
        }
        point = Point(PointKind.TAP, f"{arguments['link']}/{_tap(fault)}")
        return Prepared(undos=points.undos(fault, target, [(point, tap)]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets the tap."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a recent record arrived otherwise than it was sent; absent where enough of them arrived as sent."""
        compared = _compared(fault, target, memory)
        told = [self.differs(fault.arguments, sent, received) for sent, received in compared]
        looks = [one for one in told if one is not None]
        now = clock.now_ns()
        if looks:
            memory["compared_ns"] = now
        effect = sampled.judged(looks, share=fault.dose, least=LEAST, memory=memory)
        recent = memory["looks"]
        detail: dict[str, Json] = {"compared": len(looks), "recent": len(recent), "recent_damaged": sum(recent)}
        if now - memory.get("compared_ns", 0) > SILENT_S * 1e9:
            return Reading(Effect.UNKNOWN, {**detail, "why": f"nothing to compare for {SILENT_S:g} s"})
        return Reading(effect, detail)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """The tap's mask."""
        return target.damage_mask(fault.arguments["link"], _tap(fault), after=after)


def _carried(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Which messages of the link are tapped."""
    if arguments["carries"] == "redis":
        return {"kind": "redis", "keys": arguments["keys"] or "*", "field": arguments["field"] or ""}
    return {"match": {"method": "", "path": arguments["path"]}, "format": arguments["format"] or "auto"}


def _check_carried(arguments: Mapping[str, Json]) -> None:
    carries = arguments["carries"]
    for name in OF_HTTP if carries == "redis" else OF_REDIS:
        if arguments[name]:
            raise UsageError(f"{name}: means nothing on a link that carries {carries}; leave it out")
    if carries == "redis" and arguments["record"] != "$" and not arguments["field"]:
        raise UsageError("record: a path needs `field`, the entry's field that holds the JSON")


def _tap(fault: PlannedFault) -> str:
    return f"fault-{fault.index}"


def _compared(fault: PlannedFault, target: Target, memory: dict[str, Any]) -> list[tuple[Json, Json]]:
    """(sent, received) of the records that arrived since the last look.

    Received first, then sent: whatever was received by then had been sent. What has no partner yet waits, boundedly.
    """
    arrivals: dict[Any, Json] = memory.setdefault("arrivals", {})
    sendings: dict[Any, Json] = memory.setdefault("sendings", {})
    for side, reading in ((arrivals, fault.arguments["received"]), (sendings, fault.arguments["sent"])):
        name = records.field(target, reading, fault.arguments["column"])
        id_field = target.spec.readings[reading].id
        found, _ = records.new(target, reading, memory)
        side.update((record[id_field], record[name]) for record in found if id_field in record and name in record)
    pairs = [(sendings.pop(one), arrivals.pop(one)) for one in list(arrivals) if one in sendings]
    for side in (arrivals, sendings):
        for old in list(side)[:-PENDING_MAX]:
            del side[old]
    return pairs


# --- unit change ----------------------------------------------------------------------------------------------------


def _scaled(arguments: Mapping[str, Json], sent: Json, received: Json) -> bool | None:
    if not (_is_number(sent) and _is_number(received)):
        return None
    damaged, room = sent * arguments["factor"], max(ROUNDED, 1e-6 * abs(sent))
    if abs(damaged - sent) <= 2 * room * max(1.0, abs(arguments["factor"])):
        return None
    return math.isclose(received, damaged, rel_tol=1e-6, abs_tol=room * max(1.0, abs(arguments["factor"])))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_factor(arguments: Mapping[str, Json]) -> None:
    if arguments["factor"] in (0, 1):
        raise UsageError(
            f"factor: {arguments['factor']} is no change of unit; legal: any number but 0 and 1, such as 100"
        )


SCALE = Tapped(
    declaration=FaultDeclaration(
        name="data.scale",
        summary="a field arrives in another unit: its numbers are multiplied on the way (euros as cents: 100)",
        needs=frozenset({Capability.TAP}),
        arguments=_arguments(
            ArgumentDeclaration("factor", "number", required=True, help="what numbers are multiplied by")
        ),
        dose="dose",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DATA,
        rows=("D1", "D2"),
    ),
    corruption=lambda arguments: {"type": "scale", "factor": arguments["factor"]},
    differs=_scaled,
    check=_check_factor,
    label=lambda arguments: f"{arguments['column']} x {arguments['factor']:g} on {arguments['link']}",
)


# --- nulls ----------------------------------------------------------------------------------------------------------


def _nulled(_: Mapping[str, Json], sent: Json, received: Json) -> bool | None:
    return None if sent is None else received is None


NULL = Tapped(
    declaration=FaultDeclaration(
        name="data.null",
        summary="values of a field go missing on the way",
        needs=frozenset({Capability.TAP}),
        arguments=_arguments(),
        dose="dose",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DATA,
        rows=("D3",),
    ),
    corruption=lambda _: {"type": "missing"},
    differs=_nulled,
    check=lambda _: None,
    label=lambda arguments: f"{arguments['column']} missing on {arguments['link']}",
)
