"""The one clock of a history: the harness host's monotonic clock in integer nanoseconds.

Kept away from everything that is pure: times enter machines and scorers as data. Wall clock times of elsewhere are
converted by clock pairs, never compared directly.
"""

from __future__ import annotations

import time


def now_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC (on Linux the same for every process of this host)."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """Nanoseconds since the epoch by this host's wall clock."""
    return time.time_ns()


def clock_pair() -> tuple[int, int, int]:
    """(monotonic ns, wall ns, error ns) of one instant: the wall reading bracketed by two monotonic ones."""
    before = now_ns()
    wall = wall_ns()
    after = now_ns()
    return (before + after) // 2, wall, (after - before + 1) // 2
