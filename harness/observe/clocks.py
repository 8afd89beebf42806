"""Clocks of elsewhere: what a source shows, paired with our own clock, so that its times can be told in ours.

The monitoring dates its alerts by the clock of the machine it runs on. On this host, and in containers of it, that is our wall
clock; on another host it is off by milliseconds where time is kept well, by seconds where it isn't, and sense, hold and deliver
would be wrong by all of it. So the source is asked what time it has, between two readings of our monotonic clock: its answer was
made somewhere in between. Rejected: trusting NTP (a drill may find it off), and one pair at the start (one slow answer, and
every time of the run is as coarse).

What always holds: a pair's error is half of what the asking took, and what the source rounds; the error of a converted time
grows with its distance from the pair, because clocks drift. The pair with the least error for a time converts it. A clock that
was set while we looked is said, and pairs from before are forgotten.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import urllib3

from harness.clock import clock_pair, now_ns
from harness.history.events import AnyEvent, ClockPair, Note
from harness.observe.asking import NoAnswerError, ask

WALL = "wall"
"""The source that is this host's own wall clock."""
TIMEOUT_S = 0.5
BYTES_MAX = 1 << 16
FIRST_PAIRS = 5
FIRST_EVERY_S = 0.1
EVERY_S = 5.0
PAIRS_MAX = 64
DRIFT = 100e-6
"""How far two clocks drift apart, as a share of the time that passes: what quartz does when nobody keeps it right."""
PROMETHEUS_NS = 1_000_000
"""Prometheus' `time()` is cut to milliseconds."""
ALERTS_PATH, QUERY_PATH = "/api/v1/alerts", "/api/v1/query?query=time()"


class Shown(NamedTuple):
    """What a clock showed, and how much it may have cut off."""

    wall_ns: int
    cut_ns: int


class Converter(NamedTuple):
    """Turns times of one clock into ours: add `offset_ns`; the result is right to `error_ns`."""

    source: str
    offset_ns: int
    error_ns: int


def asked_at(clock_url: str | None, active_url: str | None) -> str | None:
    """Where the monitoring's time is asked: where the target says, else beside Prometheus' alerts."""
    if clock_url is not None or active_url is None or not active_url.endswith(ALERTS_PATH):
        return clock_url
    return active_url.removesuffix(ALERTS_PATH) + QUERY_PATH


def shown(body: bytes) -> Shown | None:
    """Reads `{"wall_ns": ...}`, or Prometheus' answer to the query `time()`; None where it is neither."""
    try:
        told = json.loads(body)
        if "wall_ns" in told:
            return Shown(int(told["wall_ns"]), 1)
        return Shown(round(float(told["data"]["result"][1]) * 1000) * 1_000_000, PROMETHEUS_NS)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return None


def host_pair() -> ClockPair:
    """This host's wall clock, now."""
    at_ns, wall, error = clock_pair()
    return ClockPair(t_ns=at_ns, src="clocks", source=WALL, wall_ns=wall, error_ns=error)


def converter(pair: ClockPair, *, wall_ns: int) -> Converter:
    """By this pair, for times around `wall_ns` of its source."""
    drifted = round(abs(wall_ns - pair.wall_ns) * DRIFT) if pair.source != WALL else 0
    return Converter(pair.source, pair.t_ns - pair.wall_ns, pair.error_ns + drifted)


class SourceClock:
    """Keeps pairs of one source: a few at the start, then one every `EVERY_S`; `put` takes each for the history."""

    def __init__(self, source: str, url: str, *, put: Callable[[AnyEvent], None]) -> None:
        self.source = source
        self.url = url
        self.put = put
        self._pool = urllib3.PoolManager(maxsize=2)
        self._pairs: deque[ClockPair] = deque(maxlen=PAIRS_MAX)
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begins to ask, in a thread of its own."""
        threading.Thread(target=self._ask_on, daemon=True, name=f"clock-{self.source}").start()

    def stop(self) -> None:
        """Idempotent."""
        self._stop.set()

    def converter(self, wall_ns: int) -> Converter | None:
        """The best for times around `wall_ns` of this source; asks now where nothing is known yet. None: no answer ever."""
        if not self._pairs:
            self.ask()
        with self._lock:
            known = [converter(pair, wall_ns=wall_ns) for pair in self._pairs]
        return min(known, key=lambda one: one.error_ns, default=None)

    def ask(self) -> None:
        """One more pair, if the source answers."""
        before = now_ns()
        try:
            answer = ask(self._pool, "GET", self.url, timeout_s=TIMEOUT_S, bytes_max=BYTES_MAX)
        except NoAnswerError:
            return
        after = now_ns()
        seen = shown(answer.body) if answer.status == 200 else None
        if seen is not None:
            error = (after - before + 1) // 2 + seen.cut_ns
            middle = (before + after) // 2
            self._keep(ClockPair(t_ns=middle, src="clocks", source=self.source, wall_ns=seen.wall_ns, error_ns=error))

    def _keep(self, pair: ClockPair) -> None:
        with self._lock:
            set_anew = any(not _agree(old, pair) for old in self._pairs)
            if set_anew:
                self._pairs.clear()
            self._pairs.append(pair)
        if set_anew:
            words = f"the clock of {self.source} was set: times of it from before are converted as if by the new one"
            self.put(Note(t_ns=pair.t_ns, src="clocks", text=words))
        self.put(pair)

    def _ask_on(self) -> None:
        asked = 0
        while True:
            self.ask()
            asked += 1
            if self._stop.wait(FIRST_EVERY_S if asked < FIRST_PAIRS else EVERY_S):
                return


def _agree(one: ClockPair, other: ClockPair) -> bool:
    """Whether both can be of one clock that nobody set in between."""
    apart = abs((one.t_ns - one.wall_ns) - (other.t_ns - other.wall_ns))
    return apart <= one.error_ns + other.error_ns + round(abs(one.t_ns - other.t_ns) * DRIFT)
