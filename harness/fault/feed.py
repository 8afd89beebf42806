"""Feeds: records that should come stop coming, or come twice, because a setting of a service was changed.

Every value that arrives is right, so no value tells; what tells is which records come. Both witnesses read the far side's own
records by id. Silence alone proves nothing, for a pipeline at rest is silent too: the silent feed is held against another that
goes on. A record told again (quarantined, released) is no new one, else the operator's clean-up would look like the cure.

What always holds: memory is bounded by KNOWN_MAX ids; what was there at the first look is neither new nor a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from harness import clock
from harness.contract.faults import Component, Cure, CureKind, Damage, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import UsageError
from harness.fault import config, points, records
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

KNOWN_MAX = 40_000
LEAST = 5
"""Records without a repeat that show that none is repeated."""
SHOWS = "shows"
"""The fact that holds the value that marks the feed's records."""

_SETTING = (
    ArgumentDeclaration("service", "service", required=True, help="whose setting"),
    ArgumentDeclaration("key", "string", required=True, help="the setting"),
    ArgumentDeclaration("value", "setting", required=True, help="what it is set to"),
)
_CHOICE = (
    ArgumentDeclaration("field", "string", help="only records with this field count, where it holds `shows`"),
    ArgumentDeclaration("shows", "setting", help="what the field holds"),
)


def _check_choice(arguments: Mapping[str, Json]) -> None:
    if (arguments["field"] is None) != (arguments["shows"] is None):
        raise UsageError("field: means nothing without `shows`, nor the other way round; give both or neither")


def _prepared(fault: PlannedFault, target: Target) -> Prepared:
    """The setting as it is, and the mark of the feed's records. Raises as `config.prepared` does."""
    return msgspec.structs.replace(config.prepared(fault, target), facts={SHOWS: fault.arguments["shows"]})


def _wanted(fault: PlannedFault, target: Target, reading: str, found: list[records.Record]) -> list[records.Record]:
    """Those that count: with an id, nobody's golden request, and holding what was chosen."""
    key = target.spec.readings[reading].id
    field = fault.arguments["field"]
    name = None if field is None else records.field(target, reading, field)
    return [
        record
        for record in found
        if key in record
        and not records.is_synthetic(target, reading, record)
        and (name is None or (name in record and record[name] == fault.arguments["shows"]))
    ]


def _bound(known: dict[Any, Any]) -> None:
    for old in list(known)[: max(0, len(known) - KNOWN_MAX)]:
        del known[old]


class Silent:
    """Records of one reading stop, those of another go on."""

    declaration = FaultDeclaration(
        name="feed.silent",
        summary="a setting is changed, and the records of a feed stop coming while those of another go on",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            *_SETTING,
            ArgumentDeclaration("reading", "reading", required=True, help="reading whose records stop"),
            ArgumentDeclaration("against", "reading", required=True, help="reading that goes on, by the same ids"),
            *_CHOICE,
            ArgumentDeclaration(
                "silence", "duration", default=1.5, help="without a new record for so long it is silent"
            ),
            ArgumentDeclaration("least", "integer", default=10, help="so many of the other must have come meanwhile"),
            ArgumentDeclaration(
                "debt", "string", help="what a record is that came at last, such as `stored`: it was owed"
            ),
            ArgumentDeclaration(
                "lag", "duration", default=2.0, help="how late behind the other a record may come unowed"
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("D9", "D12"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` where a feed is held against itself, or a choice is half made."""
        arguments = fault.arguments
        _check_choice(arguments)
        if arguments["reading"] == arguments["against"]:
            raise UsageError(
                f"against: '{arguments['against']}' can't go on while it is silent; legal: another reading"
            )
        if arguments["least"] < 1 or arguments["silence"] <= 0:
            raise UsageError("least, silence: nothing is shown by no records in no time; legal: both above 0")
        damage = None
        if arguments["debt"] is not None:
            damage = Damage(
                reading=arguments["against"],
                field=arguments["field"],
                fact=None if arguments["field"] is None else SHOWS,
                lacking_in=arguments["reading"],
                lacking_s=float(arguments["lag"]),
                debts={arguments["debt"]: arguments["reading"]},
            )
        return msgspec.structs.replace(
            fault,
            components=(Component("service", arguments["service"]),),
            look=Look(label=f"{arguments['reading']}: {arguments['service']} {arguments['key']}", glyph="F"),
            damage=damage,
            witness_within_s=float(arguments["silence"]) + 4.0,
            witness_every_s=0.3,
            witness_blind_s=float(arguments["silence"]),  # *absent* until it has been silent for so long
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is."""
        return _prepared(fault, target)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Absent where a new record came lately; present where none did and the other reading brought enough; else unknown."""
        now, silence_ns = clock.now_ns(), fault.arguments["silence"] * 1e9
        begun = "known" in memory
        fresh, whole = self._fresh(fault, target, memory)
        found, up = records.new(target, fault.arguments["against"], memory)
        others = len(_wanted(fault, target, fault.arguments["against"], found))
        if not (whole and up):
            return Reading(Effect.UNKNOWN, {"why": "still reading what was there before"})
        if begun and fresh:
            memory["came_ns"], memory["others"] = now, 0
        elif begun:
            memory["others"] = memory.get("others", 0) + others
        if begun and others:
            memory["other_ns"] = now
        detail: dict[str, Json] = {"new": fresh if begun else 0, "others": memory.get("others", 0)}
        came_ns = memory.get("came_ns")
        if came_ns is not None and now - came_ns <= silence_ns:
            return Reading(Effect.ABSENT, detail, healthy=True)
        if now - memory.get("other_ns", 0) > silence_ns or memory.get("others", 0) < fault.arguments["least"]:
            return Reading(Effect.UNKNOWN, {**detail, "why": "too little came of either"})
        return Reading(Effect.PRESENT, detail, healthy=False)

    def _fresh(self, fault: PlannedFault, target: Target, memory: dict[str, Any]) -> tuple[int, bool]:
        """How many records came whose ids were never there before, and whether all were read."""
        reading = fault.arguments["reading"]
        key = target.spec.readings[reading].id
        found, whole = records.new(target, reading, memory)
        known: dict[Any, None] = memory.setdefault("known", {})
        before = len(known)
        known.update((record[key], None) for record in _wanted(fault, target, reading, found))
        fresh = len(known) - before
        _bound(known)
        return fresh, whole

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged by a mask of ours: those that are owed are told by the two readings."""
        return [], after


class Repeat:
    """Records of a reading come a second time."""

    declaration = FaultDeclaration(
        name="feed.repeat",
        summary="a setting is changed, and records come twice: the same id at another place",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            *_SETTING,
            ArgumentDeclaration("reading", "reading", required=True, help="reading whose records repeat"),
            ArgumentDeclaration("place", "string", required=True, help="its field that differs between two of one id"),
            *_CHOICE,
            ArgumentDeclaration("window", "duration", default=1.5, help="how far back is looked"),
            ArgumentDeclaration("debt", "string", help="what becomes of the second ones, such as `purged`: it is owed"),
            ArgumentDeclaration("repaid", "reading", default="quarantine", help="reading that tells it, with `debt`"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("D7",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a choice that is half made."""
        arguments = fault.arguments
        _check_choice(arguments)
        damage = None
        if arguments["debt"] is not None:
            damage = Damage(
                reading=arguments["reading"],
                field=arguments["field"],
                fact=None if arguments["field"] is None else SHOWS,
                repeats_by=arguments["place"],
                debts={arguments["debt"]: arguments["repaid"]},
            )
        return msgspec.structs.replace(
            fault,
            components=(Component("service", arguments["service"]),),
            look=Look(label=f"{arguments['service']}: {arguments['key']} = {arguments['value']}", glyph="2"),
            damage=damage,
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=float(arguments["window"]),  # *present* until the last repeat is that old
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is."""
        return _prepared(fault, target)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a record came lately whose id stood at another place; absent where enough came and none did."""
        now, reading = clock.now_ns(), fault.arguments["reading"]
        key, place = target.spec.readings[reading].id, records.field(target, reading, fault.arguments["place"])
        begun = "places" in memory
        found, whole = records.new(target, reading, memory)
        places: dict[Any, Any] = memory.setdefault("places", {})
        came: list[tuple[int, bool]] = memory.get("came", [])
        for record in _wanted(fault, target, reading, found):
            if place in record:
                before = places.setdefault(record[key], record[place])
                came.append((now, before != record[place]))
        _bound(places)
        if not (whole and begun):
            return Reading(Effect.UNKNOWN, {"why": "still reading what was there before"})
        memory["came"] = came = [one for one in came if now - one[0] <= fault.arguments["window"] * 1e9]
        repeats = sum(again for _, again in came)
        detail: dict[str, Json] = {"records": len(came), "repeats": repeats}
        if not repeats and len(came) < LEAST:
            return Reading(Effect.UNKNOWN, {**detail, "why": "too few records came"})
        return Reading(Effect.PRESENT if repeats else Effect.ABSENT, detail, healthy=not repeats)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged by a mask of ours: those that came twice are told by the reading."""
        return [], after


SILENT = Silent()
REPEAT = Repeat()
