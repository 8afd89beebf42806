"""The arithmetic of detection, and that it is quiet on clean data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.monitor.detectors import (
    STRIDE_ROWS,
    WINDOW_ROWS,
    DriftScore,
    kolmogorov_decades,
    ks_decades,
    median_shift_decades,
    number,
    quantile,
    repeat_allowance,
    repeat_share,
)

REFERENCE = np.sort(np.random.default_rng(1).normal(size=5_000))
ALARM_DECADES = 5.0


@pytest.mark.parametrize("x", [0.5, 0.8, 1.0, 1.5, 2.5])
def test_the_kolmogorov_tail_is_scipys(x: float):
    assert 10.0 ** -kolmogorov_decades(x) == pytest.approx(stats.kstwobign.sf(x), rel=1e-6)


def test_decades_go_on_where_p_underflows():
    assert kolmogorov_decades(40.0) == pytest.approx((2 * 1600 - math.log(2)) / math.log(10))
    assert kolmogorov_decades(0.1) == 0.0


def test_ks_is_near_scipys_asymptotic_p():
    sample = np.random.default_rng(2).normal(0.3, 1.0, 200)
    expected = -math.log10(stats.ks_2samp(sample, REFERENCE, method="asymp").pvalue)
    assert ks_decades(sample, REFERENCE) == pytest.approx(expected, rel=0.1)


def test_nan_is_left_out_and_too_few_rows_say_nothing():
    sample = np.random.default_rng(3).normal(size=200)
    with_nan = np.concatenate((sample, [math.nan] * 30, [math.inf]))
    assert ks_decades(with_nan, REFERENCE) == ks_decades(sample, REFERENCE)
    assert ks_decades([math.nan] * 200, REFERENCE) is None
    assert ks_decades(sample[:20], REFERENCE) is None


def episodes(values: np.ndarray) -> int:
    """How often an alarm begins, with the window moved as the monitor moves it."""
    drift, alarmed, found = DriftScore(REFERENCE), False, 0
    for end in range(WINDOW_ROWS, len(values) + 1, STRIDE_ROWS):
        score = drift.test(values[end - WINDOW_ROWS : end])
        assert score is not None
        now = score > ALARM_DECADES
        found += now and not alarmed
        alarmed = now
    return found


def test_drift_is_quiet_on_clean_rows():
    assert episodes(np.random.default_rng(4).normal(size=50_000)) <= 1


def test_drift_sees_half_a_sigma():
    rng = np.random.default_rng(5)
    seen = [episodes(np.concatenate((rng.normal(size=200), rng.normal(0.5, 1.0, 350)))) for _ in range(20)]
    assert sum(map(bool, seen)) >= 18


def test_three_weak_tests_running_count_as_a_strong_one():
    drift = DriftScore(REFERENCE)
    shift = 0.36  # p between 1e-3 and 1e-5: not enough alone
    window = np.quantile(REFERENCE, np.linspace(0.001, 0.999, WINDOW_ROWS)) + shift
    scores = [drift.test(window) for _ in range(3)]
    assert scores[0] == scores[1] == ks_decades(window, REFERENCE)
    assert 3.0 < scores[0] < ALARM_DECADES < scores[2]
    drift.forget()
    assert drift.test(window) == scores[0]


def test_repeat_share_is_one_for_a_frozen_column():
    assert repeat_share([19.99] * 200) == 1.0
    assert repeat_share(np.arange(200)) == 1 / 200
    assert repeat_share([19.99] * 20) is None


def test_the_repeat_allowance_lies_above_every_clean_window():
    column = np.random.default_rng(6).integers(0, 40, 20_000).astype(float)
    shares = [repeat_share(column[i : i + 200]) for i in range(0, 20_000, 200)]
    assert max(shares) < repeat_allowance(column) < max(shares) + 0.05
    with pytest.raises(ValueError, match="200"):
        repeat_allowance(column[:100])


def test_the_median_shift_is_in_powers_of_ten_both_ways():
    assert median_shift_decades([4_000.0] * 50, 40.0, rows_min=50) == pytest.approx(2.0)
    assert median_shift_decades([0.4] * 50, 40.0, rows_min=50) == pytest.approx(2.0)
    assert median_shift_decades([math.nan] * 50, 40.0, rows_min=50) is None


def test_numbers_and_quantiles_of_what_comes_in():
    assert [number(2), number(2.5)] == [2.0, 2.5]
    assert all(math.isnan(number(value)) for value in (None, "12", True, [1]))
    assert quantile([3.0, 1.0, math.nan, 2.0], 0.5) == 2.0
    assert quantile([float(i) for i in range(1, 101)], 0.95) == 95.0
    assert quantile([math.nan], 0.5) is None
