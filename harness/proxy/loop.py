"""One thread that waits for sockets and for times, and nothing else.

`epoll.poll` rounds its time limit to whole milliseconds, which would cost a latency toxic its accuracy. The epoll
descriptor can itself be waited for by `select`, whose limit is exact; so the loop sleeps there until 100 us before the
next time is due, and asks without blocking for the rest. (A timerfd does the same, but Python has it since 3.13 only.)

Descriptors are closed at the end of a round: were they closed within it, a socket accepted in the same round could be
given the number of a closed one, and receive its events.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count
from typing import Protocol

EVENTS_PER_ROUND_MAX = 512
EARLY_NS = 100_000
SLEEP_S_MAX = 3600.0

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR


class Watcher(Protocol):
    """Whatever owns a descriptor: told which of READ, WRITE, GONE happened."""

    def on_event(self, events: int) -> None: ...


class Timer:
    """A call due at a time of the monotonic clock. Cancelled ones stay in the heap until due, and do nothing."""

    __slots__ = ("call", "due_ns")

    def __init__(self, due_ns: int, call: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """`watch`, `at` and `run`; all calls from its own thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._epoll_fd = [self._epoll.fileno()]
        self._watchers: dict[int, Watcher] = {}
        self._masks: dict[int, int] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._closing: list[socket.socket] = []
        self._stopped = False
        self.now_ns = time.monotonic_ns()

    def watch(self, sock: socket.socket, mask: int, watcher: Watcher) -> None:
        """Sets what is waited for on `sock`; mask 0 still reports GONE."""
        fd = sock.fileno()
        known = self._masks.get(fd)
        if known is None:
            self._epoll.register(fd, mask)
        elif known != mask:
            self._epoll.modify(fd, mask)
        self._masks[fd] = mask
        self._watchers[fd] = watcher

    def forget(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        if self._masks.pop(fd, None) is not None:
            self._watchers.pop(fd, None)
            self._epoll.unregister(fd)

    def close(self, sock: socket.socket) -> None:
        """Forgets `sock` now and closes it when this round is over."""
        self.forget(sock)
        self._closing.append(sock)

    def at(self, due_ns: int, call: Callable[[], None]) -> Timer:
        timer = Timer(due_ns, call)
        heapq.heappush(self._timers, (due_ns, next(self._order), timer))
        return timer

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Until `stop`. An exception in a watcher ends that watcher's round, is printed, and never the loop."""
        while not self._stopped:
            self._wait()
            events = self._epoll.poll(0, EVENTS_PER_ROUND_MAX) if self._timers else self._block()
            self.now_ns = time.monotonic_ns()
            for fd, what in events:
                watcher = self._watchers.get(fd)
                if watcher is not None:
                    self._guarded(watcher, what)
            self._fire()
            for sock in self._closing:
                sock.close()
            self._closing.clear()

    def _guarded(self, watcher: Watcher, what: int) -> None:
        try:
            watcher.on_event(what)
        except Exception:  # the boundary of the program: one connection's defect must not end all others
            traceback.print_exc(file=sys.stderr)
            abandon = getattr(watcher, "abandon", None)
            if abandon is not None:
                abandon()

    def _block(self) -> list[tuple[int, int]]:
        return self._epoll.poll(-1, EVENTS_PER_ROUND_MAX)

    def _wait(self) -> None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return
        left_ns = self._timers[0][0] - time.monotonic_ns() - EARLY_NS
        if left_ns > 0:
            select.select(self._epoll_fd, (), (), min(left_ns / 1e9, SLEEP_S_MAX))

    def _fire(self) -> None:
        for _ in range(len(self._timers)):  # those added meanwhile wait for the next round
            if not self._timers or self._timers[0][0] > self.now_ns:
                return
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                try:
                    call()
                except Exception:  # as in `_guarded`
                    traceback.print_exc(file=sys.stderr)


class Wake:
    """Turns a byte, written from a thread or by a signal, into a call from the loop."""

    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._call = call
        loop.watch(self._reader, READ, self)

    def on_signals(self, *numbers: int) -> None:
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _ignore)

    def wake(self) -> None:
        """From any thread."""
        self._writer.send(b"!")

    def close(self) -> None:
        self._loop.close(self._reader)
        self._writer.close()

    def on_event(self, events: int) -> None:
        del events
        try:
            os.read(self._reader.fileno(), 64)
        except BlockingIOError:
            return
        self._call()


def _ignore(number: int, frame: object) -> None:
    """The wake-up descriptor tells the loop; the handler only has to exist."""
    del number, frame
