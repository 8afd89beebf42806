"""A corruption as it is written, and as it is used.

    {"type": "scale", "factor": 100, "columns": ["amount"],
     "mechanism": {"kind": "where", "column": "client_id", "equals": "c-3"}, "dose": 0.5, "seed": 7}

`mechanism` may be a bare name; it is `at-random` where it is left out. `dose` is the expected share of those that the
mechanism lets be hit (1 where it is left out), `seed` is 0. A type's parameters stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from math import isfinite
from typing import Any

from harness.corrupt.errors import CorruptionError, illegal, unknown
from harness.corrupt.registry import DAMAGES, MECHANISMS, Damage, Mechanism

KEYS = ("type", "columns", "mechanism", "dose", "seed")
COLUMNS_MAX = 1000


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One damage to one or more columns."""

    damage: Damage
    columns: tuple[str, ...]
    mechanism: Mechanism
    dose: float = 1.0
    seed: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """All columns needed: those to damage, and those that the mechanism looks at."""
        return tuple(dict.fromkeys((*self.columns, *self.mechanism.reads)))


def parse(document: Mapping[str, object]) -> Corruption:
    """Raises CorruptionError, naming the field, what is legal, and the nearest match."""
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in DAMAGES:
        raise unknown("type", kind, known=DAMAGES)
    parameters = {key: value for key, value in document.items() if key not in KEYS}
    return Corruption(
        damage=_build(DAMAGES[kind], parameters, where="", beside=KEYS),
        columns=_columns(document.get("columns")),
        mechanism=_mechanism(document.get("mechanism", "at-random")),
        dose=_dose(document.get("dose", 1.0)),
        seed=_seed(document.get("seed", 0)),
    )


def _mechanism(value: object) -> Mechanism:
    written: Mapping[str, object] = (
        {"kind": value} if isinstance(value, str) else value if isinstance(value, Mapping) else {}
    )
    kind = written.get("kind")
    if not isinstance(kind, str) or kind not in MECHANISMS:
        raise unknown("mechanism", kind if written else value, known=MECHANISMS)
    parameters = {key: given for key, given in written.items() if key != "kind"}
    mechanism: Mechanism = _build(MECHANISMS[kind], parameters, where="mechanism.", beside=("kind",))
    return mechanism


def _build(record: type[Any], parameters: Mapping[str, object], *, where: str, beside: tuple[str, ...]) -> Any:
    declared = {field.name: field for field in fields(record)}
    for key in parameters:
        if key not in declared:
            raise unknown(f"{where}{key}", key, known=(*declared, *beside))
    for key, field in declared.items():
        if key not in parameters and field.default is MISSING:
            raise CorruptionError(f"{where}{key}: missing; {record.name} needs it")
    return record(**{key: _parameter(where + key, str(declared[key].type), value) for key, value in parameters.items()})


def _parameter(where: str, kind: str, value: object) -> object:
    """By the annotation of the field; these three are all that parameters are."""
    if kind == "float":
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise illegal(where, value, legal="a finite number")
        return float(value)
    if kind == "str":
        if not isinstance(value, str) or not value:
            raise illegal(where, value, legal="a text")
        return value
    if not isinstance(value, str | int | float):
        raise illegal(where, value, legal="a text, a number, true or false")
    return value


def _columns(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not 1 <= len(names) <= COLUMNS_MAX:
        raise illegal("columns", value, legal=f"a list of 1 to {COLUMNS_MAX} column names")
    for name in names:
        if not isinstance(name, str) or not name:
            raise illegal("columns", name, legal="a column name")
    return tuple(dict.fromkeys(names))


def _dose(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise illegal("dose", value, legal="a share from 0 to 1")
    return float(value)


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise illegal("seed", value, legal="a whole number of at most 63 bits")
    return value
