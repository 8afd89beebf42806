"""Delays what passes by `latency` ms, give or take up to `jitter` ms, and keeps its order.

The end of a stream is delayed as its bytes are. When the toxic is removed or shortened, what it holds is given on at
once, or at the time that it was given; nothing is dropped.
"""

from __future__ import annotations

from collections import deque

from harness import seeds
from harness.proxy.stage import Cancellable, Host, Item, Sink
from harness.proxy.toxic.attribute import Attribute, Settings

ATTRIBUTES = {"latency": Attribute(), "jitter": Attribute()}

MS = 1_000_000


class LatencyStage:
    sink: Sink

    def __init__(self, toxic: Settings, pipe: Host) -> None:
        self._toxic = toxic
        self._pipe = pipe
        self._waiting: deque[tuple[int, Item]] = deque()
        self._timer: Cancellable | None = None
        self._chunks = 0
        self._affected = False
        self.held = 0

    def feed(self, item: Item) -> None:
        now_ns = self._pipe.now_ns()
        due_ns = now_ns + self._delay_ns()
        self._chunks += 1
        self._waiting.append((due_ns, item))
        if isinstance(item, bytes):
            self.held += len(item)
            if due_ns > now_ns:
                self._toxic.affect(self._affected)
                self._affected = True
        self._arm()

    def _delay_ns(self) -> int:
        latency, jitter = self._toxic.attributes["latency"], self._toxic.attributes["jitter"]
        if jitter:
            draw = seeds.fraction(self._toxic.seed, "jitter", self._pipe.ordinal, self._chunks)
            return max(0, int((latency + (2 * draw - 1) * jitter) * MS))
        return latency * MS

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._pipe.wake_at(self._waiting[0][0], self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._give(self._pipe.now_ns())
        self._arm()

    def _give(self, until_ns: int | None) -> None:
        # From the front only: jitter must not reorder.
        while self._waiting and (until_ns is None or self._waiting[0][0] <= until_ns):
            item = self._waiting.popleft()[1]
            if isinstance(item, bytes):
                self.held -= len(item)
            self.sink(item)

    def updated(self) -> None:
        """Holds for what comes next; a shorter latency also shortens the wait of what is held."""
        latest_ns = self._pipe.now_ns() + (self._toxic.attributes["latency"] + self._toxic.attributes["jitter"]) * MS
        self._waiting = deque((min(due_ns, latest_ns), item) for due_ns, item in self._waiting)
        self.close()
        self._arm()

    def detach(self) -> None:
        self.close()
        self._give(None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
