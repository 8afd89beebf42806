"""Data: values of one field are damaged on their way over a link, in the two ways that are the most common.

The damage itself is `harness.corrupt`'s; here it is planned and witnessed. Every other type of damage is `data.corrupt`'s.
These two keep a witness of their own, which needs to know nothing of how records are drawn: it asks only whether a value is
the sent one times the factor, or gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass
from harness.errors import UsageError
from harness.fault.tapped import Pair, Tapped, Windows, arguments
from harness.plugin import ArgumentDeclaration, FaultDeclaration

LEAST = 5
"""Undamaged records in a row that show a full dose to be absent."""
SILENT_S = 3.0
"""After so long without a record to compare, what was seen before says nothing of now."""
ROUNDED = 0.011
"""Amounts may be rounded to cents on their way."""
COLUMN = ArgumentDeclaration("column", "string", required=True, help="the field of a record that is damaged")


@dataclass(frozen=True, slots=True)
class OneColumn(Tapped):
    """`damage` is what the tap does to the column; `differs(arguments, sent, received)` is None where the pair tells nothing (a
    zero times a hundred)."""

    declaration: FaultDeclaration
    damage: Callable[[Mapping[str, Json]], dict[str, Json]]
    differs: Callable[[Mapping[str, Json], Json, Json], bool | None]
    checked: Callable[[Mapping[str, Json]], None]
    labelled: Callable[[Mapping[str, Json]], str]

    def corruption(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        return {**self.damage(arguments), "columns": [arguments["column"]]}

    def check(self, arguments: Mapping[str, Json]) -> None:
        self.checked(arguments)

    def label(self, arguments: Mapping[str, Json]) -> str:
        return self.labelled(arguments)

    def reads(self, arguments: Mapping[str, Json]) -> tuple[str, ...]:
        return (arguments["column"],)

    def told(self, fault: PlannedFault, pairs: Sequence[Pair]) -> list[bool]:
        """A record without the field tells nothing."""
        column = fault.arguments["column"]
        found = [
            self.differs(fault.arguments, pair.sent[column], pair.received[column])
            for pair in pairs
            if column in pair.sent and column in pair.received
        ]
        return [one for one in found if one is not None]

    def share(self, fault: PlannedFault) -> float:
        return fault.dose

    def windows(self, fault: PlannedFault) -> Windows:
        return Windows(4.0, SILENT_S if fault.dose >= 1.0 else 4.0, SILENT_S, LEAST)


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


SCALE = OneColumn(
    declaration=FaultDeclaration(
        name="data.scale",
        summary="a field arrives in another unit: its numbers are multiplied on the way (euros as cents: 100)",
        needs=frozenset({Capability.TAP}),
        arguments=arguments(
            COLUMN, ArgumentDeclaration("factor", "number", required=True, help="what numbers are multiplied by")
        ),
        dose="dose",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DATA,
        rows=("D1",),
    ),
    damage=lambda arguments: {"type": "scale", "factor": arguments["factor"]},
    differs=_scaled,
    checked=_check_factor,
    labelled=lambda arguments: f"{arguments['column']} x {arguments['factor']:g} on {arguments['link']}",
)


# --- nulls ----------------------------------------------------------------------------------------------------------


def _nulled(_: Mapping[str, Json], sent: Json, received: Json) -> bool | None:
    return None if sent is None else received is None


NULL = OneColumn(
    declaration=FaultDeclaration(
        name="data.null",
        summary="values of a field go missing on the way",
        needs=frozenset({Capability.TAP}),
        arguments=arguments(COLUMN),
        dose="dose",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DATA,
        rows=("D3",),
    ),
    damage=lambda _: {"type": "missing"},
    differs=_nulled,
    checked=lambda _: None,
    labelled=lambda arguments: f"{arguments['column']} missing on {arguments['link']}",
)
