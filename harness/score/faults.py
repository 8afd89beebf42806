"""Each fault as it went: seen to be there by its witness, healed, and seen to be healed.

What always holds: the injector's word counts for nothing here. A fault is witnessed where the far side showed it, not before
the injection and not later than its window; it is healed where every undo was applied and the witness is clear.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.contract.faults import PlannedFault
from harness.contract.undo import UndoOutcome
from harness.contract.words import Effect
from harness.history.commands import HealFault, InjectFault, TearDown
from harness.history.events import Done, FaultHealed, WitnessRead
from harness.history.scorecard import FaultResult
from harness.measure.onset import Interval, Look, first_present
from harness.score.evidence import CURE, NS, Evidence


class Witnessed(msgspec.Struct, frozen=True):
    """What the witness says of one fault's beginning. `active` None: not witnessed, and `why` says why.

    `decided`: whether that is certain; not so where the run was stopped before the fault's window was over.
    """

    fault: PlannedFault
    inject_ns: int | None
    active: Interval | None
    why: str
    decided: bool


def witnessed(evidence: Evidence, fault: PlannedFault) -> Witnessed:
    """The interval in which the fault's effect began, by its witness."""
    inject_ns = evidence.inject_ns(fault.index)
    if inject_ns is None:
        return Witnessed(fault, None, None, "it was never injected", True)
    readings = _until_healed(evidence, fault.index)
    before = [reading.effect for reading in readings if reading.t_ns < inject_ns]
    known = [effect for effect in before if effect is not Effect.UNKNOWN]
    if known and known[-1] is Effect.PRESENT:
        return Witnessed(fault, inject_ns, None, "its witness saw the effect before the injection", True)
    window_end = _injected_ns(evidence, fault.index, inject_ns) + round(fault.witness_within_s * NS)
    if not any(reading.t_ns >= inject_ns for reading in readings):
        why = "its witness gave no reading after the injection"
        return Witnessed(fault, inject_ns, None, why, evidence.ended_ns >= window_end)
    in_time = [reading for reading in readings if reading.t_ns - reading.res_ns <= window_end]
    active = first_present((_look(fault, reading) for reading in in_time), not_before_ns=inject_ns)
    if active is not None:
        return Witnessed(fault, inject_ns, active, "", True)
    why = f"its witness did not see the effect within {fault.witness_within_s:g} s of the injection"
    return Witnessed(fault, inject_ns, None, why, evidence.ended_ns >= window_end)


def result(evidence: Evidence, seen: Witnessed) -> FaultResult:
    """The fault's line in the scorecard."""
    index = seen.fault.index
    readings = _before_teardown(evidence, index)
    issued_ns, healed = _heal(evidence, index)
    clear_ns = _clear_for_good_ns(readings, seen)
    seen_ns = _first(readings, issued_ns, lambda reading: reading.effect is Effect.ABSENT)
    healthy_ns = _first(readings, issued_ns, lambda reading: reading.healthy is True)
    return FaultResult(
        index=index,
        fault=seen.fault.fault,
        witnessed=seen.active is not None,
        effect_from_ns=seen.active.from_ns if seen.active else None,
        effect_to_ns=seen.active.to_ns if seen.active else None,
        cleared_ns=clear_ns,
        heal_undo_s=_seconds(issued_ns, healed.t_ns if healed else None),
        heal_seen_s=_seconds(issued_ns, seen_ns),
        healthy_again_s=_seconds(issued_ns, healthy_ns),
        healed=_healed(seen, healed, readings),
        reason=seen.why,
    )


def dirty(evidence: Evidence) -> tuple[int, ...]:
    """Faults that may still be there: as the run said at its end; where it never said, those not seen healed."""
    finish = evidence.finish()
    if finish is not None:
        return tuple(sorted(finish.dirty))
    injected = {inject.fault for _, inject in evidence.issued(InjectFault)}
    plan = {fault.index: fault for fault in evidence.plan.faults}
    seen = {index: witnessed(evidence, plan[index]) for index in injected if index in plan}
    return tuple(sorted(i for i in injected if i not in seen or not result(evidence, seen[i]).healed))


def _until_healed(evidence: Evidence, index: int) -> tuple[WitnessRead, ...]:
    return tuple(r for r in evidence.witness.get(index, ()) if r.t_ns <= evidence.ended_ns)


def _before_teardown(evidence: Evidence, index: int) -> tuple[WitnessRead, ...]:
    """Of a target that is being taken down, a witness says anything."""
    down_ns = next((t_ns for t_ns, _ in evidence.issued(TearDown)), None)
    return tuple(r for r in evidence.witness.get(index, ()) if down_ns is None or r.t_ns <= down_ns)


def stale_ns(fault: PlannedFault, reading: WitnessRead) -> int:
    """How old what a reading says may be: it took a while, and some witnesses see only what has been so for a while."""
    return reading.res_ns + round(fault.witness_blind_s * NS)


def _look(fault: PlannedFault, reading: WitnessRead) -> Look:
    present = None if reading.effect is Effect.UNKNOWN else reading.effect is Effect.PRESENT
    return Look(reading.t_ns, stale_ns(fault, reading), present)


def _injected_ns(evidence: Evidence, index: int, inject_ns: int) -> int:
    """The end of the inject call, from which the witness's window counts."""
    for _, inject in evidence.issued(InjectFault):
        reply = evidence.replies.get(inject.id)
        if inject.fault == index and isinstance(reply, Done):
            return reply.t_ns
    return inject_ns


def _heal(evidence: Evidence, index: int) -> tuple[int | None, FaultHealed | None]:
    """When the fault's heal was first ordered, and the last reply: the harness's own, or the cure where none was needed after."""
    orders = [(t_ns, heal) for t_ns, heal in evidence.issued(HealFault) if heal.fault == index]
    own = [(t_ns, heal) for t_ns, heal in orders if heal.why != CURE]
    chosen = own or orders
    replies = (evidence.replies.get(heal.id) for _, heal in chosen)
    done = [reply for reply in replies if isinstance(reply, FaultHealed)]
    return (chosen[0][0] if chosen else None), (done[-1] if done else None)


def _clear_for_good_ns(readings: tuple[WitnessRead, ...], seen: Witnessed) -> int | None:
    """The first reading of the last stretch in which the witness saw nothing of the effect any more."""
    if seen.active is None:
        return None
    clear_ns: int | None = None
    for reading in readings:
        if reading.t_ns >= seen.active.to_ns and reading.effect is not Effect.UNKNOWN:
            clear_ns = (clear_ns or reading.t_ns) if reading.effect is Effect.ABSENT else None
    return clear_ns


def _first(readings: tuple[WitnessRead, ...], from_ns: int | None, is_it: Callable[[WitnessRead], bool]) -> int | None:
    if from_ns is None:
        return None
    return next((reading.t_ns for reading in readings if reading.t_ns >= from_ns and is_it(reading)), None)


def _healed(seen: Witnessed, healed: FaultHealed | None, readings: tuple[WitnessRead, ...]) -> bool | None:
    """None where there was nothing to heal."""
    if seen.inject_ns is None:
        return None
    if healed is None or any(undo.outcome == UndoOutcome.FAILED for undo in healed.undos):
        return False
    after = [r.effect for r in readings if r.t_ns >= healed.t_ns and r.effect is not Effect.UNKNOWN]
    return bool(after) and after[-1] is Effect.ABSENT


def _seconds(from_ns: int | None, to_ns: int | None) -> float | None:
    return None if from_ns is None or to_ns is None else (to_ns - from_ns) / NS
