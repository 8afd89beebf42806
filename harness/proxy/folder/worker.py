"""One thread that does folder links' work, job by job in the order given, and tells the loop of each that is done.

A thread and not the loop: reading and writing files blocks, and no epoll can help it. What goes in and comes out are
frozen messages; what a job works on belongs to the job.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from harness.proxy.loop import Loop, Wake

Result = TypeVar("Result")


class Worker:
    """`submit` is called, and `done` is called back, on the loop's thread. The thread starts with the first job.

    Each folder link has at most one job here, so that the queues are bounded by the number of links.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()
        self._finished: deque[Callable[[], None]] = deque()
        self._wake: Wake | None = None

    def submit(self, job: Callable[[], Result], done: Callable[[Result], None]) -> None:
        if self._wake is None:
            self._wake = Wake(self._loop, self._collect)
            threading.Thread(target=self._work, args=(self._wake,), daemon=True, name="folders").start()

        def run() -> Callable[[], None]:
            result = job()
            return lambda: done(result)

        self._jobs.put(run)

    def _work(self, wake: Wake) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._finished.append(job())
            except Exception:  # one link's defect must not end the others' work; that link stands still, and is told
                traceback.print_exc(file=sys.stderr)
                continue
            wake.wake()

    def _collect(self) -> None:
        for _ in range(len(self._finished)):
            self._finished.popleft()()
