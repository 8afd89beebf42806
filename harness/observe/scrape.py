"""Scrapes the target's gauges for the report's charts: a picture beside the measurement, never part of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import urllib3

from harness.clock import now_ns
from harness.history.events import AnyEvent, Gauges
from harness.observe.asking import NoAnswerError, ask

EVERY_S = 1.0
TIMEOUT_S = 1.0
PAGE_BYTES_MAX = 4 << 20
SERIES_MAX = 64


class Scraper:
    """A thread that reads one Prometheus text page and keeps the gauges whose names are wanted."""

    def __init__(self, url: str, names: tuple[str, ...], *, put: Callable[[AnyEvent], None]) -> None:
        self.url = url
        self.names = frozenset(names)
        self.put = put
        self._pool = urllib3.PoolManager(maxsize=1)
        self._stop = threading.Event()

    def start(self) -> None:
        """Begins."""
        threading.Thread(target=self._scrape_on, daemon=True, name="scrape").start()

    def stop(self) -> None:
        """Idempotent."""
        self._stop.set()

    def _scrape_on(self) -> None:
        while not self._stop.wait(EVERY_S):
            began = now_ns()
            try:
                answer = ask(self._pool, "GET", self.url, timeout_s=TIMEOUT_S, bytes_max=PAGE_BYTES_MAX)
            except NoAnswerError:
                continue
            ended = now_ns()
            values = wanted(answer.body.decode("utf-8", errors="replace"), self.names)
            self.put(Gauges(t_ns=ended, res_ns=ended - began, src="scrape", values=values))


def wanted(page: str, names: frozenset[str]) -> dict[str, float]:
    """The wanted gauges of a Prometheus text page; none where it is no such page."""
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(page):
            if family.name not in names:
                continue
            for item in family.samples:
                labels = ",".join(f"{k}={v}" for k, v in sorted(item.labels.items()))
                if math.isfinite(item.value) and len(values) < SERIES_MAX:
                    values[f"{item.name}{{{labels}}}" if labels else item.name] = float(item.value)
    except Exception:  # whatever the parser makes of junk: it is a picture, and the next page may be one
        return {}
    return values
