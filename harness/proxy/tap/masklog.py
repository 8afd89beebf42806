"""Which records a tap really changed, by record id, in the order written: the receipt of the damage done.

Bounded: the oldest are dropped and counted, and a reader who was too slow learns how many it can't have.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

RECORDS_MAX = 200_000
PAGE_MAX = 10_000

MaskRecord = tuple[object, tuple[str, ...], int]


class MaskLog:
    def __init__(self, records_max: int = RECORDS_MAX) -> None:
        self._records: deque[MaskRecord] = deque()
        self._records_max = records_max
        self.dropped = 0
        self.written = 0

    def write(self, record_id: object, columns: tuple[str, ...], t_ns: int) -> None:
        if len(self._records) >= self._records_max:
            self._records.popleft()
            self.dropped += 1
        self._records.append((record_id, columns, t_ns))
        self.written += 1

    def take_over(self, other: MaskLog) -> None:
        """Writes what another log has. What that one had dropped is dropped here too, and with it all from before."""
        if other.dropped:
            self._records.clear()
            self.dropped = self.written = self.written + other.dropped
        for record in other._records:
            self.write(*record)

    def page(self, after: int, limit: int) -> dict[str, object]:
        """Records written behind the cursor `after` (0: from the beginning), oldest first."""
        start = min(max(after, self.dropped), self.written)
        stop = min(start + limit, self.written)
        picked = islice(self._records, start - self.dropped, stop - self.dropped)
        return {
            "records": [{"id": i, "columns": list(columns), "t_ns": t_ns} for i, columns, t_ns in picked],
            "next": stop,
            "dropped": self.dropped,
        }
