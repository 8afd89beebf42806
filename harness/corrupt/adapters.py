"""Tables of other kinds as columns: a structured array by views, an Arrow table without a copy where Arrow allows it.

Arrow allows it for numbers and times in one chunk without nulls. Numbers with nulls become objects, for a null among whole
numbers is not a NaN; so do text and lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from harness.corrupt.column import ABSENT, Column, Columns, objects
from harness.corrupt.errors import CorruptionError

Tabular = Any
"""A mapping of names to arrays, a structured array, or a pyarrow Table or RecordBatch."""


def columns_of(table: Tabular) -> Columns:
    """Raises CorruptionError for what is no table."""
    if isinstance(table, Mapping):
        return {
            name: column if isinstance(column, np.ndarray) else np.asarray(column) for name, column in table.items()
        }
    if isinstance(table, np.ndarray) and table.dtype.names is not None:
        return {name: table[name] for name in table.dtype.names}
    if hasattr(table, "column_names") and hasattr(table, "column"):
        return {name: _from_arrow(table.column(n)) for n, name in enumerate(table.column_names)}
    raise CorruptionError(
        f"no table: {type(table).__name__}; legal is a mapping of names to arrays, a structured array, or an Arrow table"
    )


def _from_arrow(column: Any) -> Column:
    if hasattr(column, "combine_chunks") and hasattr(column, "num_chunks"):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    kind = str(column.type)
    plain = kind.startswith(("int", "uint", "float", "double", "half", "timestamp", "date", "duration"))
    if plain and not column.null_count:
        numbers: Column = column.to_numpy(zero_copy_only=False)
        return numbers
    if kind == "bool" and not column.null_count:
        truths: Column = column.to_numpy(zero_copy_only=False)
        return truths
    if kind.startswith(("float", "double", "timestamp", "date", "duration")):
        gaps: Column = column.to_numpy(zero_copy_only=False)  # NaN and NaT stand for null
        return gaps
    return objects(column.to_pylist())


def as_structured(columns: Columns) -> np.ndarray[Any, Any]:
    """One structured array, in the order of the columns."""
    kinds = [(name, column.dtype) for name, column in columns.items()]
    count = len(next(iter(columns.values()))) if columns else 0
    out = np.empty(count, dtype=kinds)
    for name, column in columns.items():
        out[name] = column
    return out


def as_arrow(columns: Columns) -> Any:
    """A pyarrow Table. What holds numbers and text at once becomes text, for an Arrow column has one type."""
    pa: Any = import_module("pyarrow")  # an extra, and not cheap

    return pa.table({name: _to_arrow(pa, column) for name, column in columns.items()})


def _to_arrow(pa: Any, column: Column) -> Any:
    if column.dtype != object:
        return pa.array(column)
    values = [None if value is ABSENT else value for value in column.tolist()]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
