"""Setting points and taking them back: what most faults do between `prepare` and `inject`.

Always true: what is injected is what the undo was made for, in the same order, so that an undo can tell the injected value
from somebody's repair.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.contract.faults import PlannedFault, Prepared
from harness.contract.undo import Json, Point, Undo
from harness.plugin import Target, foreseen


def undo(target: Target, point: Point, *, injected: Json, restore: Json, within_s: float) -> Undo:
    """How to take `injected` back from `point`."""
    return Undo(
        driver=target.spec.driver,
        instance=target.instance,
        point=point,
        injected=injected,
        restore=restore,
        deadline_s=within_s,
    )


def undos(fault: PlannedFault, target: Target, wanted: Sequence[tuple[Point, Json]]) -> tuple[Undo, ...]:
    """Undos for (point, value to inject) in the order of the injection; each restores what stands there now. Raises what the
    target knows beforehand that it will refuse."""
    for point, value in wanted:
        foreseen(target, point, value)
    return tuple(
        undo(target, point, injected=value, restore=target.get(point), within_s=fault.heal_within_s)
        for point, value in wanted
    )


def inject(prepared: Prepared, target: Target) -> dict[str, Json]:
    """Sets every prepared point, in order; gives what was set, as the receipt."""
    for one in prepared.undos:
        target.set(one.point, one.injected)
    return {f"{one.point.kind}:{one.point.where}": one.injected for one in prepared.undos}
