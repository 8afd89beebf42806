"""What every toxic's stage has: its toxic, the pipe it stands in, the counting. By itself it lets all pass."""

from __future__ import annotations

from harness.proxy.stage import Cancellable, Host, Item, Sink
from harness.proxy.toxic.parts.declaration import Settings

NO_UNIT = -1


class BaseStage:
    """`feed` is what a toxic is about. A toxic that holds bytes says how many (`held`), and gives them on in `detach`."""

    sink: Sink

    def __init__(self, toxic: Settings, pipe: Host) -> None:
        self.toxic = toxic
        self.pipe = pipe
        self.held = 0
        self.unit = NO_UNIT
        self.timer: Cancellable | None = None
        self._affected = False
        self._unit_affected = NO_UNIT

    def feed(self, item: Item) -> None:
        self.sink(item)

    def past(self, data: bytes) -> None:
        self.sink(data)

    def affect(self, size: int, *, unit: int = NO_UNIT, chunks: int = 1) -> None:
        """Counts `size` bytes in `chunks` chunks as affected, and their connection and unit when they are the first."""
        counts = self.toxic.counts
        counts.chunks += chunks
        counts.bytes += size
        if not self._affected:
            self._affected = True
            counts.connections += 1
        if unit > self._unit_affected:
            self._unit_affected = unit
            counts.units += 1

    @property
    def affected(self) -> bool:
        return self._affected

    def updated(self) -> None:
        """The attributes are read when they are needed."""

    def detach(self) -> None:
        self.close()

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
