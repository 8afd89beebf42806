"""The keeper: whatever a round throws, the next is made; and what may have let a lease run out is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.errors import EnvironmentProblem
from harness.history.events import AnyEvent, Note, ObserverLost, ServiceExited
from harness.run import keeper
from harness.run.keeper import Keeper


class Target:
    """Counts its renewals; `fails` is raised instead while it is set."""

    def __init__(self) -> None:
        self.renewals = self.refusals = 0
        self.fails: Exception | None = None
        self.ended: list[tuple[int, str, str, int | None, bool]] = []
        self.spec = SimpleNamespace(services={"front": None})

    def renew(self) -> None:
        if self.fails is not None:
            self.refusals += 1
            raise self.fails
        self.renewals += 1

    def exits(self, *, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        if self.fails is not None:
            raise self.fails
        return self.ended[after:], len(self.ended)

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]:
        raise EnvironmentProblem("no log")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "EXITS_EVERY_S", 0.005)
    monkeypatch.setattr(keeper, "RENEW_EVERY_NS", 0)
    monkeypatch.setattr(keeper, "UNRENEWED_NS_MAX", 1 << 62)  # this process may itself stand still


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


@pytest.mark.parametrize("error", [EnvironmentProblem("gone"), ValueError("junk"), OSError("reset")], ids=repr)
def test_it_outlives_whatever_is_thrown(error: Exception, *, quick: None) -> None:
    target, events = Target(), list[AnyEvent]()
    kept = Keeper(target, put=events.append)
    kept.start()
    target.fails = error
    assert until(lambda: target.refusals > 5)
    target.fails = None
    before = target.renewals
    assert until(lambda: target.renewals > before + 2)
    kept.stop()
    assert [type(event) for event in events] == [Note, Note], "said once each, not every round"


def test_leases_that_may_have_run_out_are_a_loss(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "UNRENEWED_NS_MAX", 30_000_000)
    target, events = Target(), list[AnyEvent]()
    kept = Keeper(target, put=events.append)
    kept.start()
    target.fails = EnvironmentProblem("gone")
    assert until(lambda: any(isinstance(event, ObserverLost) for event in events))
    target.fails = None
    kept.stop()
    assert len([event for event in events if isinstance(event, ObserverLost)]) == 1


def test_the_end_of_an_instrument_is_a_loss_and_that_of_a_service_is_news(quick: None) -> None:
    target, events = Target(), list[AnyEvent]()
    target.ended = [(1, "front", "signal", 9, False)]
    kept = Keeper(target, put=events.append)
    kept.start()
    target.ended += [(2, "front", "signal", 9, True), (3, "front", "exit", 1, False)]
    assert until(lambda: len(events) == 2)
    assert not any(isinstance(event, ObserverLost) for event in events)
    target.ended += [(4, "@proxy", "signal", 9, True), (5, "@proxy", "signal", 9, False)]
    assert until(lambda: len(events) == 5)
    kept.stop()
    assert [event.t_ns for event in events if isinstance(event, ServiceExited)] == [2, 3, 4, 5]
    assert [event.observer for event in events if isinstance(event, ObserverLost)] == ["@proxy"]
