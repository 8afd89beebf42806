"""From a tap's `corrupt` to a function on columns. The only place where the proxy meets numpy."""

from __future__ import annotations

import os
from collections.abc import Mapping

# A proxy does no linear algebra; without this numpy starts a thread per core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from harness import corrupt
from harness.proxy.refusal import Refusal
from harness.proxy.tap.damaging import Columns, Damage


def damage_of(spec: Mapping[str, object]) -> tuple[tuple[str, ...], Damage]:
    """The columns that the damage needs, and the damage. Raises Refusal when the spec is wrong."""
    try:
        corruption = corrupt.parse(spec)
    except corrupt.CorruptionError as error:
        raise Refusal(f"corrupt: {error.message}") from None

    def damage(columns: Columns, keys: list[object]) -> tuple[Mapping[str, list[object]], Mapping[str, list[bool]]]:
        # Arrays of objects: a value's type must not depend on the other records of its batch.
        arrays = {name: _objects(values) for name, values in columns.items()}
        damaged = corrupt.damage(arrays, corruption, ids=keys)
        return (
            {name: damaged.columns[name].tolist() for name in corruption.columns},
            {name: damaged.masks[name].tolist() for name in corruption.columns},
        )

    return corruption.reads, damage


def _objects(values: list[object]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
