"""Reading a target's records on, from one look of a witness to the next: new ones only, and boundedly many.

What a victim has received stands in its own records. A witness is called several times a second, so it must never read a log
twice, and a long log is caught up with over several looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.plugin import Target

PAGE = 2000
PAGES_MAX = 5
"""A look reads at most PAGE * PAGES_MAX records."""

Record = Mapping[str, Any]


def new(target: Target, reading: str, memory: dict[str, Any]) -> tuple[list[Record], bool]:
    """Records since the last look, oldest first, and whether that is all there is. The cursor is kept in `memory`."""
    cursors = memory.setdefault("cursors", {})
    found: list[Record] = []
    for _ in range(PAGES_MAX):
        after = cursors.get(reading, 0)
        records, following = target.read(reading, after=after, limit=PAGE)
        cursors[reading] = following
        found += records
        if len(records) < PAGE or following == after:
            return found, True
    return found, False


def field(target: Target, reading: str, name: str) -> str:
    """What the target calls this field of the reading's records."""
    return target.spec.readings[reading].fields.get(name, name)


def is_synthetic(target: Target, reading: str, record: Record) -> bool:
    """Whether a record is of a golden request, where the target marks those."""
    quality = target.spec.quality
    if quality is None or quality.synthetic is None or reading != quality.decisions:
        return False
    return bool(record.get(field(target, reading, quality.synthetic)))
