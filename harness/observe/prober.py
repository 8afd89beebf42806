"""The prober: a process of its own, so that neither a busy harness nor its pauses become latency of the pipeline.

It reads its configuration from the first line of standard input, then writes one event a line on standard output. Further
lines of input are words: `collect` (read all readings to their end, then say so), and the end of input ends it: it dies
with the run that it observes for, however that died.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import urllib3

from harness.clock import now_ns
from harness.contract.undo import Json
from harness.contract.words import SliKind
from harness.history.events import AnyEvent, Note
from harness.history.lines import encode_line
from harness.observe.config import COLLECTED, ProberConfig
from harness.observe.golden import sample
from harness.observe.quality import QualityWindow
from harness.observe.readings import Follower

IN_FLIGHT_MAX = 4
"""Samples that may be under way at once: enough for answers that take as long as their time limit."""
COLLECT_S = 3.0
"""How long reading to the end may take; the run waits a second longer."""


class Prober:
    """Samples and readings, each in threads; one lock for standard output."""

    def __init__(self, config: ProberConfig) -> None:
        self.config = config
        self.quality = QualityWindow(config.quality) if config.quality is not None else None
        self._pool = urllib3.PoolManager(num_pools=16, maxsize=64, block=False)
        self._followers = [Follower(reading, self._pool) for reading in config.readings]
        self._reading = [threading.Lock() for _ in self._followers]
        self._writing = threading.Lock()
        self._samples = threading.BoundedSemaphore(IN_FLIGHT_MAX)
        self._ended = threading.Event()

    def serve(self) -> None:
        """Until standard input ends."""
        threads = [self._every(follower.config.every_s, self._follow, i) for i, follower in enumerate(self._followers)]
        if self.config.golden is not None:
            requests = len(self.config.golden.requests)
            self._senders = ThreadPoolExecutor(max_workers=requests * IN_FLIGHT_MAX)
            threads.append(self._every(self.config.golden.every_s, self._start_sample, 0))
        for thread in threads:
            thread.start()
        self.put(Note(t_ns=now_ns(), src="prober", text="observing"))
        for line in sys.stdin:
            if line.strip() == "collect":
                self._collect()
        self._ended.set()

    def _collect(self) -> None:
        """Every reading to its end, side by side: one that isn't answered keeps no other waiting. Names those it couldn't."""
        ended: dict[int, bool] = {}  # as this reading found it: the regular one may be in the middle of its next look

        def to_end(index: int) -> None:
            ended[index] = self._follow(index, to_end=True)

        threads = [self._thread(to_end, index) for index in range(len(self._followers))]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + COLLECT_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        unread: list[Json] = [
            follower.config.name for index, follower in enumerate(self._followers) if not ended.get(index, False)
        ]
        self.put(Note(t_ns=now_ns(), src="prober", text=COLLECTED, data={"unread": unread}))

    def put(self, event: AnyEvent) -> None:
        """One event a line; when nobody reads any more, the process ends. What can't be written is said, not passed over."""
        try:
            line = encode_line(event)
        except (RecursionError, TypeError, ValueError) as error:
            words = f"an event of {event.src} can't be written: {type(error).__name__}"
            line = encode_line(Note(t_ns=event.t_ns, src="prober", text=words))
        with self._writing:
            try:
                _write_all(line)
            except OSError:
                os._exit(0)

    def _every(self, every_s: float, do: Callable[[int], object], argument: int) -> threading.Thread:
        def on_schedule() -> None:
            due = time.monotonic()
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                do(argument)
                due = max(due + every_s, time.monotonic())

        return self._thread(on_schedule)

    def _thread(self, do: Callable[..., None], *arguments: object) -> threading.Thread:
        """A thread whose defect ends the process: an observer that goes silent must be missed, not taken for a quiet world."""

        def loudly() -> None:
            try:
                do(*arguments)
            except BaseException:
                traceback.print_exc()
                os._exit(1)

        return threading.Thread(target=loudly, daemon=True)

    def _start_sample(self, _: int) -> None:
        """Begins a sample at its scheduled time, whether or not those before have ended."""
        if self._samples.acquire(blocking=False):
            self._thread(self._sample).start()

    def _sample(self) -> None:
        assert self.config.golden is not None, "only begun where there are golden requests"
        try:
            taken = sample(self._pool, self.config.golden, self._senders)
        finally:
            self._samples.release()
        if self.quality is not None:
            value = self.quality.value(taken.t_ns)
            taken = msgspec.structs.replace(taken, values={**taken.values, SliKind.DECISION_QUALITY: value})
        self.put(taken)

    def _follow(self, index: int, *, to_end: bool = False) -> bool:
        """Whether it was read to where there was no more."""
        follower = self._followers[index]
        with self._reading[index]:
            found = follower.read(to_end=to_end)
            at_end = follower.at_end
        for event in found:
            if self.quality is not None and event.reading == self.quality.config.truth:
                self.quality.take_truth(event.records)
            if self.quality is not None and event.reading == self.quality.config.decisions:
                self.quality.take_decisions(event.records, event.t_ns)
            self.put(event)
        return at_end


def _write_all(line: bytes) -> None:
    done = 0
    while done < len(line):
        done += os.write(1, line[done:])


def main() -> None:
    """The process."""
    config = msgspec.json.decode(sys.stdin.readline(), type=ProberConfig)
    Prober(config).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
