"""The folds that decide: onset (k of m), hold, stop rule.

Each is a frozen record with `step(...)` giving the next record, so a machine can carry it in its state and a scorer can
fold it over a recorded run. Times are ns of the history's clock. A missing value (None) is neither good nor bad where
stated; it never counts as good: no data is never good news.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from harness.contract.faults import PlannedFault

IMPACT_K = 3
IMPACT_M = 5
GAP_SAMPLES = 4
"""Silence longer than this many sampling intervals breaks a hold, and leaves objectives unknown."""


class KofM(msgspec.Struct, frozen=True):
    """Onset: at least `k` of the last `m` samples are bad. `onset_ns` is the first bad sample of that window, once found.

    None counts as neither and is left out of the window.
    """

    k: int = IMPACT_K
    m: int = IMPACT_M
    window: tuple[tuple[int, bool], ...] = ()
    onset_ns: int | None = None

    def step(self, t_ns: int, bad: bool | None) -> KofM:
        """The fold after one more sample."""
        if bad is None or self.onset_ns is not None:
            return self
        window = (*self.window, (t_ns, bad))[-self.m :]
        onset = None
        if sum(was_bad for _, was_bad in window) >= self.k:
            onset = next(t for t, was_bad in window if was_bad)
        return msgspec.structs.replace(self, window=window, onset_ns=onset)


def witness_gap_s(fault: PlannedFault) -> float:
    """Silence of a fault's witness longer than this breaks a hold: its readings may take up to its timeout."""
    return GAP_SAMPLES * fault.witness_every_s + fault.witness_timeout_s


def onset(series: Iterable[tuple[int, bool | None]], *, k: int = IMPACT_K, m: int = IMPACT_M) -> int | None:
    """What `KofM` finds when it is stepped through the whole series; a recorded run is long, and this is ten times faster."""
    window: deque[tuple[int, bool]] = deque(maxlen=m)
    for t_ns, bad in series:
        if bad is None:
            continue
        window.append((t_ns, bad))
        if bad and sum(was_bad for _, was_bad in window) >= k:
            return next(t for t, was_bad in window if was_bad)
    return None


class Hold(msgspec.Struct, frozen=True):
    """Has a state held, unbroken, for `hold_ns`? `since_ns` is the start of the present stretch, None outside one.

    `held_ns` is the start of the first stretch that held: a recovery is stamped there, never at its end. A sample that is
    not true (False or None: not known) breaks the stretch. `relapses` counts stretches that ended after having held.
    With `gap_ns`, silence longer than that breaks the stretch too: two samples far apart show nothing of what lay between.
    """

    hold_ns: int
    since_ns: int | None = None
    held_ns: int | None = None
    relapses: int = 0
    gap_ns: int | None = None
    last_ns: int | None = None

    def step(self, t_ns: int, true: bool | None) -> Hold:
        """The fold after one more sample."""
        if self.gap_ns is not None and self.since_ns is not None and t_ns - (self.last_ns or 0) > self.gap_ns:
            return self._broken(t_ns)._stepped(t_ns, true)
        return self._stepped(t_ns, true)

    def _stepped(self, t_ns: int, true: bool | None) -> Hold:
        if true is not True:
            return self if self.since_ns is None else self._broken(t_ns)
        since = t_ns if self.since_ns is None else self.since_ns
        held = since if self.held_ns is None and t_ns - since >= self.hold_ns else self.held_ns
        return Hold(self.hold_ns, since, held, self.relapses, self.gap_ns, t_ns)

    def _broken(self, t_ns: int) -> Hold:
        lost = self.since_ns is not None and self.held_ns is not None
        held = None if lost else self.held_ns
        return Hold(self.hold_ns, None, held, self.relapses + lost, self.gap_ns, t_ns)


class Stop(msgspec.Struct, frozen=True):
    """A stop condition: the value beyond its bound, without a break, for `for_ns`. None doesn't break a stretch.

    An SLI that can't be read any more is as bad as it was: silence must not disarm the stop condition.
    """

    for_ns: int
    below: float | None = None
    above: float | None = None
    since_ns: int | None = None
    breached_ns: int | None = None

    def step(self, t_ns: int, value: float | None) -> Stop:
        """The fold after one more sample."""
        if self.breached_ns is not None:
            return self
        beyond = self.since_ns is not None if value is None else self._beyond(value)
        if not beyond:
            return msgspec.structs.replace(self, since_ns=None)
        since = t_ns if self.since_ns is None else self.since_ns
        return msgspec.structs.replace(self, since_ns=since, breached_ns=t_ns if t_ns - since >= self.for_ns else None)

    def _beyond(self, value: float) -> bool:
        return (self.below is not None and value < self.below) or (self.above is not None and value > self.above)
