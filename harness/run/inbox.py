"""The one queue of a live run: everything that happens enters here, stamped, and leaves in one order.

Bounded: a flood of bulk must not eat the memory of a process that has faults to heal. Bulk that finds the inbox full is
dropped and counted; replies and news are always taken in, since their number is bounded by what was asked,
or by who takes them in (the pager sink).
"""

from __future__ import annotations

import queue

from harness.history.events import AnyEvent, Gauges, LoadBucket, MaskRead, Records

INBOX_MAX = 5_000
DROPPABLE = (Gauges, LoadBucket, MaskRead, Records)


class Inbox:
    """Many threads put, the live driver takes.

    A `SimpleQueue`, because its `put` may be called from a signal handler that interrupted a `get`; the bound is kept
    here, by its size.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[AnyEvent] = queue.SimpleQueue()
        self.dropped = 0

    def put(self, event: AnyEvent) -> None:
        """Hands an event in; never blocks. Bulk that finds the inbox full is dropped, and counted."""
        if isinstance(event, DROPPABLE) and self._queue.qsize() >= INBOX_MAX:
            self.dropped += 1
            return
        self._queue.put(event)

    def take(self, timeout_s: float) -> AnyEvent | None:
        """The next event, or None when none came in time."""
        try:
            return self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None
