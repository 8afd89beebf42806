"""From a tap's `corrupt` to a function on columns. The only place where the proxy meets numpy."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping

# A proxy does no linear algebra; without this numpy starts a thread per core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from harness.corrupt.apply import damage as damaged_by
from harness.corrupt.errors import CorruptionError, illegal
from harness.corrupt.reference import Reference
from harness.corrupt.spec import Corruption, parse
from harness.corrupt.types.base import CellDamage, RowDamage, TableDamage
from harness.corrupt.types.rows import Duplicate
from harness.proxy.refusal import Refusal
from harness.proxy.tap.damaging import FIELD_TYPES, ROW_TYPES, Columns, Damage, Gone, Moved, Outcome, Undamageable

# What numpy brings stays for good. Looked through again and again by the collector, it would halt the traffic for
# milliseconds at a time.
gc.freeze()


def damage_of(spec: Mapping[str, object]) -> tuple[tuple[str, ...], Damage]:
    """The columns that the damage needs, and the damage. Raises Refusal when the spec is wrong, or wants what a tap can't do:
    it changes values, takes fields out or renames them, drops or doubles records, and keeps none that has passed or is to come.

    `reference` beside the corruption gives clean values by column (`{"amount": [1.0, 2.5, ...]}`), for those that speak of
    quantiles.
    """
    try:
        corruption = parse({key: value for key, value in spec.items() if key != "reference"})
        reference = Reference.of(_clean(spec.get("reference")))
    except CorruptionError as error:
        raise Refusal(f"corrupt: {error.message}") from None
    why = _beyond_a_tap(corruption)
    if why:
        raise Refusal(f"corrupt: {why}")

    def damage(columns: Columns, ids: list[object], first: int) -> Outcome:
        # Arrays of objects: a value's type must not depend on the other records of its batch.
        arrays = {name: _objects(values) for name, values in columns.items()}
        try:
            damaged = damaged_by(arrays, corruption, ids=ids, first_ordinal=first, reference=reference)
        except CorruptionError as error:
            raise Undamageable(error.message) from None
        if not corruption.columns:
            counts = np.bincount(damaged.ordinals - first, minlength=len(ids)).tolist()
            times = {row: count for row, count in enumerate(counts) if count != 1}
            return Outcome({}, {}, times, corruption.damage.name)
        if isinstance(corruption.damage, TableDamage):
            return _fields(corruption, {name: mask.tolist() for name, mask in damaged.masks.items()})
        return Outcome(
            {name: [_plain(value) for value in damaged.columns[name].tolist()] for name in corruption.columns},
            {name: damaged.masks[name].tolist() for name in corruption.columns},
        )

    return corruption.reads, damage


def _fields(corruption: Corruption, masks: Mapping[str, list[bool]]) -> Outcome:
    """Those that are gone, and those that have what stood under another name."""
    (old, *_) = corruption.columns
    put = {name: Gone() if name in corruption.columns else Moved(old) for name in masks}
    return Outcome({name: [value] * len(masks[name]) for name, value in put.items()}, masks)


def _beyond_a_tap(corruption: Corruption) -> str:
    kind = corruption.damage
    if isinstance(kind, RowDamage):
        if kind.name not in ROW_TYPES or (isinstance(kind, Duplicate) and kind.after):
            after = " with 'after'" if isinstance(kind, Duplicate) else ""
            return f"{kind.name}{after} hands records on later, and a tap holds none back"
    elif not isinstance(kind, CellDamage):
        if kind.name not in FIELD_TYPES:
            return f"{kind.name} makes columns that weren't there, and a tap takes fields out or renames them"
    elif kind.lag:
        return f"{kind.name} looks back at records that have passed, and a tap keeps none"
    return "exact needs the whole table, and a tap sees a record at a time" if corruption.exact else ""


def _clean(given: object) -> Mapping[str, np.ndarray]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(values, list) for values in given.values()):
        raise illegal("reference", given, legal="a mapping of columns to lists of clean values")
    return {str(name): _objects(values) for name, values in given.items()}


def _objects(values: list[object]) -> np.ndarray:
    # Not by assignment, which would take lists of one length for a second dimension.
    return np.fromiter(values, dtype=object, count=len(values))


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
