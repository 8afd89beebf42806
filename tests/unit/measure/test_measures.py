"""Onset intervals, bad-minutes, joins and distances."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.deficit import NS_PER_MINUTE, Offered, bad_minutes, minutes_each
from harness.measure.graph import hops
from harness.measure.join import Repayment, repayment
from harness.measure.onset import Interval, Look, first_present

MINUTE = NS_PER_MINUTE
EVEN = Offered((), nominal_per_s=50.0)


def test_an_onset_lies_between_the_start_of_the_last_reading_without_and_the_end_of_the_first_with() -> None:
    looks = [Look(5, 1, False), Look(20, 3, False), Look(30, 4, True)]
    assert first_present(looks, not_before_ns=10) == Interval(17, 30)


def test_an_onset_is_not_before_the_injection() -> None:
    assert first_present([Look(11, 9, False), Look(30, 4, True)], not_before_ns=10) == Interval(10, 30)


def test_an_unknown_reading_narrows_nothing() -> None:
    assert first_present([Look(12, 0, False), Look(20, 0, None), Look(30, 0, True)], not_before_ns=10) == Interval(
        12, 30
    )


def test_never_present_is_none() -> None:
    assert first_present([Look(5, 0, True), Look(12, 0, False), Look(20, 0, None)], not_before_ns=10) is None


def integral(samples: list[tuple[int, float]], to_ns: int, offered: Offered = EVEN) -> float:
    minutes = minutes_each([t_ns for t_ns, _ in samples], to_ns=to_ns, offered=offered)
    return bad_minutes([deficit for _, deficit in samples], minutes)


def test_a_minute_of_nothing_but_errors_is_one_bad_minute() -> None:
    assert integral([(0, 1.0)], MINUTE) == 1.0


def test_a_sample_stands_until_the_next_one() -> None:
    assert integral([(0, 0.5), (MINUTE, 0.0), (2 * MINUTE, 1.0)], 3 * MINUTE) == pytest.approx(1.5)


def test_nothing_counts_twice() -> None:
    assert integral([(0, 1.7)], MINUTE) == 1.0


def test_without_a_sample_there_is_no_bad_minute() -> None:
    assert integral([], MINUTE) == 0.0


def test_traffic_weighs_as_it_was_offered() -> None:
    half = Offered([(0, MINUTE, 25 * 60), (MINUTE, 2 * MINUTE, 50 * 60)], nominal_per_s=50.0)
    assert integral([(0, 1.0)], 2 * MINUTE, half) == pytest.approx(1.5)


def test_where_no_load_was_recorded_offered_is_nominal() -> None:
    gap = Offered([(0, MINUTE, 0), (2 * MINUTE, 3 * MINUTE, 0)], nominal_per_s=50.0)
    assert integral([(-MINUTE, 1.0)], 4 * MINUTE, gap) == pytest.approx(3.0)


def test_buckets_that_overlap_count_once() -> None:
    twice = Offered([(0, MINUTE, 3000), (0, MINUTE, 3000), (MINUTE // 2, 2 * MINUTE, 2250)], nominal_per_s=50.0)
    assert integral([(0, 1.0)], 2 * MINUTE, twice) == pytest.approx(1.5)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), max_size=30))
def test_a_sample_more_of_what_stood_already_changes_nothing(samples: list[tuple[int, float]]) -> None:
    samples = sorted(samples, key=lambda sample: sample[0])
    offered = Offered([(0, 10**5, 3), (10**5, 7 * 10**5, 90)], nominal_per_s=1e6)
    closer = [*samples, (samples[-1][0] + 5, samples[-1][1])] if samples else samples
    assert integral(closer, 10**6 + 9, offered) == pytest.approx(integral(samples, 10**6 + 9, offered), abs=1e-12)


def test_a_debt_is_repaid_by_the_damaged_records_themselves() -> None:
    assert repayment(["a", "b"], {"a": 3, "x": 1, "y": 2}) == Repayment(damaged=2, repaid=1, all_ns=None)
    assert repayment(["a", "b"], {"a": 3, "b": 9, "c": 12}) == Repayment(damaged=2, repaid=2, all_ns=9)
    assert repayment([], {"a": 3}).clear


def test_hops_go_either_way_and_stop_where_there_is_no_path() -> None:
    edges = [("a", "b"), ("c", "b"), ("x", "y")]
    assert [hops(edges, start=start, goals={"a"}) for start in ("a", "b", "c", "x", "unheard")] == [0, 1, 2, None, None]
