"""Which types of damage and mechanisms there are. To add one: a small class in `types/` or `mechanism/`, and its line here."""

from __future__ import annotations

from harness.corrupt.mechanism.at_random import AtRandom
from harness.corrupt.mechanism.base import Mechanism
from harness.corrupt.mechanism.graded import Graded
from harness.corrupt.mechanism.itself import Itself
from harness.corrupt.mechanism.near import Near
from harness.corrupt.mechanism.runs import Batch, Burst
from harness.corrupt.mechanism.where import Where
from harness.corrupt.mechanism.window import Window
from harness.corrupt.types.base import Damage
from harness.corrupt.types.columns import Absent, Added, Doubled, Renamed
from harness.corrupt.types.label import Flip
from harness.corrupt.types.missing import Missing
from harness.corrupt.types.neighbours import Misjoined, Stuck, Swapped
from harness.corrupt.types.numbers import Clip, Offset, Outlier, Round, Scale, Sign
from harness.corrupt.types.rows import Drop, Duplicate, Late, Reorder
from harness.corrupt.types.text import AsText, Mojibake, NewCategory, Poison, Remap, Truncated, Typo
from harness.corrupt.types.times import Future, TimeZone

_NUMBERS = (Scale, Offset, Sign, Round, Clip, Outlier)
_CELLS = (Missing, Stuck, Misjoined, Swapped, AsText, Remap, NewCategory, Typo, Mojibake, Truncated)
_TIMES_AND_LABELS = (TimeZone, Future, Flip, Poison)
_ROWS = (Duplicate, Drop, Reorder, Late)
_COLUMNS = (Renamed, Added, Absent, Doubled)

DAMAGES: dict[str, type[Damage]] = {
    kind.name: kind for kind in (*_NUMBERS, *_CELLS, *_TIMES_AND_LABELS, *_ROWS, *_COLUMNS)
}
MECHANISMS: dict[str, type[Mechanism]] = {
    kind.name: kind for kind in (AtRandom, Where, Itself, Graded, Burst, Batch, Window, Near)
}
