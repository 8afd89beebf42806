"""Damage to records, as a pure function: columns in, damaged columns and masks out.

What a unit change does to a feature doesn't depend on how it gets there, so this knows nothing of links, targets or
files: `damage` takes a mapping of names to arrays, never changes it, and says by a mask per column which values really
became others. Four things are separate: the *type* (what happens to a value), the *mechanism* (whom it may happen
to), the *dose* (the expected share of those) and the *seed*.

The draw belongs to (seed, column or record, record id), never to a batch: the same records split in any way, in any
order, twice, get the same damage. Records without ids are drawn by their ordinal.

To add a type or a mechanism: one small file under `damage/` or `mechanism/`, and a line in `registry`.
"""

from harness.corrupt.apply import Damaged, damage
from harness.corrupt.errors import CorruptionError
from harness.corrupt.spec import Corruption, parse

__all__ = ["Corruption", "CorruptionError", "Damaged", "damage", "parse"]
