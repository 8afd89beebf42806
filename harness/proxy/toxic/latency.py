"""Delays what passes by `latency` ms, give or take up to `jitter` ms, and keeps its order.

The end of a stream is delayed as its bytes are. When the toxic is removed or shortened, what it holds is given on at
once, or at the time that it was given; nothing is dropped. Jitter is drawn for the place in the stream where a chunk
begins, or for the request or record.
"""

from __future__ import annotations

from collections import deque

from harness import seeds
from harness.proxy.stage import Host, Item
from harness.proxy.toxic.parts.base import NO_UNIT, BaseStage
from harness.proxy.toxic.parts.declaration import EACH, MS, Attribute, Declaration, Settings


class LatencyStage(BaseStage):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._waiting: deque[tuple[int, Item]] = deque()
        self._offset = 0

    def feed(self, item: Item) -> None:
        now_ns = self.pipe.now_ns()
        due_ns = now_ns + self._delay_ns()
        if isinstance(item, bytes):
            self._offset += len(item)
            if due_ns > now_ns:
                self.affect(len(item), unit=self.unit)
        self._hold(due_ns, item)

    def past(self, data: bytes) -> None:
        self._offset += len(data)
        if self._waiting:
            self._hold(self.pipe.now_ns(), data)
        else:
            self.sink(data)

    def _hold(self, due_ns: int, item: Item) -> None:
        self._waiting.append((due_ns, item))
        if isinstance(item, bytes):
            self.held += len(item)
        if self.timer is None:
            self._arm()

    def _delay_ns(self) -> int:
        latency, jitter = self.toxic.attributes["latency"], self.toxic.attributes["jitter"]
        if jitter > 0:
            place = self._offset if self.unit == NO_UNIT else self.unit
            draw = seeds.fraction(self.toxic.seed, "jitter", self.pipe.ordinal, place)
            return max(0, int((latency + (2 * draw - 1) * jitter) * MS))
        return max(0, latency * MS)

    def _arm(self) -> None:
        if self._waiting:
            self.timer = self.pipe.wake_at(self._waiting[0][0], self._wake)

    def _wake(self) -> None:
        self.timer = None
        self._give(self.pipe.now_ns())
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
        attributes = self.toxic.attributes
        most_ms = max(0, attributes["latency"]) + max(0, attributes["jitter"])
        latest_ns = self.pipe.now_ns() + most_ms * MS
        self._waiting = deque((min(due_ns, latest_ns), item) for due_ns, item in self._waiting)
        self.close()
        self._arm()

    def detach(self) -> None:
        self.close()
        self._give(None)


TOXIC = Declaration("latency", stage=LatencyStage, attributes={"latency": Attribute(), "jitter": Attribute()}, per=EACH)
