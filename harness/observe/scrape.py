"""Scrapes the target's gauges for the report's charts: a picture beside the measurement, never part of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import urllib3

from harness.clock import now_ns
from harness.history.events import AnyEvent, Gauges

EVERY_S = 1.0
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
        from prometheus_client.parser import text_string_to_metric_families

        while not self._stop.wait(EVERY_S):
            began = now_ns()
            try:
                response = self._pool.request("GET", self.url, timeout=urllib3.Timeout(total=1.0), retries=False)
                text = response.data.decode("utf-8", errors="replace")
                values: dict[str, float] = {}
                for family in text_string_to_metric_families(text):
                    if family.name not in self.names:
                        continue
                    for item in family.samples:
                        labels = ",".join(f"{k}={v}" for k, v in sorted(item.labels.items()))
                        if math.isfinite(item.value) and len(values) < SERIES_MAX:
                            values[f"{item.name}{{{labels}}}" if labels else item.name] = float(item.value)
            except (urllib3.exceptions.HTTPError, OSError, ValueError):
                continue
            ended = now_ns()
            self.put(Gauges(t_ns=ended, res_ns=ended - began, src="scrape", values=values))
