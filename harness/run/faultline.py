"""How one fault goes: prepared, secured, witnessed absent, injected, witnessed present, healed, seen to be healed."""

from __future__ import annotations

from harness.contract.faults import CureKind, Prepared
from harness.contract.words import Effect, EndReason
from harness.history.commands import (
    Act,
    HealFault,
    InjectFault,
    PrepareFault,
    SecureUndo,
    SetTimer,
    StartWitness,
)
from harness.history.events import Done, Failed, FaultHealed, FaultPrepared, WitnessRead
from harness.measure.folds import witness_gap_s
from harness.run.state import FaultStage, FaultState, State
from harness.run.turn import Turn

HEAL_TRIES = 4
"""How often a heal that failed, or whose reply was lost, is tried again before it is called dirty."""
NS = 1_000_000_000

BITTEN = (FaultStage.MAYBE, FaultStage.INJECTED, FaultStage.HEALING, FaultStage.UNDONE)
"""Stages in which the fault may have touched the target."""
LIFTED = (FaultStage.HEALING, FaultStage.UNDONE)
"""Stages after its cure was done, or after we took it back ourselves."""


def prepare_all(turn: Turn) -> None:
    """Has every fault prepared. Changes nothing that users could feel."""
    for index in range(len(turn.state.faults)):
        turn.set_fault(index, stage=FaultStage.PREPARING)
        turn.issue(PrepareFault, fault=index)


def prepared(turn: Turn, event: FaultPrepared) -> None:
    """The undos are known: have them made durable before anything else."""
    if turn.state.faults[event.fault].stage is not FaultStage.PREPARING:
        return
    turn.set_fault(event.fault, stage=FaultStage.SECURING, prepared=Prepared(undos=event.undos, facts=event.facts))
    turn.issue(SecureUndo, fault=event.fault, undos=event.undos)


def secured(turn: Turn, fault: int) -> None:
    """The undos are on disk; from here the witness reads, so that it is seen absent first."""
    if turn.state.faults[fault].stage is not FaultStage.SECURING:
        return
    turn.set_fault(fault, stage=FaultStage.SECURED, witnessing=True)
    turn.issue(StartWitness, fault=fault)


def schedule(turn: Turn) -> None:
    """Sets the onset timers of all faults."""
    for planned in turn.state.plan.faults:
        turn.issue(SetTimer, name=f"onset:{planned.index}", after_s=planned.onset_s)


def inject(turn: Turn, index: int) -> None:
    """Injects a fault whose undo is durable, and opens the window in which its witness must see it."""
    if turn.state.faults[index].stage is not FaultStage.SECURED:
        return
    turn.set_fault(index, stage=FaultStage.MAYBE, inject_ns=turn.state.now_ns)
    turn.issue(InjectFault, fault=index)
    turn.issue(SetTimer, name=f"window:{index}", after_s=turn.state.plan.faults[index].witness_within_s)


def injected(turn: Turn, event: Done, index: int) -> None:
    """The inject call returned. Whether it bit is the witness's to say."""
    if turn.state.faults[index].stage is FaultStage.MAYBE:
        turn.set_fault(index, stage=FaultStage.INJECTED, inject_ns=event.from_ns or turn.state.now_ns)
    heal_again(turn, index)


def heal_again(turn: Turn, index: int) -> None:
    """An inject call ended, well or not, after the heal was ordered: the heal may have overtaken it and found nothing to undo."""
    if turn.state.faults[index].stage in (FaultStage.HEALING, FaultStage.UNDONE):
        turn.set_fault(index, stage=FaultStage.HEALING, heals=1, undone_ns=None, clear=False)
        turn.issue(HealFault, fault=index, why="overtaken")


def witnessed(turn: Turn, event: WitnessRead) -> None:
    """Takes one reading of a witness in."""
    fault = turn.state.faults[event.fault]
    began = event.t_ns - event.res_ns
    why = event.error or str(event.detail.get("why", "")) if event.effect is Effect.UNKNOWN else ""
    changes: dict[str, object] = {"effect": event.effect, "effect_ns": event.t_ns, "unknown": why}
    if event.effect is Effect.ABSENT:
        blind_s = turn.state.plan.faults[event.fault].witness_blind_s
        changes["last_absent_ns"] = event.t_ns - round(blind_s * NS)
        if fault.stage is FaultStage.SECURED:
            changes["ready"] = True
        if fault.stage is FaultStage.UNDONE and fault.undone_ns is not None and began >= fault.undone_ns:
            changes["clear"] = True
    elif event.effect is Effect.PRESENT:
        if fault.stage is FaultStage.SECURED:
            changes["ready"] = False
        changes["clear"] = False
        if fault.active_ns is None and fault.stage in (FaultStage.MAYBE, FaultStage.INJECTED):
            changes["active_ns"] = max(fault.inject_ns or 0, fault.last_absent_ns or 0)
    turn.set_fault(event.fault, **changes)


def heal(turn: Turn, index: int, why: str) -> None:
    """Heals one fault that may have bitten; does nothing where it is being healed or is undone already."""
    if turn.state.faults[index].stage not in (FaultStage.MAYBE, FaultStage.INJECTED):
        return
    fault = turn.set_fault(index, stage=FaultStage.HEALING, heals=1)
    assert fault.prepared is not None, "a fault that may have bitten was prepared"
    turn.issue(HealFault, fault=index, why=why)


def heal_all(turn: Turn, why: str) -> None:
    """Heals all that may have bitten, last in first out."""
    started = sorted(
        (i for i, fault in enumerate(turn.state.faults) if fault.inject_ns is not None),
        key=lambda i: turn.state.faults[i].inject_ns or 0,
        reverse=True,
    )
    for index in started:
        heal(turn, index, why)


def healed(turn: Turn, event: FaultHealed | Failed, command: HealFault) -> None:
    """The undos were applied, or not: then once more, up to a bound."""
    fault = turn.state.faults[command.fault]
    if fault.stage is not FaultStage.HEALING or _heal_pending(turn, command.fault):
        return
    failed = isinstance(event, Failed) or any(undo.outcome == "failed" for undo in event.undos)
    if failed and fault.heals < HEAL_TRIES:
        turn.set_fault(command.fault, heals=fault.heals + 1)
        turn.issue(HealFault, fault=command.fault, why=command.why)
        return
    undone = None if failed else turn.state.now_ns
    turn.set_fault(command.fault, stage=FaultStage.UNDONE, undone_ns=undone)


def _heal_pending(turn: Turn, index: int) -> bool:
    """Whether another heal of this fault is under way: then that one's reply counts."""
    return any(isinstance(c, HealFault) and c.fault == index for c in turn.state.pending.values())


def lift_by_action(turn: Turn, command: Act) -> None:
    """Lifts the faults whose declared cure is this action."""
    for planned in turn.state.plan.faults:
        cure = planned.cure
        if cure.kind is not CureKind.ACTION or cure.action is not command.action:
            continue
        if all(command.arguments.get(key) == value for key, value in cure.arguments.items()):
            heal(turn, planned.index, "cure")


def window_over(turn: Turn, index: int) -> None:
    """The witness had its time. What was not seen did not happen."""
    if turn.state.faults[index].active_ns is None:
        planned = turn.state.plan.faults[index]
        turn.end(
            EndReason.INVALID_INJECTION,
            f"{planned.fault} was not witnessed within {planned.witness_within_s:g} s of its injection",
        )


def cause_gone(state: State) -> bool:
    """Whether every injected fault's cause is gone by its declared cure (external ones never go, and don't count).

    As the scorer has it: what was seen before an action that alone ends the cause is mitigation, and a witness that fell silent
    shows nothing.
    """
    return all(
        fault.effect is Effect.ABSENT
        and (planned.cure.kind is not CureKind.ACTION or fault.stage in LIFTED)
        and state.now_ns - fault.effect_ns <= round(witness_gap_s(planned) * NS)
        for fault, planned in zip(state.faults, state.plan.faults, strict=True)
        if planned.cure.kind is not CureKind.EXTERNAL
    )


def not_clear(faults: tuple[FaultState, ...]) -> tuple[int, ...]:
    """Indices of faults that may have bitten and were not seen to be healed."""
    return tuple(i for i, fault in enumerate(faults) if fault.stage in BITTEN and not fault.clear)
