"""Record readings of a target: pages of a declared `GET url?after=<cursor>&limit=<n>`.

Always true: an answer of another shape is an error with its words, never an empty page, because no data is no good
news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import ReadingSpec
from harness.target import http
from harness.target.interpolate import fill_url

READ_S_MAX = 5.0
PAGES_MAX = 200
Records = list[dict[str, Any]]
Page = Callable[[str, int], tuple[Records, int]]


def read(
    readings: Mapping[str, ReadingSpec], name: str, names: Mapping[str, Json], *, after: int, limit: int
) -> tuple[Records, int]:
    """Records after the cursor, oldest first, and the next cursor. Raises `EnvironmentProblem`, `UsageError`."""
    if name not in readings:
        raise UsageError(f"unknown reading '{name}'. Known: {', '.join(sorted(readings)) or 'none'}")
    url = fill_url(readings[name].http, names, where=f"readings.{name}")
    joint = "&" if "?" in url else "?"
    answer = http.ask("GET", f"{url}{joint}after={after}&limit={limit}", timeout_s=READ_S_MAX)
    match answer:
        case {"records": list(records), "next": int(cursor)} if all(isinstance(record, dict) for record in records):
            return records, cursor
    raise EnvironmentProblem(f"reading '{name}': GET {url} gave no {{records, next}}: {str(answer)[: http.SHOWN_MAX]}")


def standing(page: Page, name: str, *, id_field: str, released: str) -> int:
    """How many records a quarantine reading holds now: those listed and not released since."""
    held: set[Any] = set()
    after = 0
    for _ in range(PAGES_MAX):
        records, cursor = page(name, after)
        for record in records:
            (held.discard if record.get(released) else held.add)(record.get(id_field))
        if cursor == after or not records:
            break
        after = cursor
    return len(held)
