"""Damage by a tap: what all faults share that damage records on their way over a link.

The witness never asks the tap: it joins what the victim says it received with what the source says it sent, by record id, and
looks whether the record differs as the fault would make it. The tap's mask is the injector's receipt, and tells which records are
owed a repair.

Always true: what could tell nothing counts for nothing, neither as damage nor as its absence; what waits for its partner is
bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import UsageError
from harness.fault import linked, points, records, sampled
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

PENDING_MAX = 4000
FORMATS = ("json", "ndjson", "csv", "oip")
OF_HTTP, OF_REDIS = ("path", "format"), ("keys", "field")
"""What means something only where the link carries that."""

Fields = Mapping[str, Json]
"""A record's fields by the names that the fault knows; one that the record doesn't have isn't there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A record as it was sent and as it was received."""

    id: object
    sent: Fields
    received: Fields


@dataclass(frozen=True, slots=True)
class Windows:
    """How long the witness may take: to see the effect at all, to notice that it came or went, and without a record that tells
    anything; and how many undamaged records in a row show that there is none."""

    within_s: float
    blind_s: float
    silent_s: float
    least: int


def arguments(*own: ArgumentDeclaration) -> tuple[ArgumentDeclaration, ...]:
    """The link, the fault's own, how many are hit, and where the records are."""
    return (
        ArgumentDeclaration("link", "link", required=True, help="the link whose messages are damaged"),
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


class Tapped(ABC):
    """A fault that damages records in transit: its corruption, and how a damaged record is told from a sound one."""

    declaration: FaultDeclaration

    @abstractmethod
    def corruption(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """The damage as harness.corrupt has it written, without dose and seed."""

    @abstractmethod
    def check(self, arguments: Mapping[str, Json]) -> None:
        """Raises `UsageError` where the damage would change nothing, or can't be done."""

    @abstractmethod
    def label(self, arguments: Mapping[str, Json]) -> str:
        """In a few words."""

    @abstractmethod
    def reads(self, arguments: Mapping[str, Json]) -> tuple[str, ...]:
        """The fields that the witness must know."""

    @abstractmethod
    def told(self, fault: PlannedFault, pairs: Sequence[Pair]) -> list[bool]:
        """Whether it arrived damaged, of each record that can tell."""

    @abstractmethod
    def share(self, fault: PlannedFault) -> float:
        """Of those that can tell, the share that is hit."""

    @abstractmethod
    def windows(self, fault: PlannedFault) -> Windows:
        """How long the witness may take."""

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` where the damage would change nothing, or the link has no taps."""
        way = linked.way(fault, inventory, linked.TAP)
        self.check(fault.arguments)
        _check_carried(fault.arguments)
        windows = self.windows(fault)
        return msgspec.structs.replace(
            fault,
            way=msgspec.UNSET if way is None else way.by,
            components=(Component("link", fault.arguments["link"]),),
            look=Look(label=self.label(fault.arguments), glyph="D"),
            damage=Damage(by_mask=True, debts={"quarantined": "quarantine", "rescored": "rescored"}),
            witness_within_s=windows.within_s,
            witness_every_s=0.3,
            witness_blind_s=windows.blind_s,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The tap's definition; nothing is tapped yet."""
        tap = {
            "stream": fault.arguments["stream"],
            **_carried(fault.arguments),
            "record": fault.arguments["record"],
            "id": fault.arguments["id"],
            "corrupt": self.spec(fault),
        }
        point = Point(PointKind.TAP, f"{fault.arguments['link']}/{_tap(fault)}")
        return Prepared(undos=points.undos(fault, target, [(point, tap)]))

    def spec(self, fault: PlannedFault) -> dict[str, Json]:
        """The corruption with its dose and seed."""
        return {**self.corruption(fault.arguments), "dose": fault.dose, "seed": fault.seed}

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets the tap."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a recent record arrived otherwise than it was sent; absent where enough of them arrived as sent."""
        names = self.reads(fault.arguments)
        pairs = compared(fault, target, memory, names=names)
        looks = self.told(fault, pairs)
        memory["arrived"] = memory.get("arrived", 0) + len(pairs)
        memory.setdefault("fields", set()).update(name for pair in pairs for name in pair.sent)
        windows = self.windows(fault)
        now = clock.now_ns()
        if looks:
            memory["compared_ns"] = now
        effect = sampled.judged(looks, share=self.share(fault), least=windows.least, memory=memory)
        recent = memory["looks"]
        detail: dict[str, Json] = {"compared": len(looks), "recent": len(recent), "recent_damaged": sum(recent)}
        if now - memory.get("compared_ns", 0) > windows.silent_s * 1e9:
            why = f"nothing to compare for {windows.silent_s:g} s"
            return Reading(Effect.UNKNOWN, {**detail, "why": f"{why}: {_in_vain(memory, names)}"})
        return Reading(effect, detail)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """The tap's mask."""
        return target.damage_mask(fault.arguments["link"], _tap(fault), after=after)


def _in_vain(memory: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """What of the records that arrived there was none to compare: mostly a scenario that names a field nobody has."""
    arrived, lacking = memory["arrived"], [name for name in names if name not in memory["fields"]]
    if not arrived:
        return "no record arrived"
    if lacking:
        return f"none of {arrived:,} records was sent with a field '{lacking[0]}'"
    return f"none of {arrived:,} records is one that this damage would change"


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


def compared(fault: PlannedFault, target: Target, memory: dict[str, Any], *, names: tuple[str, ...]) -> list[Pair]:
    """The records that arrived since the last look, with these fields.

    Received first, then sent: whatever was received by then had been sent. What has no partner yet waits, boundedly.
    """
    arrivals: dict[Any, Fields] = memory.setdefault("arrivals", {})
    sendings: dict[Any, Fields] = memory.setdefault("sendings", {})
    for side, reading in ((arrivals, fault.arguments["received"]), (sendings, fault.arguments["sent"])):
        called = {name: records.field(target, reading, name) for name in names}
        id_field = target.spec.readings[reading].id
        found, _ = records.new(target, reading, memory)
        for record in found:
            if id_field in record:
                side[record[id_field]] = {name: record[own] for name, own in called.items() if own in record}
    pairs = [Pair(one, sendings.pop(one), arrivals.pop(one)) for one in list(arrivals) if one in sendings]
    for side in (arrivals, sendings):
        for old in list(side)[:-PENDING_MAX]:
            del side[old]
    return pairs
