"""The loop's order: whoever moves little first, then one of those in bulk, each in its turn."""

from __future__ import annotations

import socket
from collections import Counter
from itertools import pairwise

import pytest

from harness.proxy.loop import READ, Loop

ROUNDS = 60
RUN_NS_MAX = 10_000_000_000


class Always:
    """Has something to read in every round, since it never reads it."""

    def __init__(self, loop: Loop, name: str, told: list[str], *, bulk: bool) -> None:
        self.near, self.far = socket.socketpair()
        self.near.send(b"!")
        self._loop, self._name, self._told = loop, name, told
        loop.watch(self.far, READ, self, bulk=bulk)

    def on_event(self, events: int) -> None:
        del events
        self._told.append(self._name)
        if len(self._told) >= ROUNDS:
            self._loop.stop()

    def close(self) -> None:
        self._loop.close(self.far)
        self.near.close()


@pytest.fixture(params=[0, 50_000], ids=["sleeps", "polls"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """It ends by itself, should nothing happen in it."""
    made = Loop(spin_ns=request.param)
    made.at(made.now_ns + RUN_NS_MAX, made.stop)
    return made


def test_bulk_gets_one_turn_for_each_of_the_others(loop: Loop) -> None:
    told: list[str] = []
    all_of_them = [Always(loop, "bulk", told, bulk=True) for _ in range(10)]
    all_of_them.append(Always(loop, "small", told, bulk=False))
    loop.run()
    assert not any(one == other == "bulk" for one, other in pairwise(told))
    assert not any(one == other == "small" for one, other in pairwise(told))
    for each in all_of_them:
        each.close()


def test_those_in_bulk_take_turns(loop: Loop) -> None:
    told: list[str] = []
    all_of_them = [Always(loop, str(n), told, bulk=True) for n in range(6)]
    loop.run()
    assert set(Counter(told).values()) == {ROUNDS // 6}
    for each in all_of_them:
        each.close()


def test_who_changes_over_is_watched_once(loop: Loop) -> None:
    told: list[str] = []
    one = Always(loop, "one", told, bulk=True)
    other = Always(loop, "other", told, bulk=False)
    loop.watch(one.far, READ, one, bulk=False)
    loop.watch(other.far, READ, other, bulk=True)
    loop.run()
    assert Counter(told) == {"one": ROUNDS // 2, "other": ROUNDS // 2}
    loop.forget(one.far)
    loop.forget(other.far)
    loop.at(0, loop.stop)
    loop.run()
    assert len(told) == ROUNDS
    one.near.close()
    other.near.close()


def test_times_are_kept_in_order_while_sockets_are_busy(loop: Loop) -> None:
    told: list[str] = []
    busy = Always(loop, "busy", told, bulk=True)
    due: list[int] = []
    for n in (3, 1, 2):
        loop.at(loop.now_ns + n, lambda n=n: due.append(n))
    loop.run()
    assert due == [1, 2, 3]
    busy.close()
