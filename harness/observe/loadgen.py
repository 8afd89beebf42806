"""The load generator: locust, open loop, in a process of its own (importing locust patches the interpreter).

Run as `python -m harness.observe.loadgen`, configuration on the first line of standard input. Requests are sent at their
scheduled times whether or not those before were answered, and latency counts from the scheduled time, so that a stalled
service can't slow down the clock that it is measured by. One bucket a second goes out as a line; the end of input ends it.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import importlib.util
import json
import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.pool
import msgspec
from gevent.fileobject import FileObjectThread
from locust import FastHttpUser, task
from locust.env import Environment

from harness.clock import now_ns
from harness.history.events import LoadBucket
from harness.observe.load import LoadConfig

IN_FLIGHT_MAX = 400
BUCKET_S = 1.0
FIRST_BUCKET_S = 0.1
"""The first says that load flows; whoever starts it needn't wait a whole second for that."""


class Buckets:
    """Counts of the present second. Only touched from greenlets of one thread."""

    def __init__(self) -> None:
        self.began = now_ns()
        self.scheduled = self.ok = self.failed = self.late = 0
        self.latencies: list[float] = []

    def take(self) -> LoadBucket:
        """The bucket up to now; begins the next."""
        ended = now_ns()
        values = sorted(self.latencies)

        def at(share: float) -> float:
            return round(values[min(len(values) - 1, int(share * len(values)))] * 1000, 3)

        quantiles = {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)} if values else {}
        bucket = LoadBucket(
            t_ns=ended,
            res_ns=ended - self.began,
            src="load",
            scheduled=self.scheduled,
            ok=self.ok,
            failed=self.failed,
            late=self.late,
            latency_ms=quantiles,
        )
        self.began = ended
        self.scheduled = self.ok = self.failed = self.late = 0
        self.latencies = []
        return bucket


BUCKETS = Buckets()
CONFIG: LoadConfig


class ScheduledUser(FastHttpUser):
    """One locust user that sends every request of the target's load file at its scheduled time."""

    network_timeout = 5.0
    connection_timeout = 2.0
    concurrency = IN_FLIGHT_MAX

    @task
    def offer(self) -> None:
        """Offers requests until stopped; a pool of greenlets carries them."""
        pool = gevent.pool.Pool(IN_FLIGHT_MAX)
        gaps = random.Random(CONFIG.seed)
        due = time.monotonic()
        for request in _requests():
            due += gaps.expovariate(CONFIG.rate)
            wait = due - time.monotonic()
            if wait > 0:
                gevent.sleep(wait)
            BUCKETS.scheduled += 1
            if pool.full():
                BUCKETS.failed += 1
                continue
            if wait < -0.05:
                BUCKETS.late += 1
            pool.spawn(self._send, request, due)

    def _send(self, request: dict[str, Any], due: float) -> None:
        body = request.get("body")
        with self.client.request(
            request["method"],
            request["path"],
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
            name=request["path"],
            catch_response=True,
        ) as response:
            ok = 200 <= (response.status_code or 0) < 300
            response.success()
        BUCKETS.latencies.append(time.monotonic() - due)
        if ok:
            BUCKETS.ok += 1
        else:
            BUCKETS.failed += 1


def _requests() -> Iterator[dict[str, Any]]:
    """Requests of the target's load file; where its source fails it is asked anew, so that load outlives an outage."""
    spec = importlib.util.spec_from_file_location("mldrill_load_file", CONFIG.file)
    assert spec is not None, "the file was found when the target file was read"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    while True:
        try:
            yield from module.requests(CONFIG.seed, urls=dict(CONFIG.urls))
        except Exception as error:  # the user's generator, or its source: say so, and try again soon
            print(f"load: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        gevent.sleep(0.2)


def main() -> None:
    """The process."""
    global CONFIG
    logging.getLogger("locust").setLevel(logging.ERROR)
    incoming = FileObjectThread(os.fdopen(os.dup(0), "rb"), "rb")
    CONFIG = msgspec.json.decode(incoming.readline(), type=LoadConfig)
    ScheduledUser.host = CONFIG.base_url
    environment = Environment(user_classes=[ScheduledUser])
    runner = environment.create_local_runner()
    BUCKETS.began = now_ns()
    runner.start(1, spawn_rate=1)

    def tell() -> None:
        pause_s = FIRST_BUCKET_S
        while True:
            gevent.sleep(pause_s)
            pause_s = BUCKET_S
            try:
                os.write(1, msgspec.json.encode(BUCKETS.take()) + b"\n")
            except OSError:
                os._exit(0)

    gevent.spawn(tell)
    while incoming.readline():
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
