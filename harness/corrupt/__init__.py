"""Damage to data that looks like real damage, with the truth about every damaged cell. Needs numpy only.

Columns and a corruption go in; damaged copies and a mask per column come out, and a mask says which values really
became others. Four things are separate: the *type* (what happens to a value), the *mechanism* (whom it may happen
to), the *dose* (the expected share of those) and the *seed*.

The draw belongs to (seed, column or record, record id), never to a batch: the same records split in any way, in any
order, twice, get the same damage. Records without ids are drawn by their ordinal.

To add a type or a mechanism: one small class under `types/` or `mechanism/`, and a line in `registry`.
"""

from harness.corrupt.apply import Damaged, damage, told
from harness.corrupt.column import ABSENT
from harness.corrupt.errors import CorruptionError
from harness.corrupt.reference import Reference
from harness.corrupt.spec import Corruption, parse, parse_chain
from harness.corrupt.stream import Stream

__all__ = [
    "ABSENT",
    "Corruption",
    "CorruptionError",
    "Damaged",
    "Reference",
    "Stream",
    "damage",
    "parse",
    "parse_chain",
    "told",
]
