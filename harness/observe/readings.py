"""Follows the record readings that a target declares, by cursor, and reads each to its end when told to.

A target may answer anything, or nothing: pages are bounded in size, number and time, a cursor only goes forward, and what is
no page is no reading.
"""

from __future__ import annotations

import json
from typing import Any

import urllib3

from harness.clock import now_ns
from harness.history.events import Records
from harness.observe.asking import NoAnswerError, ask
from harness.observe.config import ReadingConfig

LIMIT = 2_000
PAGES_MAX = 5
PAGES_TO_END_MAX = 50
TIMEOUT_S = 2.0
BODY_MAX = 32 << 20
CURSOR_MAX = 2**63 - 1


class Follower:
    """One reading's cursor. A reading that can't be read is silent: what is missing shows in the history by its absence.

    `at_end`: whether the last call came to where the target said that there was no more for now.
    """

    def __init__(self, config: ReadingConfig, pool: urllib3.PoolManager) -> None:
        self.config = config
        self.cursor = 0
        self.at_end = False
        self._pool = pool

    def read(self, *, to_end: bool = False) -> list[Records]:
        """What is new since the last call, in events of at most `LIMIT` records; a few pages, or all there are."""
        found: list[Records] = []
        self.at_end = False
        for _ in range(PAGES_TO_END_MAX if to_end else PAGES_MAX):
            began = now_ns()
            page = self._page()
            if page is None:
                break
            ended = now_ns()
            if page:
                name = self.config.name
                found.append(Records(t_ns=ended, res_ns=ended - began, src="reading", reading=name, records=page))
            if len(page) < LIMIT:
                self.at_end = True
                break
        return found

    def _page(self) -> list[dict[str, Any]] | None:
        """The next page; moves the cursor behind it. None: no answer, or none that is a page."""
        joint = "&" if "?" in self.config.url else "?"
        url = f"{self.config.url}{joint}after={self.cursor}&limit={LIMIT}"
        try:
            answer = ask(self._pool, "GET", url, timeout_s=TIMEOUT_S, bytes_max=BODY_MAX)
            told = json.loads(answer.body) if answer.status == 200 else None
        except (NoAnswerError, ValueError, RecursionError):
            return None
        if not isinstance(told, dict):
            return None
        records, after = told.get("records"), told.get("next")
        if not isinstance(records, list):
            return None
        if not records:
            return []
        if not isinstance(after, int) or not self.cursor < after <= CURSOR_MAX:
            return None
        self.cursor = after
        return [record for record in records if isinstance(record, dict)]
