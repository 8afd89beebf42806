"""What the types and mechanisms share about arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Mask = NDArray[np.bool_]


def changed(before: Column, after: Column) -> Mask:
    """Which values became others; a missing value that stays missing did not."""
    if before.dtype == object or after.dtype == object:
        pairs = zip(before.tolist(), after.tolist(), strict=True)
        return np.array([not _same(b, a) for b, a in pairs], dtype=bool)
    same: Mask = np.asarray(before == after, dtype=bool)
    if before.dtype.kind in "fc" and after.dtype.kind in "fc":
        same |= np.isnan(before) & np.isnan(after)
    elif before.dtype.kind in "mM":
        same |= np.isnat(before) & np.isnat(after)
    return ~same


def _same(before: object, after: object) -> bool:
    if before is after:
        return True
    if isinstance(before, float) and isinstance(after, float) and before != before and after != after:
        return True
    return (type(before) is type(after) and bool(before == after)) or _equal_numbers(before, after)


def _equal_numbers(before: object, after: object) -> bool:
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return numbers and not isinstance(before, bool) and not isinstance(after, bool) and before == after
