"""From when on a client's amounts are in another unit, as the monitor tells who must clean up."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline import training
from pipeline.model import train
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.reference import Reference, make_reference
from pipeline.monitor.turning import RUN_ROWS, SHIFTED_DECADES, SINCE, Turn
from pipeline.monitor.windows import RowWindow
from pipeline.world import World

SEED = 11
WORLD = World(SEED)
DAMAGED_FROM = 3_000
MOVED = 2.0


@pytest.fixture(scope="module")
def reference() -> Reference:
    base = training.baseline(WORLD)
    return make_reference(WORLD, train(base.rows, base.labels, seed=SEED))


def turned(*amounts: float, first_t: float = 100.0) -> Turn:
    turn = Turn()
    for i, amount in enumerate(amounts):
        turn.add(amount, median=10.0, t=first_t + i)
    return turn


def test_it_began_after_the_last_amount_that_was_surely_good() -> None:
    assert turned(5.0, 30.0, 5.0, 30.0, *[900.0] * RUN_ROWS).told(MOVED) == 102.0  # 30 may be one of the wrong ones
    assert turned(50.0, 3.0, 50.0, *[0.1] * RUN_ROWS).told(MOVED) == 102.0  # too small ones likewise


def test_amounts_that_go_to_and_fro_have_no_beginning() -> None:
    assert turned(*[5.0, *[900.0] * (RUN_ROWS - 1)] * 5).told(MOVED) is None


def test_what_began_before_anything_was_seen_has_no_beginning() -> None:
    assert turned(*[900.0] * 50).told(MOVED) is None
    unknown = Turn()
    unknown.add(5.0, median=10.0, t=math.nan)
    for i in range(RUN_ROWS):
        unknown.add(900.0, median=10.0, t=100.0 + i)
    assert unknown.told(MOVED) is None


def test_a_long_run_alone_is_no_beginning_and_unreadable_amounts_are_no_turn() -> None:
    turn = turned(5.0, *[900.0] * 5, math.nan, *[900.0] * RUN_ROWS)
    assert turn.told(SHIFTED_DECADES) is None
    assert turn.told(MOVED) == 100.0


def test_once_told_it_stays_until_the_median_is_back() -> None:
    turn = turned(5.0, *[900.0] * RUN_ROWS)
    assert turn.told(MOVED) == 100.0
    for i in range(RUN_ROWS):
        turn.add(5.0, median=10.0, t=191.0 + i)
    assert turn.told(MOVED) == 100.0
    assert turn.told(0.5) is None
    for i in range(RUN_ROWS):
        turn.add(900.0, median=10.0, t=201.0 + i)
    assert turn.told(MOVED) == 200.0  # another time is another beginning


def test_the_clean_history_before_the_first_row_is_no_good_row_of_today(reference: Reference) -> None:
    window, gauges = RowWindow(reference), Gauges()
    for transaction in WORLD.transactions(0, 1_000):
        window.add({"transaction": transaction | {"event_time": 1.8e9, "amount": transaction["amount"] * 1e6}})
    window.publish(gauges)
    assert (gauges.value("monitor_client_amount_shift_decades", client="client-f") or 0.0) > 1.6
    assert SINCE not in gauges.reading()


def test_of_the_smallest_client_the_window_holds_every_wrong_row_and_hardly_a_good_one(reference: Reference) -> None:
    window, gauges = RowWindow(reference), Gauges()
    good: list[float] = []
    wrong: list[float] = []
    for i, transaction in enumerate(WORLD.transactions(DAMAGED_FROM - 1_000, 2_000)):
        row: dict[str, Any] = transaction | {"event_time": 1.8e9 + i / 50}
        if row["client_id"] == "client-f":
            damaged = i >= 1_000
            row["amount"] *= 100 if damaged else 1
            (wrong if damaged else good).append(row["event_time"])
        window.add({"transaction": row, "features": [], "score": 0.1})
        if i % 25 == 24:
            window.publish(gauges)
            if (gauges.value("monitor_client_amount_shift_decades", client="client-f") or 0.0) > 1.6:
                break
    found = gauges.reading()[SINCE]
    since = found[(("client", "client-f"),)]
    assert list(found) == [(("client", "client-f"),)]
    assert since < wrong[0] < 1.8e9 + i / 50 - 5.0  # five seconds and more before anybody knew
    assert 1 <= sum(t >= since for t in good) <= 3
