"""What type each column of a Parquet file has once it is damaged: told before the first row, for a file has one schema.

By the corruptions alone, never by the values that were hit: a file of which nothing was hit has the same schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.corrupt import Corruption
from harness.corrupt.adapters import columns_of
from harness.corrupt.column import TIMES
from harness.corrupt.types.base import CellDamage, NumberDamage, RowDamage, TableDamage
from harness.corrupt.types.columns import Added, Doubled, Renamed
from harness.corrupt.types.missing import Missing
from harness.corrupt.types.neighbours import Swapped
from harness.corrupt.types.numbers import Offset, Scale


def as_objects(chain: Sequence[Corruption]) -> frozenset[str]:
    """The columns whose numbers must be handed on one by one, as JSON has them. Where all that happens to them keeps whole
    numbers whole, numpy's arrays say the same, and are quicker."""
    return frozenset(
        name
        for step in chain
        if not isinstance(step.damage, RowDamage)
        for name in step.columns
        if not (isinstance(step.damage, NumberDamage) and step.damage.keeps_whole)
    )


def field_types(pa: Any, schema: Any, chain: Sequence[Corruption]) -> Mapping[str, Any]:
    """Of all columns that there are or will be."""
    types: dict[str, Any] = {field.name: field.type for field in schema}
    for step in chain:
        damage = step.damage
        if isinstance(damage, Added):
            types.update(dict.fromkeys(step.columns, pa.scalar(damage.value).type))
        elif isinstance(damage, TableDamage):
            _again(types, step)
        elif isinstance(damage, Swapped):
            one, other = (types.get(name) for name in step.columns)
            if one is not None and other is not None and one != other:
                types.update(dict.fromkeys(step.columns, _common(pa, one, other)))
        elif isinstance(damage, CellDamage):
            for name in step.columns:
                if name in types:
                    types[name] = _damaged(pa, types[name], damage, name)
    return types


def _again(types: dict[str, Any], step: Corruption) -> None:
    for name in step.columns:
        if name in types and isinstance(step.damage, Renamed):
            types[step.damage.to] = types[name]
        elif name in types and isinstance(step.damage, Doubled):
            types[name + step.damage.suffix] = types[name]


def _common(pa: Any, one: Any, other: Any) -> Any:
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))
    return pa.float64() if numbers else pa.string()


def _damaged(pa: Any, type_: Any, damage: CellDamage, name: str) -> Any:
    """Raises CorruptionError where the type can't be damaged so."""
    if damage.mixes:
        return type_ if pa.types.is_string(type_) or pa.types.is_large_string(type_) else pa.string()
    if isinstance(damage, Missing) and damage.form in ("gap", "none", "nan"):
        return type_
    (empty,) = columns_of(pa.table({name: pa.array([], type_)})).values()
    after = damage.dtype(empty, name=name)
    if after.kind == "f" and empty.dtype.kind in "iu":
        return pa.float64()
    if after.kind in "iu" and isinstance(damage, Scale | Offset):
        return pa.int64()
    if after.kind in TIMES and after != empty.dtype:
        return pa.from_numpy_dtype(np.dtype(after))
    return type_
