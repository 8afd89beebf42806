"""Any damage of harness.corrupt that a tap can do to the records on a link: who is hit, by what, and where is the scenario's.

    fault: data.corrupt
    link: merchant-gateway
    columns: [amount]
    damage: {type: scale, factor: 100}
    mechanism: {kind: where, column: client_id, equals: client-f}

The witness asks harness.corrupt itself what such a damage makes of each record that was sent. A draw belongs to the record's id
and the seed, so it knows which records must differ, and how; those alone tell anything, and one is enough. Rejected: looking only
whether values differ, which takes hundreds of records to be sure of the absence of a damage that hits one in twenty. For the same
reason a mechanism that goes by the place of a record is refused: nobody but the tap has counted them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from harness import corrupt
from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass
from harness.corrupt import ABSENT, Corruption, CorruptionError
from harness.corrupt.column import objects
from harness.corrupt.errors import unknown
from harness.corrupt.mechanism.at_random import AtRandom
from harness.corrupt.mechanism.runs import Batch, Burst
from harness.corrupt.mechanism.window import Window
from harness.corrupt.registry import DAMAGES
from harness.corrupt.types.base import CellDamage
from harness.corrupt.types.columns import Absent, Renamed
from harness.errors import UsageError
from harness.fault.tapped import Pair, Tapped, Windows, arguments
from harness.plugin import ArgumentDeclaration, FaultDeclaration

BESIDE = ("columns", "mechanism", "dose", "seed", "exact", "name")
"""What harness.corrupt has beside a damage's own options, and a scenario elsewhere."""
LEAST = 2
"""Records that must have been damaged and weren't, in a row."""
ALL = Windows(within_s=4.0, blind_s=3.0, silent_s=3.0, least=LEAST)
SOME = Windows(within_s=8.0, blind_s=4.0, silent_s=4.0, least=LEAST)
"""Where only some are hit, they are waited for: of 2.5 a second none comes for 4 s once in 20,000 times."""
ROUNDED = 0.011
"""Amounts may be rounded to cents on their way; where the damage is as small as that, by a quarter of it."""


class Corrupting(Tapped):
    """See the module."""

    declaration = FaultDeclaration(
        name="data.corrupt",
        summary="fields of some records are damaged on the way, in any way that `drill corrupt` knows",
        needs=frozenset({Capability.TAP}),
        arguments=arguments(
            ArgumentDeclaration("columns", "texts", required=True, help="the fields of a record that are damaged"),
            ArgumentDeclaration(
                "damage", "mapping", required=True, help="its type and options, such as {type: scale, factor: 100}"
            ),
            ArgumentDeclaration(
                "mechanism",
                "mapping",
                help="whom it may hit, such as {kind: where, column: client_id, equals: c-3}; left out: anybody",
            ),
        ),
        dose="dose",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.DATA,
        rows=("D2", "D3", "D4", "D5", "D6", "D10", "D13"),
    )

    def corruption(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        mechanism = {} if arguments["mechanism"] is None else {"mechanism": arguments["mechanism"]}
        return {**arguments["damage"], "columns": arguments["columns"], **mechanism}

    def check(self, arguments: Mapping[str, Json]) -> None:
        for key in BESIDE:
            if key in arguments["damage"]:
                raise UsageError(f"damage: {key} isn't legal here; legal: `type` and its own options")
        try:
            _options(arguments["damage"])
            corruption = corrupt.parse(self.corruption(arguments))
            _try(corruption)
        except CorruptionError as error:
            about = error.message.partition(":")[0].partition(".")[0]
            option = about.isidentifier() and about not in ("damage", *arguments)
            raise UsageError(f"damage.{error.message}" if option else error.message, hint=error.hint) from None
        why = _beyond(corruption)
        if why:
            raise UsageError(why)

    def label(self, arguments: Mapping[str, Json]) -> str:
        return f"{', '.join(arguments['columns'])}: {arguments['damage']['type']} on {arguments['link']}"

    def reads(self, arguments: Mapping[str, Json]) -> tuple[str, ...]:
        return corrupt.parse(self.corruption(arguments)).reads

    def told(self, fault: PlannedFault, pairs: Sequence[Pair]) -> list[bool]:
        """Of the records that must be damaged: whether they arrived so. One that is neither as it must be nor as it was sent
        tells nothing."""
        corruption = corrupt.parse(self.spec(fault))
        known = [pair for pair in pairs if all(name in pair.sent for name in corruption.reads)]
        if not known:
            return []
        columns = {name: objects([pair.sent[name] for pair in known]) for name in corruption.reads}
        damaged = corrupt.damage(columns, corruption, ids=[pair.id for pair in known])
        gone = [ABSENT] * len(known)
        made = {n: damaged.columns[n].tolist() if n in damaged.columns else gone for n in corruption.columns}
        looks: list[bool] = []
        for row, pair in enumerate(known):
            hit = [name for name in corruption.columns if damaged.masks[name][row]]
            cells = [(pair.sent[name], pair.received.get(name, ABSENT), made[name][row]) for name in hit]
            if cells and all(_nearer(received, wanted, than=sent) for sent, received, wanted in cells):
                looks.append(True)
            elif cells and all(_nearer(received, sent, than=wanted) for sent, received, wanted in cells):
                looks.append(False)
        return looks

    def share(self, fault: PlannedFault) -> float:
        return 1.0

    def windows(self, fault: PlannedFault) -> Windows:
        return ALL if fault.dose >= 1.0 and fault.arguments["mechanism"] is None else SOME


def _nearer(received: Any, wanted: Any, *, than: Any) -> bool:
    """Whether it is that, and not the other: numbers may have been rounded, and a field that is gone be told as null."""
    if wanted is ABSENT:
        return received is ABSENT or (received is None and than is not None)
    if not (_is_number(received) and _is_number(wanted)):
        return type(received) is type(wanted) and bool(received == wanted)
    apart = abs(wanted - than) if _is_number(than) else math.inf
    return math.isclose(received, wanted, rel_tol=0.0, abs_tol=min(apart / 4, max(ROUNDED, 1e-6 * abs(wanted))))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _options(damage: Mapping[str, Json]) -> None:
    """Raises CorruptionError for one that its type doesn't have: harness.corrupt would also name what stands elsewhere here."""
    kind = damage.get("type")
    if not isinstance(kind, str) or kind not in DAMAGES:
        return  # which is told with what is legal
    declared: Any = DAMAGES[kind]  # each is a dataclass; their bases aren't
    own = [field.name for field in fields(declared)]
    for key in damage:
        if key not in ("type", *own):
            raise unknown(f"damage.{key}", key, known=("type", *own))


def _try(corruption: Corruption) -> None:
    """Raises CorruptionError where it needs clean values beside it, which a scenario hasn't: on one record, damage and mechanism
    each by itself, since the mechanism may spare that record."""
    columns = {name: objects([1.0]) for name in corruption.reads}
    for one in (replace(corruption, mechanism=AtRandom(), dose=1.0), replace(corruption, dose=1.0)):
        corrupt.damage(columns, one, ids=["one"])


def _beyond(corruption: Corruption) -> str:
    """Why a tap can't do it, or its witness couldn't see it."""
    damage, mechanism = corruption.damage, corruption.mechanism
    if not isinstance(damage, CellDamage | Renamed | Absent):
        return f"damage: {damage.name} makes or moves records or fields, of which its witness sees nothing"
    if isinstance(damage, CellDamage) and damage.lag:
        return f"damage: {damage.name} looks back at records that have passed, and a tap keeps none"
    if isinstance(mechanism, Burst | Batch) or (isinstance(mechanism, Window) and not mechanism.reads):
        return f"mechanism: {mechanism.name} goes by the place of a record, which its witness doesn't know"
    return ""


CORRUPT = Corrupting()
