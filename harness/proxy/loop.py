"""One thread that waits for sockets and for times, and nothing else.

Whoever moves little is served before whoever moves much: sockets in bulk are watched by a second epoll, which the first
one watches, and one of them gets its turn per round. (With all in one, a ping beside 50 bulk connections waited until
each had moved its mebibyte, 50 to 180 ms. Rejected: a thread for bulk, which does the same at the price of state shared
between threads.) The kernel moves a reported socket to the end of its list, so that those in bulk take turns; and the
turns are shorter (`alone` is false) for a while after anyone else was served, who would else wait for a whole one.

`epoll.poll` rounds its time limit to whole milliseconds, which would cost a latency toxic its accuracy. The epoll
descriptor can itself be waited for by `select`, whose limit is exact; so the loop sleeps there until 100 us before the
next time is due, and asks without blocking for the rest. (A timerfd does the same, but Python has it since 3.13 only.)

Before it blocks, the loop asks without blocking for `spin_ns` more: an answer that comes soon is then taken without the
cost of falling asleep and being woken, which on a virtual machine is most of a round trip.

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
BESIDE_TURNS = 64
"""So many turns in bulk are short after somebody who moves little was served."""
EARLY_NS = 100_000
COARSE_NS = 3_000_000
"""So long before a time is due, whole milliseconds are exact enough."""
FIRE_NS_MAX = 2_000_000
"""So long do times that are due keep sockets waiting."""
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

    def __init__(self, *, spin_ns: int = 0) -> None:
        self._epoll = select.epoll()
        self._epoll_fd = [self._epoll.fileno()]
        self._bulk = select.epoll()
        self._bulk_fd = self._bulk.fileno()
        self._epoll.register(self._bulk_fd, READ)
        self._in_bulk: set[int] = set()
        self._short_turns = 0
        self.alone = True
        self._watchers: dict[int, Watcher] = {}
        self._masks: dict[int, int] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._closing: list[socket.socket] = []
        self._stopped = False
        self._spin_ns = spin_ns
        self.now_ns = time.monotonic_ns()

    def watch(self, sock: socket.socket, mask: int, watcher: Watcher, *, bulk: bool = False) -> None:
        """Sets what is waited for on `sock`; mask 0 still reports GONE. In `bulk` it takes turns with others there."""
        fd = sock.fileno()
        known = self._masks.get(fd)
        if known is not None and bulk is not (fd in self._in_bulk):
            self._epoll_of(fd).unregister(fd)
            known = None
        if known is None:
            (self._in_bulk.add if bulk else self._in_bulk.discard)(fd)
            self._epoll_of(fd).register(fd, mask)
        elif known != mask:
            self._epoll_of(fd).modify(fd, mask)
        self._masks[fd] = mask
        self._watchers[fd] = watcher

    def _epoll_of(self, fd: int) -> select.epoll:
        return self._bulk if fd in self._in_bulk else self._epoll

    def forget(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        if self._masks.pop(fd, None) is not None:
            self._watchers.pop(fd, None)
            self._epoll_of(fd).unregister(fd)
            self._in_bulk.discard(fd)

    def close(self, sock: socket.socket) -> None:
        """Forgets `sock` now and closes it when this round is over, which also takes it out of its epoll."""
        fd = sock.fileno()
        self._masks.pop(fd, None)
        self._watchers.pop(fd, None)
        self._in_bulk.discard(fd)
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
            events = self._wait()
            self.now_ns = time.monotonic_ns()
            bulk = False
            for fd, what in events:
                watcher = self._watchers.get(fd)
                if watcher is not None:
                    self.alone = False
                    self._short_turns = BESIDE_TURNS
                    self._guarded(watcher, what)
                elif fd == self._bulk_fd:
                    bulk = True
            if bulk:
                self._bulk_turn()
            if self._timers:
                self._fire()
            if self._closing:
                self._close_all()

    def _bulk_turn(self) -> None:
        self._short_turns -= 1
        self.alone = self._short_turns <= 0
        for fd, what in self._bulk.poll(0, 1):
            watcher = self._watchers.get(fd)
            if watcher is not None:
                self.now_ns = time.monotonic_ns()
                self._guarded(watcher, what)

    def _close_all(self) -> None:
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

    def _wait(self) -> list[tuple[int, int]]:
        """What happened; nothing when a time is due, or soon will be."""
        if self._spin_ns:
            events = self._spin()
            if events:
                return events
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return self._epoll.poll(-1, EVENTS_PER_ROUND_MAX)
        left_ns = self._timers[0][0] - time.monotonic_ns()
        if left_ns > COARSE_NS:
            return self._epoll.poll(min((left_ns - COARSE_NS) / 1e9, SLEEP_S_MAX), EVENTS_PER_ROUND_MAX)
        if left_ns > EARLY_NS:
            select.select(self._epoll_fd, (), (), (left_ns - EARLY_NS) / 1e9)
        return self._epoll.poll(0, EVENTS_PER_ROUND_MAX)

    def _spin(self) -> list[tuple[int, int]]:
        poll, clock = self._epoll.poll, time.monotonic_ns
        until_ns = clock() + self._spin_ns
        if self._timers:
            until_ns = min(until_ns, self._timers[0][0])
        while True:
            events = poll(0, EVENTS_PER_ROUND_MAX)
            if events or clock() >= until_ns:
                return events

    def _fire(self) -> None:
        now_ns = time.monotonic_ns()
        until_ns = now_ns + FIRE_NS_MAX
        for _ in range(len(self._timers)):  # those added meanwhile wait for the next round
            if not self._timers or self._timers[0][0] > self.now_ns or now_ns > until_ns:
                return
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                try:
                    call()
                except Exception:  # as in `_guarded`
                    traceback.print_exc(file=sys.stderr)
                now_ns = time.monotonic_ns()


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
