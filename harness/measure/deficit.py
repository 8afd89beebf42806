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


def minutes_each(times: Sequence[int], *, to_ns: int, offered: Offered) -> list[float]:
    """How many minutes of nominal traffic each sample stands for: from its own time to the next one's, the last to `to_ns`."""
    marks = [offered.until(min(t_ns, to_ns)) for t_ns in (*times, to_ns)]
    return [(stop - start) / NS_PER_MINUTE for start, stop in pairwise(marks)]


def bad_minutes(deficits: Iterable[float], minutes: Iterable[float]) -> float:
    """The integral: each sample's deficit, at most 1, times the minutes that it stands for. 0 where there is no sample."""
    return sum((min(deficit, 1.0) * stood for deficit, stood in zip(deficits, minutes, strict=True) if deficit), 0.0)
