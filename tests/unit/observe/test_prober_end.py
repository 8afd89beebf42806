"""What the prober says of readings that it was told to read to their end."""

from __future__ import annotations

from typing import Any

import pytest

from harness.history.events import AnyEvent, Note, Records
from harness.observe.config import ProberConfig, ReadingConfig
from harness.observe.prober import Prober


class Shared:
    """A reading that others begin to read again as soon as they may: it is at its end only while nobody else can."""

    def __init__(self, prober: Prober, config: ReadingConfig, *, ends: bool) -> None:
        self.config = config
        self._prober, self._ends = prober, ends

    @property
    def at_end(self) -> bool:
        return self._ends and self._prober._reading[0].locked()

    def read(self, *, to_end: bool = False) -> list[Records]:
        return []


@pytest.mark.parametrize(("ends", "unread"), [(True, []), (False, ["jobs"])])
def test_a_reading_that_is_read_on_schedule_too_still_came_to_its_end(ends: bool, unread: list[str]) -> None:
    config = ReadingConfig(name="jobs", url="http://127.0.0.1:1/jobs", id="run", every_s=0.5)
    prober = Prober(ProberConfig(golden=None, readings=(config,), quality=None))
    prober._followers = [Shared(prober, config, ends=ends)]  # type: ignore[list-item]  # all of it that is used
    said: list[AnyEvent] = []
    prober.put = said.append  # type: ignore[method-assign]  # events go to the test, not to standard output
    prober._collect()
    notes: list[Any] = [event.data for event in said if isinstance(event, Note)]
    assert notes == [{"unread": unread}]
