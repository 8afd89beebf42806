"""Bad-minutes: the integral over time of the share of traffic that was ill served, weighted by what was offered.

    bad-minutes = 1/60 * integral of deficit(t) * offered(t) / nominal dt        (t in seconds, deficit in [0, 1])

One bad-minute is a minute in which all the traffic planned was ill served. Offered means scheduled: an overloaded
pipeline that sheds its load must not look better for it. Rejected: counting bad responses, which loses the requests that
were never answered; and time below the objective, which knows no depth.

What always holds: a sample stands until the next one (silence continues what was seen last, it isn't good news); where no
load was recorded, offered is nominal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

NS_PER_MINUTE = 60_000_000_000


class Offered:
    """Traffic offered up to a moment, in nanoseconds of nominal traffic: piecewise linear, so the integral is exact."""

    def __init__(self, buckets: Iterable[tuple[int, int, float]], *, nominal_per_s: float | None) -> None:
        """`buckets` are (from ns, to ns, requests scheduled), in order; overlaps are cut off from the later one."""
        self._times: list[int] = []
        self._totals: list[float] = []
        if nominal_per_s is None or nominal_per_s <= 0:
            return
        total = 0.0
        for from_ns, to_ns, scheduled in buckets:
            last_ns = self._times[-1] if self._times else from_ns
            if to_ns <= max(from_ns, last_ns):
                continue
            weight = scheduled * 1e9 / (nominal_per_s * (to_ns - from_ns))
            from_ns = max(from_ns, last_ns)
            total += from_ns - last_ns
            self._add(from_ns, total)
            total += weight * (to_ns - from_ns)
            self._add(to_ns, total)

    def _add(self, t_ns: int, total: float) -> None:
        if not self._times or self._times[-1] != t_ns:
            self._times.append(t_ns)
            self._totals.append(total)

    def until(self, t_ns: int) -> float:
        """Nominal nanoseconds of traffic offered up to `t_ns`; only differences mean something."""
        if not self._times:
            return float(t_ns)
        at = bisect_right(self._times, t_ns)
        if at == 0:
            return float(t_ns - self._times[0])
        if at == len(self._times):
            return self._totals[-1] + (t_ns - self._times[-1])
        t0, t1 = self._times[at - 1], self._times[at]
        w0, w1 = self._totals[at - 1], self._totals[at]
        return w0 + (w1 - w0) * (t_ns - t0) / (t1 - t0)


def bad_minutes(samples: Sequence[tuple[int, float]], *, from_ns: int, to_ns: int, offered: Offered) -> float:
    """The integral over [from_ns, to_ns] of `samples`, (t_ns, deficit) in order of time. 0 where there are none."""
    total = 0.0
    for (t_ns, deficit), (next_ns, _) in pairwise((*samples, (to_ns, 0.0))):
        start, stop = max(t_ns, from_ns), min(next_ns, to_ns)
        if deficit > 0 and stop > start:
            total += min(deficit, 1.0) * (offered.until(stop) - offered.until(start))
    return total / NS_PER_MINUTE
