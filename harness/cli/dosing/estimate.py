"""From counts of streams in which a dose was seen to the smallest dose that is seen, with its interval.

More damage is seen at least as often, and nothing else is known of the curve. So it is fitted by isotonic regression (pooled
neighbours), not by a logistic curve, which detectors with a threshold don't follow. The interval is of exact binomial bounds
(Clopper & Pearson 1934, 95 %): below it every dose tried was surely seen too seldom, from its upper end on every dose tried was
surely seen often enough.

Always true: nothing is said about doses that weren't tried; an end that the trials don't show is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.measure.binomial import exact_bounds


@dataclass(frozen=True)
class Tried:
    """A dose, in how many streams it was tried and in how many it was seen."""

    dose: float
    streams: int
    seen: int

    @property
    def share(self) -> float:
        return self.seen / self.streams

    @property
    def bounds(self) -> tuple[float, float]:
        return exact_bounds(self.seen, self.streams)


@dataclass(frozen=True)
class Smallest:
    """The smallest dose that is seen; None: at no dose that was tried. `low`, `high`: the ends of its interval."""

    dose: float | None
    low: float | None
    high: float | None


def smallest(tried: Sequence[Tried], *, share: float) -> Smallest:
    """The smallest dose seen in at least this share of streams, of doses in rising order, 0 not among them."""
    fitted = isotonic(tried)
    low = max((one.dose for one in tried if one.bounds[1] < share), default=None)
    high = None
    for one in reversed(tried):
        if one.bounds[0] < share:
            break
        high = one.dose
    return Smallest(_crossing(tried, fitted, share), low, high)


def isotonic(tried: Sequence[Tried]) -> list[float]:
    """The shares, made to rise: neighbours that fall are pooled."""
    pools: list[list[int]] = []  # seen, streams, doses
    for one in tried:
        pools.append([one.seen, one.streams, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            seen, streams, doses = pools.pop()
            pools[-1] = [pools[-1][0] + seen, pools[-1][1] + streams, pools[-1][2] + doses]
    return [seen / streams for seen, streams, doses in pools for _ in range(doses)]


def _crossing(tried: Sequence[Tried], fitted: Sequence[float], share: float) -> float | None:
    for n, (one, fit) in enumerate(zip(tried, fitted, strict=True)):
        if fit < share:
            continue
        if n == 0:
            return one.dose
        before = fitted[n - 1]
        part = (share - before) / (fit - before)
        return math.exp(math.log(tried[n - 1].dose) * (1.0 - part) + math.log(one.dose) * part)
    return None
