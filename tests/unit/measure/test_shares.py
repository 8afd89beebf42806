"""Exact intervals, Fisher's test, and distances of samples, against SciPy's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.measure.binomial import exact_bounds, so_few
from harness.measure.shift import chance, variation

counts = st.integers(1, 3000).flatmap(lambda tried: st.tuples(st.integers(0, tried), st.just(tried)))


@settings(deadline=None)
@given(counts)
def test_bounds_are_clopper_and_pearsons_also_for_many_trials(count: tuple[int, int]) -> None:
    seen, tried = count
    right = stats.binomtest(seen, tried).proportion_ci(0.95, "exact")
    assert exact_bounds(seen, tried) == pytest.approx((right.low, right.high), abs=1e-6)


@settings(deadline=None)
@given(counts, counts)
def test_so_few_is_fishers_test(one: tuple[int, int], other: tuple[int, int]) -> None:
    (seen, tried), (others, others_tried) = one, other
    table = [[seen, tried - seen], [others, others_tried - others]]
    right = stats.fisher_exact(table, alternative="less").pvalue
    assert so_few(seen, tried, others=others, others_tried=others_tried) == pytest.approx(right, abs=1e-6)


def test_variation_is_the_share_that_would_have_to_change() -> None:
    assert variation(["a", "a", "b", "b"], ["a", "b", "b", "c"]) == pytest.approx(0.25)
    assert variation(["a"], ["b"]) == 1
    assert variation(["a", "b"], ["b", "a"]) == 0


def test_of_nothing_chance_may_make_everything() -> None:
    assert chance(0, 10) == chance(10, 0) == 1
    assert chance(200, 200) == pytest.approx(0.163)
