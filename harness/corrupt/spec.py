"""A corruption as it is written, and as it is used.

    {"type": "scale", "factor": 100, "columns": ["amount"],
     "mechanism": {"kind": "where", "column": "client_id", "equals": "c-3"}, "dose": 0.5, "seed": 7}

`mechanism` may be a bare name; it is `at-random` where it is left out. `dose` is the expected share of those that the
mechanism lets be hit (1 where it is left out), `seed` is 0. With `exact`, that share is hit to the row; it needs the whole
table. A type's parameters stand beside it. Several corruptions, one behind the other, are a list of these.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from math import isfinite
from typing import Any, Union, get_args, get_origin, get_type_hints

from harness import seeds
from harness.corrupt.errors import CorruptionError, illegal, unknown
from harness.corrupt.mechanism.base import Mechanism
from harness.corrupt.registry import DAMAGES, MECHANISMS
from harness.corrupt.types.base import CellDamage, Damage, RowDamage

KEYS = ("type", "name", "columns", "mechanism", "dose", "exact", "seed")
COLUMNS_MAX = 1000
STEPS_MAX = 100


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One damage to one or more columns, or to rows as a whole."""

    damage: Damage
    columns: tuple[str, ...]
    mechanism: Mechanism
    dose: float = 1.0
    seed: int = 0
    name: str = ""
    exact: bool = False

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
    damage: Damage = _build(DAMAGES[kind], parameters, where="", beside=KEYS)
    damage.check()
    columns = _columns(document.get("columns"), needed=not isinstance(damage, RowDamage))
    if isinstance(damage, CellDamage):
        damage.check_columns(columns)
    return Corruption(
        damage=damage,
        columns=columns,
        mechanism=_mechanism(document.get("mechanism", "at-random"), damage),
        dose=_dose(document.get("dose", 1.0)),
        seed=_seed(document.get("seed", 0)),
        name=_text("name", document.get("name", kind)),
        exact=_flag("exact", document.get("exact", False)),
    )


def parse_chain(documents: Sequence[Mapping[str, object]], *, seed: int = 0) -> tuple[Corruption, ...]:
    """Several, one behind the other. A step without a seed draws from its own share of `seed`, so that two steps of the same
    dose don't hit the same rows; names that occur twice get a number."""
    if isinstance(documents, Mapping) or not 1 <= len(documents) <= STEPS_MAX:
        raise illegal("chain", documents, legal=f"a list of 1 to {STEPS_MAX} corruptions")
    chain: list[Corruption] = []
    for n, document in enumerate(documents, start=1):
        if not isinstance(document, Mapping):
            raise illegal(f"step {n}", document, legal="a corruption")
        try:
            step = parse(document)
        except CorruptionError as error:
            raise CorruptionError(f"step {n}: {error.message}", hint=error.hint) from None
        own = step.seed if "seed" in document else seeds.derive(seed, "step", n)
        taken = any(other.name == step.name for other in chain)
        chain.append(replace(step, seed=own, name=f"{step.name}#{n}" if taken else step.name))
    return tuple(chain)


def _mechanism(value: object, damage: Damage) -> Mechanism:
    written: Mapping[str, object] = (
        {"kind": value} if isinstance(value, str) else value if isinstance(value, Mapping) else {}
    )
    kind = written.get("kind")
    if not isinstance(kind, str) or kind not in MECHANISMS:
        raise unknown("mechanism", kind if written else value, known=MECHANISMS)
    parameters = {key: given for key, given in written.items() if key != "kind"}
    mechanism: Mechanism = _build(MECHANISMS[kind], parameters, where="mechanism.", beside=("kind",))
    mechanism.check()
    if mechanism.of_cell and not isinstance(damage, CellDamage):
        raise CorruptionError(f"mechanism: {kind} looks at the cell that it damages, and {damage.name} damages none")
    return mechanism


def _build(record: type[Any], parameters: Mapping[str, object], *, where: str, beside: tuple[str, ...]) -> Any:
    declared = {field.name: field for field in fields(record)}
    for key in parameters:
        if key not in declared:
            raise unknown(f"{where}{key}", key, known=(*declared, *beside))
    for key, field in declared.items():
        if key not in parameters and field.default is MISSING:
            raise CorruptionError(f"{where}{key}: missing; {record.name} needs it")
    hints = _hints(record)
    return record(**{key: _parameter(where + key, hints[key], value) for key, value in parameters.items()})


_HINTS: dict[str, Mapping[str, Any]] = {}
"""Of each type and mechanism, once looked up: it takes as long as all the rest."""


def _hints(record: type[Any]) -> Mapping[str, Any]:
    key = f"{record.__module__}.{record.__qualname__}"
    if key not in _HINTS:
        _HINTS[key] = get_type_hints(record)
    return _HINTS[key]


def _parameter(where: str, hint: Any, value: object) -> object:
    """By the annotation of the field."""
    if get_origin(hint) in (Union, types.UnionType):
        choices = [choice for choice in get_args(hint) if choice is not type(None)]
        if len(choices) > 1:
            return _scalar(where, choices, value)
        hint = choices[0]
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not value:
            raise illegal(where, value, legal="a list")
        return tuple(_parameter(where, get_args(hint)[0], one) for one in value)
    if get_origin(hint) is not None:  # a mapping of texts
        if not isinstance(value, Mapping):
            raise illegal(where, value, legal="a mapping of texts")
        return {str(key): str(one) for key, one in value.items()}
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise illegal(where, value, legal="a finite number")
        return float(value)
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise illegal(where, value, legal="a whole number")
        return value
    return _text(where, value)


def _scalar(where: str, choices: list[Any], value: object) -> object:
    if (isinstance(value, bool) and bool not in choices) or not isinstance(value, tuple(choices)):
        raise illegal(
            where, value, legal="a text, a number, true or false" if bool in choices else "a text or a number"
        )
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise illegal(where, value, legal="a text")
    return value


def _flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise illegal(where, value, legal="true or false")
    return value


def _columns(value: object, *, needed: bool) -> tuple[str, ...]:
    if not needed:
        if value is not None:
            raise illegal("columns", value, legal="nothing: rows are hit as a whole")
        return ()
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
