"""From a tap's `corrupt` to a function on columns. The only place where the proxy meets numpy."""

from __future__ import annotations

import os
from collections.abc import Mapping

# A proxy does no linear algebra; without this numpy starts a thread per core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from harness.corrupt.apply import damage as damaged_by
from harness.corrupt.errors import CorruptionError
from harness.corrupt.spec import parse
from harness.proxy.refusal import Refusal
from harness.proxy.tap.damaging import Columns, Damage, Undamageable


def damage_of(spec: Mapping[str, object]) -> tuple[tuple[str, ...], Damage]:
    """The columns that the damage needs, and the damage. Raises Refusal when the spec is wrong."""
    try:
        corruption = parse(spec)
    except CorruptionError as error:
        raise Refusal(f"corrupt: {error.message}") from None

    def damage(columns: Columns, keys: list[object]) -> tuple[Mapping[str, list[object]], Mapping[str, list[bool]]]:
        # Arrays of objects: a value's type must not depend on the other records of its batch.
        arrays = {name: _objects(values) for name, values in columns.items()}
        try:
            damaged = damaged_by(arrays, corruption, ids=keys)
        except CorruptionError as error:
            raise Undamageable(error.message) from None
        return (
            {name: [_plain(value) for value in damaged.columns[name].tolist()] for name in corruption.columns},
            {name: damaged.masks[name].tolist() for name in corruption.columns},
        )

    return corruption.reads, damage


def _objects(values: list[object]) -> np.ndarray:
    # Not by assignment, which would take lists of one length for a second dimension.
    return np.fromiter(values, dtype=object, count=len(values))


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
