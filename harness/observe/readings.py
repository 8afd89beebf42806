"""Follows the record readings that a target declares, by cursor, and reads each to its end when told to."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from harness.clock import now_ns
from harness.history.events import Records
from harness.observe.config import ReadingConfig

LIMIT = 2_000
PAGES_MAX = 50
TIMEOUT_S = 2.0
BODY_MAX = 32 << 20


class Follower:
    """One reading's cursor. A reading that can't be read is silent: what is missing shows in the history by its absence."""

    def __init__(self, config: ReadingConfig, pool: urllib3.PoolManager) -> None:
        self.config = config
        self.cursor = 0
        self._pool = pool

    def read(self) -> list[Records]:
        """What is new since the last call, in events of at most `LIMIT` records."""
        found: list[Records] = []
        for _ in range(PAGES_MAX):
            began = now_ns()
            page = self._page()
            if page is None or not page[0]:
                break
            ended = now_ns()
            found.append(
                Records(t_ns=ended, res_ns=ended - began, src="reading", reading=self.config.name, records=page[0])
            )
            if len(page[0]) < LIMIT:
                break
        return found

    def _page(self) -> tuple[list[dict[str, Any]], int] | None:
        joint = "&" if "?" in self.config.url else "?"
        url = f"{self.config.url}{joint}after={self.cursor}&limit={LIMIT}"
        try:
            response = self._pool.request("GET", url, timeout=urllib3.Timeout(total=TIMEOUT_S), retries=False)
            if response.status != 200 or len(response.data) > BODY_MAX:
                return None
            body = json.loads(response.data)
            records, after = body["records"], int(body["next"])
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError):
            return None
        self.cursor = after
        return [record for record in records if isinstance(record, dict)], after
