"""A message starts later: its head and all behind it wait. The order stays; those behind have waited meanwhile."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from harness.proxy.framing import Head
from harness.proxy.stage import Cancellable, Host, Item, Mark, Stage
from harness.proxy.tap.http import Asked, Place
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.requests import Draw, HitStage, RequestTap


class DelayTap(RequestTap):
    """`delay_ms`, more or less up to `jitter_ms`, drawn evenly for each message."""

    fault: ClassVar[str] = "delay_ms"

    def __init__(self, place: Place, draw: Draw, log: MaskLog, *, delay_ms: int, jitter_ms: int) -> None:
        super().__init__(place, draw, log)
        self._delay_ms = delay_ms
        self._jitter_ms = jitter_ms

    def stage(self, pipe: Host) -> Stage:
        return DelayStage(self, pipe)

    def delay_ns(self, ordinal: int, asked: Asked) -> int:
        spread = self._jitter_ms * (2 * self.fraction(ordinal, asked, "jitter") - 1) if self._jitter_ms else 0.0
        return max(0, int((self._delay_ms + spread) * 1_000_000))

    def shown_fault(self) -> dict[str, object]:
        return {"delay_ms": self._delay_ms, "jitter_ms": self._jitter_ms}


class DelayStage(HitStage):
    def __init__(self, tap: DelayTap, pipe: Host) -> None:
        super().__init__(tap, pipe)
        self._delay_tap = tap
        self._waiting: deque[tuple[int, Item]] = deque()
        self._due_ns = 0  # of the head that is about to pass
        self._release: Cancellable | None = None

    def strikes(self, head: Head) -> bool:
        if self.asked is not None:
            self._due_ns = self.host.now_ns() + self._delay_tap.delay_ns(self.host.ordinal, self.asked)
            self.done(self.asked)
        return False

    def give(self, item: Item) -> None:
        due_ns, self._due_ns = self._due_ns, 0
        if not self._waiting and due_ns <= self.host.now_ns():
            self.sink(item)
            return
        self._waiting.append((due_ns, item))
        self.held += 0 if isinstance(item, Mark) else len(item)
        if self._release is None:
            self._release = self.host.wake_at(due_ns, self._go_on)

    def _go_on(self) -> None:
        self._release = None
        while self._waiting:
            due_ns = self._waiting[0][0]
            if due_ns > self.host.now_ns():
                self._release = self.host.wake_at(due_ns, self._go_on)
                return
            self._give_first()

    def _give_first(self) -> None:
        _, item = self._waiting.popleft()
        self.held -= 0 if isinstance(item, Mark) else len(item)
        self.sink(item)

    def detach(self) -> None:
        self.framer.release()
        self._due_ns = 0
        while self._waiting:
            self._give_first()
        self.close()

    def close(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None
        super().close()
