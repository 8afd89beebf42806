"""The live driver when what surrounds it fails: the view, and the disk."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.contract.words import EndReason, Phase
from harness.errors import NotWritableError
from harness.history.commands import Finish
from harness.history.events import CommandIssued, Gauges, Note, Started
from harness.run.inbox import INBOX_MAX, Inbox
from harness.run.live import LiveDriver


class Conductor:
    """Ends at the first event."""

    plan = SimpleNamespace(faults=())

    def start(self) -> Any:
        return SimpleNamespace(phase=Phase.SETUP)

    def step(self, state: Any, event: Any) -> tuple[Any, tuple[Finish, ...]]:
        return SimpleNamespace(phase=Phase.ENDED), (Finish(id="c1", reason=EndReason.BUDGET),)


class Writer:
    """Keeps what is appended, up to `room`."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.kept: list[Any] = []

    def append(self, event: Any) -> Any:
        if len(self.kept) >= self.room:
            raise NotWritableError("full")
        self.kept.append(event)
        return event

    def sync(self) -> None: ...


def driver(writer: Writer, *, view: Any = lambda *_: None, inbox: Inbox | None = None) -> LiveDriver:
    return LiveDriver(
        Conductor(),
        inbox=inbox or Inbox(),
        writer=writer,
        carrier=SimpleNamespace(),
        witnesses=SimpleNamespace(join=lambda _: None),
        faults=(),
        view=view,
    )


def test_a_view_that_throws_is_left_out_and_the_run_goes_on() -> None:
    """The terminal was closed: what nobody watches must still be healed."""

    def closed(*_: object) -> None:
        raise OSError(5, "Input/output error")

    writer = Writer()
    assert driver(writer, view=closed).run().reason is EndReason.BUDGET
    assert [type(event) for event in writer.kept] == [Started, CommandIssued, Note]


def test_a_history_that_cant_be_written_ends_the_driver() -> None:
    with pytest.raises(NotWritableError):
        driver(Writer(room=1)).run()


def test_bulk_that_came_too_fast_is_dropped_and_said() -> None:
    inbox, writer = Inbox(), Writer(room=2 * INBOX_MAX)
    for number in range(INBOX_MAX + 3):
        inbox.put(Gauges(t_ns=number, values={}))
    inbox.put(Started(t_ns=0))
    assert inbox.dropped == 3
    driver(writer, inbox=inbox).run()
    assert writer.kept[-1].data == {"dropped": 3}


def test_a_history_keeps_its_bulk_to_the_end() -> None:
    inbox, writer = Inbox(), Writer()
    inbox.put(Gauges(t_ns=1, values={}))
    driver(writer, inbox=inbox).run()
    assert [type(event) for event in writer.kept] == [Started, CommandIssued, Gauges]
