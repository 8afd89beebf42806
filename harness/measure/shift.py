"""How far two samples lie apart, as a number from 0 to 1: by their values' distributions, or by the shares of their words.

Rejected: SciPy, whose import takes longer than all that is asked of it here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

CHANCE_C = 1.63
"""Two samples of one population are farther apart than this times sqrt((n + m) / (n * m)) once in a hundred (Smirnov)."""


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic: the largest gap between the two empirical distributions, in [0, 1]."""
    marked = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    seen, widest = [0, 0], 0.0
    for index, (value, side) in enumerate(marked):
        seen[side] += 1
        if index + 1 == len(marked) or marked[index + 1][0] != value:  # ties count together
            widest = max(widest, abs(seen[0] / len(a) - seen[1] / len(b)))
    return widest


def variation(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Total variation: the share of one sample that would have to become something else to look like the other."""
    in_a, in_b = Counter(a), Counter(b)
    return sum(abs(in_a[word] / len(a) - in_b[word] / len(b)) for word in in_a.keys() | in_b.keys()) / 2


def chance(n: int, m: int) -> float:
    """How far apart two samples of these sizes lie by chance, at most; 1 where one of them is empty."""
    return min(CHANCE_C * math.sqrt((n + m) / (n * m)), 1.0) if n and m else 1.0
