"""The folds that decide, and their twin for long series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.measure.folds import Hold, KofM, Stop, onset


def held(series: list[tuple[int, bool | None]], *, hold: int, gap: int | None = None) -> Hold:
    fold = Hold(hold, gap_ns=gap)
    for t_ns, true in series:
        fold = fold.step(t_ns, true)
    return fold


def test_onset_is_the_first_bad_sample_of_the_window_that_decided() -> None:
    assert onset([(1, True), (2, False), (3, False), (4, True), (5, False), (6, True), (7, True)]) == 4


def test_two_bad_samples_of_five_are_no_onset() -> None:
    assert onset([(t, t % 5 < 2) for t in range(50)]) is None


def test_missing_values_stand_outside_the_window() -> None:
    assert onset([(1, True), (2, None), (3, None), (4, None), (5, True), (6, True)]) == 1


@given(st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_the_twin_finds_what_the_steps_find(bad: list[bool | None]) -> None:
    fold = KofM()
    for t_ns, was_bad in enumerate(bad):
        fold = fold.step(t_ns, was_bad)
    assert onset(enumerate(bad)) == fold.onset_ns


def test_a_hold_is_stamped_at_its_start() -> None:
    assert held([(0, False), (2, True), (4, True), (5, True)], hold=3).held_ns == 2


def test_one_lucky_sample_does_not_hold() -> None:
    assert held([(0, False), (5, True), (6, False), (9, True)], hold=3).held_ns is None


def test_what_is_not_known_breaks_a_hold() -> None:
    assert held([(0, True), (2, None), (4, True)], hold=3).held_ns is None


def test_a_relapse_takes_the_recovery_back_and_is_counted() -> None:
    fold = held([(0, True), (3, True), (4, False), (5, True)], hold=3)
    assert (fold.held_ns, fold.since_ns, fold.relapses) == (None, 5, 1)


def test_silence_breaks_a_hold_where_a_gap_is_given() -> None:
    series: list[tuple[int, bool | None]] = [(0, False), (1, True), (10, True), (11, True)]
    assert held(series, hold=3).held_ns == 1
    assert held(series, hold=3, gap=2).held_ns is None
    assert held([*series, (13, True)], hold=3, gap=2).held_ns == 10


def test_silence_after_a_hold_is_a_relapse() -> None:
    fold = held([(0, True), (2, True), (3, True), (30, True)], hold=3, gap=2)
    assert (fold.held_ns, fold.since_ns, fold.relapses) == (None, 30, 1)


def test_silence_does_not_disarm_a_stop_condition() -> None:
    fold = Stop(for_ns=3, below=0.5).step(0, 0.1).step(2, None).step(3, None)
    assert fold.breached_ns == 3


def test_a_good_value_does() -> None:
    assert Stop(for_ns=3, below=0.5).step(0, 0.1).step(2, 0.9).step(4, 0.1).breached_ns is None
