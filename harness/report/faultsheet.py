"""A fault as it went, for the page: what it was, what its witness read before, during and after, how it was undone."""

from __future__ import annotations

import msgspec

from harness.contract.words import Effect
from harness.history.events import FaultHealed, FaultPrepared, UndoApplied, WitnessRead
from harness.history.reader import History
from harness.history.scorecard import FaultResult, Scorecard
from harness.report.words import NOT_OBSERVED, arguments_text, clock, plain, seconds
from harness.spec.plan import Plan


class WitnessLine(msgspec.Struct, frozen=True):
    """One telling reading of a witness."""

    when: str
    at: str
    effect: str
    detail: str


class FaultSheet(msgspec.Struct, frozen=True):
    """What the page says of one fault."""

    name: str
    label: str
    facts: tuple[tuple[str, str], ...]
    readings: tuple[WitnessLine, ...]
    undos: tuple[tuple[str, str, str], ...]


def fault_sheets(history: History, card: Scorecard, *, zero_ns: int) -> list[FaultSheet]:
    """One for each fault of the plan that the scorecard speaks of."""
    plan = history.header.plan
    return [_sheet(history, plan, result, zero_ns=zero_ns) for result in card.faults if result.index < len(plan.faults)]


def _sheet(history: History, plan: Plan, result: FaultResult, *, zero_ns: int) -> FaultSheet:
    fault = plan.faults[result.index]
    cure = str(fault.cure.kind) + (f": {fault.cure.action}" if fault.cure.action is not None else "")
    where = ", ".join(f"{component.kind} {component.name}" for component in fault.components)
    facts = (
        ("what", plain(f"{fault.fault} {arguments_text(fault.arguments)}")),
        ("where", plain(where) or "-"),
        ("dose, cure", f"{fault.dose:g}, {cure}"),
        ("witnessed", "yes" if result.witnessed else f"no: {result.reason}"),
        ("cause gone", _at(result.cleared_ns, zero_ns)),
        ("healed", _healed(result)),
        (
            "healthy again",
            NOT_OBSERVED if result.healthy_again_s is None else f"{seconds(result.healthy_again_s)} after",
        ),
    )
    readings = [e for e in history.events() if isinstance(e, WitnessRead) and e.fault == result.index]
    return FaultSheet(
        name=fault.fault,
        label=plain(fault.look.label),
        facts=facts,
        readings=tuple(_telling(readings, zero_ns=zero_ns)),
        undos=tuple(_undos(history, result.index)),
    )


def _healed(result: FaultResult) -> str:
    if result.healed is None:
        return "nothing to heal"
    if not result.healed:
        return "NOT SEEN HEALED"
    undo = f"undo in {seconds(result.heal_undo_s)}" if result.heal_undo_s is not None else "undo applied"
    seen = f", witness clear in {seconds(result.heal_seen_s)}" if result.heal_seen_s is not None else ""
    return f"yes: {undo}{seen}"


def _at(t_ns: int | None, zero_ns: int) -> str:
    return NOT_OBSERVED if t_ns is None else f"{clock(t_ns - zero_ns)} s"


def _telling(readings: list[WitnessRead], *, zero_ns: int) -> list[WitnessLine]:
    """The last before the effect, the first with it, the last with it, the first after it, the last of all."""
    present = [i for i, reading in enumerate(readings) if reading.effect is Effect.PRESENT]
    chosen: dict[int, str] = {}
    if not readings:
        return []
    if present:
        if present[0]:
            chosen[present[0] - 1] = "last before"
        chosen.setdefault(present[0], "first with the effect")
        chosen.setdefault(present[-1], "last with the effect")
        if present[-1] + 1 < len(readings):
            chosen.setdefault(present[-1] + 1, "first after")
    chosen.setdefault(len(readings) - 1, "last")
    return [
        WitnessLine(
            when,
            f"{clock(readings[i].t_ns - zero_ns)} s",
            str(readings[i].effect),
            plain(arguments_text(readings[i].detail) or readings[i].error, limit=200),
        )
        for i, when in sorted(chosen.items())
    ]


def _undos(history: History, index: int) -> list[tuple[str, str, str]]:
    """(where, from what to what, what became of it) of each undo."""
    prepared = [e for e in history.events() if isinstance(e, FaultPrepared) and e.fault == index]
    healed = [e for e in history.events() if isinstance(e, FaultHealed) and e.fault == index]
    became = {undo.where: undo for event in healed for undo in event.undos}
    told = []
    for undo in prepared[0].undos if prepared else ():
        done = became.pop(undo.point.where, None)
        change = f"{undo.injected} back to {undo.restore}"
        told.append((_where(str(undo.point.kind), undo.point.where), plain(change, limit=120), _became(done)))
    told += [(_where(undo.kind, undo.where), "", _became(undo)) for undo in became.values()]
    return told


def _where(kind: str, where: str) -> str:
    return plain(f"{kind} {where}")


def _became(undo: UndoApplied | None) -> str:
    if undo is None:
        return "not applied"
    return plain(f"{undo.outcome}{f': {undo.error}' if undo.error else ''}")
