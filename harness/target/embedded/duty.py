"""Withholds CPU from one service: stop and continue its process group in a fixed rhythm.

A duty cycle on the victim alone, because a burner beside it would starve the instrument with its subject, and
cgroup quotas need rights. The period is short against a request's time limit and long against the kernel's tick.
Always true: when the cycle ends, the group has been continued (unless it is paused for another reason, which the
owner knows).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PERIOD_S = 0.1


class Duty:
    """The rhythm of one service. `stop` and `go` signal the group; they must bear being called when nothing runs."""

    def __init__(self, *, stop: Callable[[], None], go: Callable[[], None]) -> None:
        self._stop, self._go = stop, go
        self._share = 1.0
        self._next: asyncio.TimerHandle | None = None
        self._due = 0.0

    def set(self, share: float | None) -> None:
        """The share of the time that the group may run; None: all of it."""
        self._share = 1.0 if share is None else share
        if self._share >= 1.0:
            self._cancel()
        elif self._next is None:
            self._due = asyncio.get_running_loop().time()
            self._halt()

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
            self._go()

    def _halt(self) -> None:
        self._stop()
        self._in(PERIOD_S * (1.0 - self._share), self._proceed)

    def _proceed(self) -> None:
        self._go()
        self._in(PERIOD_S * self._share, self._halt)

    def _in(self, seconds: float, then: Callable[[], None]) -> None:
        """Counts from when the last change was due, so that lateness doesn't add up, but never tries to catch up."""
        loop = asyncio.get_running_loop()
        self._due = max(self._due + seconds, loop.time())
        self._next = loop.call_at(self._due, then)
