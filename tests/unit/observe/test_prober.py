"""Reading to the end: what a regular look does meanwhile is none of its business."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from harness.history.events import AnyEvent, Note
from harness.observe.config import ProberConfig, ReadingConfig
from harness.observe.prober import Prober


class Looked:
    """A follower that is at its end only for whoever has read it there; for others it is in the middle of a look."""

    def __init__(self, config: ReadingConfig, *, ends: bool) -> None:
        self.config = config
        self._ends = ends
        self._reader: int | None = None

    @property
    def at_end(self) -> bool:
        return self._ends and self._reader == threading.get_ident()

    def read(self, *, to_end: bool = False) -> list[Any]:
        self._reader = threading.get_ident() if to_end else None
        return []


def test_a_reading_that_is_looked_at_again_was_read_to_its_end_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[AnyEvent] = []
    prober = Prober(ProberConfig(golden=None, readings=(), quality=None))
    configs = [ReadingConfig(name, url="http://127.0.0.1:1", id="id", every_s=1.0) for name in ("rows", "broken")]
    prober._followers = [Looked(config, ends=config.name == "rows") for config in configs]  # type: ignore[misc]  # stand-ins
    prober._reading = [threading.Lock() for _ in configs]
    monkeypatch.setattr(prober, "put", said.append)
    prober._collect()
    assert [event.data for event in said if isinstance(event, Note)] == [{"unread": ["broken"]}]
