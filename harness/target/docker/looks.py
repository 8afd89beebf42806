"""A service as it looks from outside: its container's state, counters and readiness.

Withheld CPU shows as the share of the time in which the kernel held the container's threads back, between two readings at
least a third of a second apart. A container that wants no CPU isn't held back, whatever its limit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from harness.plugin import ProcessReading
from harness.target import http
from harness.target.docker import counters, life
from harness.target.docker.daemon import Daemon

READY_S = 0.5
SPAN_S_MIN, SPAN_S_MAX = 0.3, 1.0
SAMPLES_MAX = 32
STATES = {life.RUNNING: "running", life.PAUSED: "stopped", life.DOWN: "gone"}


class Throttling:
    """Remembers the last second of each container's counter. May be used from several threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def share(self, identity: str, throttled_ns: int) -> float:
        """The share of the time since the oldest reading of the last second, up to 1."""
        now = time.monotonic()
        with self._mutex:
            samples = self._samples.setdefault(identity, deque(maxlen=SAMPLES_MAX))
            samples.append((now, throttled_ns))
            while len(samples) > 2 and now - samples[1][0] >= SPAN_S_MIN and now - samples[0][0] > SPAN_S_MAX:
                samples.popleft()
            began, before = samples[0]
        if now - began < SPAN_S_MIN:
            return 0.0
        return round(min(1.0, max(0.0, (throttled_ns - before) / 1e9 / (now - began))), 6)


def look(
    daemon: Daemon, inspected: dict[str, Any], *, throttling: Throttling, memory_kills: int, ready_url: str | None
) -> ProcessReading:
    """Takes some 10 ms where the daemon is on this host."""
    state = life.state_of(inspected)
    identity = life.identity_of(inspected)
    image = str(inspected["Image"])
    if state == life.DOWN or not identity:
        return ProcessReading(state="gone", memory_kills=memory_kills, ready=False, image=image)
    if state == life.PAUSED:
        return ProcessReading(
            state="stopped",
            identity=identity,
            stopped_share=1.0,
            memory_kills=memory_kills,
            ready=False,
            image=image,
        )
    throttled, held = counters.read(daemon, inspected)
    return ProcessReading(
        state=STATES[state],
        identity=identity,
        stopped_share=throttling.share(identity, throttled),
        memory_bytes=held,
        memory_kills=memory_kills,
        ready=is_ready(inspected, ready_url),
        image=image,
    )


def is_ready(inspected: dict[str, Any], url: str | None) -> bool:
    """By its own answer where it has an address, else by its health check, else by running at all."""
    if url is not None:
        try:
            return 200 <= http.request("GET", url, timeout_s=READY_S).status < 300
        except (OSError, http.HTTP_PROBLEM):
            return False
    health = (inspected["State"].get("Health") or {}).get("Status", "none")
    return health in ("healthy", "none") and bool(inspected["State"].get("Running"))
