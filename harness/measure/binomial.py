"""Shares of counts, exactly: the interval of Clopper and Pearson (1934), and Fisher's test of two shares.

In logarithms, so that tens of thousands of trials are no matter. Rejected: SciPy, whose import takes longer than the answer;
normal approximations, which are wrong just where nearly all or nearly none is the news.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
_STEPS = 60


def exact_bounds(seen: int, tried: int) -> tuple[float, float]:
    """Of the share, with 95 % confidence, by the binomial distribution itself."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if seen == 0 else _solve(lambda share: _at_least(seen, tried, share) < tail)
    high = 1.0 if seen == tried else _solve(lambda share: 1.0 - _at_least(seen + 1, tried, share) > tail)
    return low, high


def so_few(seen: int, tried: int, *, others: int, others_tried: int) -> float:
    """How likely so few, or fewer, are where both come from one population (Fisher's exact test, one-sided)."""
    hits, total = seen + others, tried + others_tried
    least = max(0, hits - others_tried)
    whole = _ways(total, tried)
    return min(
        1.0,
        math.fsum(math.exp(_ways(hits, k) + _ways(total - hits, tried - k) - whole) for k in range(least, seen + 1)),
    )


def _at_least(seen: int, tried: int, share: float) -> float:
    if share <= 0.0 or share >= 1.0:
        return float(share >= 1.0 or seen == 0)
    yes, no = math.log(share), math.log1p(-share)
    below = 2 * seen < tried  # the shorter sum
    counts = range(seen) if below else range(seen, tried + 1)
    told = math.fsum(math.exp(_ways(tried, k) + k * yes + (tried - k) * no) for k in counts)
    return 1.0 - told if below else told


def _ways(n: int, k: int) -> float:
    """The logarithm of how many ways there are to choose k of n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _solve(below: Callable[[float], bool]) -> float:
    """The share from which on it is no longer so, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2.0
