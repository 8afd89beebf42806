"""Decision quality: the share of right decisions among the last n, decision log joined to the source's truth by id. Pure.

Only decisions whose truth is known count, newest first. None until half of n are joined, and where nothing new was decided for
a while: an old figure must not pass for a present one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from harness.observe.config import QualityConfig

STALE_NS = 5_000_000_000
TRUTH_MAX = 50_000


class QualityWindow:
    """Joins as records come in; either side may come first. Readings and samples use it from threads of their own."""

    def __init__(self, config: QualityConfig) -> None:
        self.config = config
        self._decided: deque[tuple[str, bool]] = deque(maxlen=config.last * 2)
        self._truth: OrderedDict[str, bool] = OrderedDict()
        self._newest_ns: int | None = None
        self._lock = threading.Lock()

    def take_decisions(self, records: Iterable[Mapping[str, Any]], now_ns: int) -> None:
        """Decisions as the target logged them; synthetic ones don't count."""
        config = self.config
        with self._lock:
            for record in records:
                if config.synthetic is not None and record.get(config.synthetic):
                    continue
                self._decided.append((str(record.get(config.id)), record.get(config.decision) == config.positive))
                self._newest_ns = now_ns

    def take_truth(self, records: Iterable[Mapping[str, Any]]) -> None:
        """The source's own truth."""
        with self._lock:
            for record in records:
                self._truth[str(record.get(self.config.id))] = record.get(self.config.label) == 1
            while len(self._truth) > TRUTH_MAX:
                self._truth.popitem(last=False)

    def value(self, now_ns: int) -> float | None:
        """The share of right decisions among the last n that can be judged; None where that would be no news."""
        with self._lock:
            return self._value(now_ns)

    def _value(self, now_ns: int) -> float | None:
        if self._newest_ns is None or now_ns - self._newest_ns > STALE_NS:
            return None
        right = known = 0
        for record, positive in reversed(self._decided):
            truth = self._truth.get(record)
            if truth is None:
                continue
            known += 1
            right += truth == positive
            if known == self.config.last:
                break
        return right / known if known >= self.config.last // 2 else None
