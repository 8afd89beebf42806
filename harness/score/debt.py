"""Debt: what the fault left behind in records, and how much of it was made good by the end.

Damaged records are those of the fault's mask, those of a reading that bear the fault's mark (a model version), or those whose
value isn't the one that another reading has of the same record (a feature as it was served, and as it truly is). Repaid are
those whose id turns up in the reading that the fault names for it: re-scored, quarantined, backfilled. Golden requests
are nobody's decisions and owe nothing.

What always holds: what a target doesn't declare is not observed and lowers nothing; what it declares but could not be
read leaves the recovery undecided. A record read after the run's end counts where it may have been there by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from harness.contract.faults import Against, Damage, PlannedFault
from harness.history.commands import CollectReadings
from harness.history.events import Done
from harness.history.scorecard import DebtItem
from harness.measure.join import repayment
from harness.score.evidence import NS, Evidence
from harness.score.reached import Reached
from harness.spec.plan import PlannedReading


class Debt(msgspec.Struct, frozen=True):
    """The scorecard's items, and when all that is observed was repaid (`reached`; None where no fault leaves debt)."""

    items: tuple[DebtItem, ...]
    reached: Reached | None


def debt(evidence: Evidence, damaged: Mapping[int, frozenset[str] | None], *, zero_ns: int) -> Debt:
    """Joins damage (by fault, see `damaged_by_fault`) with repayment, kind by kind."""
    readings = {reading.name: reading for reading in evidence.plan.readings}
    collected = any(
        isinstance(evidence.replies.get(collect.id), Done) for _, collect in evidence.issued(CollectReadings)
    )
    items: list[DebtItem] = []
    ats: list[int] = []
    every_s = evidence.plan.sample_every_s
    undecided = False
    for kind, repaying, faults in _kinds(evidence):
        needed = [repaying, *(name for f in faults if f.damage for name in _told_by(f.damage))]
        undeclared = [name for name in needed if name not in readings]
        if undeclared:
            items.append(DebtItem(kind, None, None, f"the target declares no reading '{undeclared[0]}'"))
            continue
        if not collected:
            undecided = True
            items.append(DebtItem(kind, None, None, "the readings were not read to their end"))
            continue
        known = [ids for fault in faults if (ids := damaged.get(fault.index)) is not None]
        if len(known) < len(faults):
            undecided = True
            items.append(DebtItem(kind, None, None, "it is not known by what mark damaged records are told"))
            continue
        owed = repayment(frozenset().union(*known), _repaid(evidence, readings[repaying], faults))
        items.append(DebtItem(kind, owed.damaged, owed.repaid))
        every_s = max(every_s, readings[repaying].every_s)
        if owed.clear:
            ats.append(owed.all_ns if owed.all_ns is not None else zero_ns)
    if not items:
        return Debt((), None)
    res_ns = round(every_s * NS)  # it may have been repaid since the reading before
    return Debt(tuple(items), _reached(items, ats, zero_ns=zero_ns, undecided=undecided, res_ns=res_ns))


def damaged_by_fault(evidence: Evidence) -> dict[int, frozenset[str] | None]:
    """Ids of the records that each fault damaged before the run's end; None where they can't be told."""
    synthetic = synthetic_ids(evidence)
    damaged: dict[int, frozenset[str] | None] = {}
    for fault in evidence.plan.faults:
        ids = _damaged(evidence, fault)
        damaged[fault.index] = None if ids is None else ids - synthetic
    return damaged


def _damaged(evidence: Evidence, fault: PlannedFault) -> frozenset[str] | None:
    damage = fault.damage
    if damage is None:
        return frozenset()
    ids: set[str] = set()
    if damage.by_mask:
        masks = (m for m in evidence.masks.get(fault.index, ()) if m.t_ns - m.res_ns <= evidence.ended_ns)
        ids.update(record for mask in masks for record in mask.ids)
    if isinstance(damage.against, Against):
        ids.update(_apart(evidence, damage, damage.against, from_ns=evidence.inject_ns(fault.index)))
    elif damage.reading is not None:
        if damage.field is not None and _mark(evidence, fault) is None:
            return None
        ids.update(_of_reading(evidence, fault, damage))
    return frozenset(ids)


def synthetic_ids(evidence: Evidence) -> frozenset[str]:
    """Ids of golden requests, by the mark that the decision log bears."""
    quality = evidence.plan.quality
    reading = next((r for r in evidence.plan.readings if quality and r.name == quality.decisions), None)
    if quality is None or quality.synthetic is None or reading is None:
        return frozenset()
    field, key = reading.fields.get(quality.synthetic, quality.synthetic), reading.id
    return frozenset(
        str(record[key])
        for _, records in batches(evidence, reading)
        for record in records
        if record.get(field) and key in record
    )


def batches(evidence: Evidence, reading: PlannedReading) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(when read, records) of a reading, as far as they may have been there by the run's end."""
    for event in evidence.records.get(reading.name, ()):
        if event.t_ns - event.res_ns <= evidence.ended_ns:
            yield min(event.t_ns, evidence.ended_ns), event.records


def ids(evidence: Evidence, reading: PlannedReading, *, from_ns: int = 0) -> frozenset[str]:
    """Ids of a reading's records that were read from `from_ns` on."""
    key = reading.id
    return frozenset(
        str(record[key])
        for t_ns, records in batches(evidence, reading)
        if t_ns >= from_ns
        for record in records
        if key in record
    )


def _kinds(evidence: Evidence) -> Iterator[tuple[str, str, tuple[PlannedFault, ...]]]:
    """(kind of debt, repaying reading, faults that leave it), each kind and reading once."""
    owing: dict[tuple[str, str], list[PlannedFault]] = {}
    for fault in evidence.plan.faults:
        for kind, repaying in (fault.damage.debts if fault.damage else {}).items():
            owing.setdefault((kind, repaying), []).append(fault)
    for (kind, repaying), faults in sorted(owing.items()):
        yield kind, repaying, tuple(faults)


def _mark(evidence: Evidence, fault: PlannedFault) -> Any:
    """The value that damaged records bear: a fact that preparing the fault found out."""
    prepared = evidence.prepared(fault.index)
    if prepared is None or fault.damage is None or fault.damage.fact is None:
        return None
    return prepared.facts.get(fault.damage.fact)


def _of_reading(evidence: Evidence, fault: PlannedFault, damage: Damage) -> Iterator[str]:
    """Ids of the damaged records that a reading tells."""
    planned = {reading.name: reading for reading in evidence.plan.readings}
    reading, inject_ns = planned.get(damage.reading or ""), evidence.inject_ns(fault.index)
    if reading is None or inject_ns is None:
        return
    marked = list(_marked(evidence, fault, damage, reading, inject_ns))
    if damage.lacking_in:
        late_ns = round((damage.lacking_s or 0.0) * NS)
        yield from _lacking(evidence, planned.get(damage.lacking_in), marked, late_ns=late_ns)
    elif damage.repeats_by:
        yield from _repeated(marked, reading, reading.fields.get(damage.repeats_by, damage.repeats_by))
    else:
        yield from (str(record[reading.id]) for _, record in marked)


def _marked(
    evidence: Evidence, fault: PlannedFault, damage: Damage, reading: PlannedReading, inject_ns: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(when read, record) of those since the injection that bear the mark, or all of them where there is none."""
    field = None if damage.field is None else reading.fields.get(damage.field, damage.field)
    marks = spellings(_mark(evidence, fault))
    for t_ns, records in batches(evidence, reading):
        if t_ns >= inject_ns:
            for record in records:
                if reading.id in record and (field is None or (field in record and record[field] in marks)):
                    yield t_ns, record


def _lacking(
    evidence: Evidence, other: PlannedReading | None, marked: list[tuple[int, dict[str, Any]]], *, late_ns: int
) -> Iterator[str]:
    """Ids that the other reading didn't have in time. What may still come in time at the run's end is not lacking."""
    if other is None:
        return
    came: dict[str, int] = {}
    for t_ns, records in batches(evidence, other):
        for record in records:
            if other.id in record:
                came.setdefault(str(record[other.id]), t_ns)
    for t_ns, record in marked:
        identity = str(record[other.id]) if other.id in record else ""
        if identity and came.get(identity, evidence.ended_ns) > t_ns + late_ns:
            yield identity


def _repeated(marked: list[tuple[int, dict[str, Any]]], reading: PlannedReading, place: str) -> Iterator[str]:
    """Ids that stand at two places."""
    places: dict[str, Any] = {}
    for _, record in marked:
        identity = str(record[reading.id])
        if place in record and places.setdefault(identity, record[place]) != record[place]:
            yield identity


def spellings(mark: Any) -> tuple[Any, ...]:
    """A mark as targets may write it: version "2" is often the number 2."""
    text = str(mark)
    return (mark, text, int(text)) if text.isdecimal() and len(text) < 19 else (mark, text)


def _told_by(damage: Damage) -> Iterator[str]:
    """The readings that tell which records were damaged."""
    if damage.reading is not None:
        yield damage.reading
    if damage.lacking_in:
        yield damage.lacking_in
    if isinstance(damage.against, Against):
        yield damage.against.reading


def _truths(evidence: Evidence, damage: Damage, against: Against) -> dict[str, Any]:
    """What the field truly is, by record."""
    reading = next((r for r in evidence.plan.readings if r.name == against.reading), None)
    if reading is None or damage.field is None:
        return {}
    field, key = reading.fields.get(damage.field, damage.field), reading.id
    return {
        str(record[key]): record[field]
        for _, records in batches(evidence, reading)
        for record in records
        if key in record and record.get(field) is not None
    }


def _apart(evidence: Evidence, damage: Damage, against: Against, *, from_ns: int | None) -> Iterator[str]:
    """Records read since the injection whose field isn't what the truth says. One without the field was made without it."""
    reading = next((r for r in evidence.plan.readings if r.name == damage.reading), None)
    if reading is None or damage.field is None or from_ns is None:
        return
    truths = _truths(evidence, damage, against)
    field, key = reading.fields.get(damage.field, damage.field), reading.id
    for t_ns, records in batches(evidence, reading):
        for record in records if t_ns >= from_ns else ():
            name = str(record.get(key))
            if name in truths and record.get(field) is not None and against.differs(record[field], truths[name]):
                yield name


def _repaid(evidence: Evidence, reading: PlannedReading, faults: tuple[PlannedFault, ...]) -> dict[str, int]:
    """When each record first turned up as repaid; one that still bears the damage's mark, or differs as it did, doesn't count."""
    apart = [
        (reading.fields.get(damage.field, damage.field), damage.against, _truths(evidence, damage, damage.against))
        for fault in faults
        if (damage := fault.damage) and damage.field and isinstance(damage.against, Against)
    ]
    marks = [
        (reading.fields.get(fault.damage.field, fault.damage.field), spellings(_mark(evidence, fault)))
        for fault in faults
        if fault.damage and fault.damage.field and _marks_harm(fault.damage, reading)
    ]
    first: dict[str, int] = {}
    for t_ns, records in batches(evidence, reading):
        for record in records:
            if reading.id not in record or any(field in record and record[field] in told for field, told in marks):
                continue
            if not any(_still_apart(record, str(record[reading.id]), *one) for one in apart):
                first.setdefault(str(record[reading.id]), t_ns)
    return first


def _marks_harm(damage: Damage, repaying: PlannedReading) -> bool:
    """Whether a record of this reading that bears the mark is still damaged.

    Where harm is that records lack, or stand twice, the mark only says which records are meant: what comes at last is
    marked as well, and so is what is withdrawn, except in the very reading that told that it stands twice.
    """
    if damage.lacking_in or isinstance(damage.against, Against):
        return False
    return not damage.repeats_by or repaying.name == damage.reading


def _still_apart(record: Mapping[str, Any], name: str, field: str, against: Against, truths: Mapping[str, Any]) -> bool:
    return record.get(field) is not None and name in truths and against.differs(record[field], truths[name])


def _reached(items: list[DebtItem], ats: list[int], *, zero_ns: int, undecided: bool, res_ns: int) -> Reached:
    owing = [i for i in items if i.damaged is not None and i.repaid is not None and i.repaid < i.damaged]
    if owing:
        told = ", ".join(f"{i.kind} {i.repaid} of {i.damaged}" for i in owing)
        return Reached(None, why=f"debt was not repaid ({told})")
    if undecided:
        return Reached(None, maybe_ns=zero_ns, why="the debt could not be read to its end")
    at_ns = max(ats, default=zero_ns)
    return Reached(at_ns, res_ns if at_ns > zero_ns else 0, at_ns)
