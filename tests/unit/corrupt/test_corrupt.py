"""Damage to columns: who is hit, with what, and what the masks say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from harness import corrupt
from harness.corrupt.draw import fractions


def spec(**rest: Any) -> corrupt.Corruption:
    return corrupt.parse({"type": "scale", "factor": 100, "columns": ["amount"], **rest})


def nulls(**rest: Any) -> corrupt.Corruption:
    return corrupt.parse({"type": "missing", "columns": ["amount"], **rest})


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_scale_multiplies_and_its_mask_tells_what_became_another_value() -> None:
    amount = np.array([1.0, 0.0, np.nan, 2.5])
    damaged = corrupt.damage({"amount": amount, "other": amount}, spec())
    assert_array_equal(damaged.columns["amount"], [100.0, 0.0, np.nan, 250.0])
    assert_array_equal(damaged.masks["amount"], [True, False, False, True])
    assert_array_equal(damaged.columns["other"], amount)
    assert_array_equal(amount, [1.0, 0.0, np.nan, 2.5])


@pytest.mark.parametrize(
    ("column", "factor", "after"),
    [
        (np.array([1, 2]), 100, np.array([100, 200])),
        (np.array([1, 2]), 0.5, np.array([0.5, 1.0])),
        (np.array([100, 2], dtype=np.int8), 2, np.array([200, 4])),
        (np.array([1, 2], dtype=np.float32), 2, np.array([2, 4], dtype=np.float32)),
        (objects(1, 2.5, None, "x", True), 2, objects(2, 5.0, None, "x", True)),
    ],
)
def test_scale_keeps_the_type_where_it_can(column: np.ndarray, factor: float, after: np.ndarray) -> None:
    damaged = corrupt.damage({"amount": column}, spec(factor=factor)).columns["amount"]
    assert_array_equal(damaged, after)
    assert damaged.dtype == after.dtype


@pytest.mark.parametrize(
    ("column", "gap"),
    [
        (np.array([1.0, 2.0]), np.nan),
        (np.array([1, 2]), np.nan),
        (np.array(["a", "b"]), None),
        (np.array([True, False]), None),
        (np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"), np.datetime64("NaT")),
    ],
)
def test_missing_writes_the_gap_that_fits(column: np.ndarray, gap: object) -> None:
    damaged = corrupt.damage({"amount": column}, nulls())
    value = damaged.columns["amount"][0]
    assert value is None if gap is None else np.isnan(gap) if isinstance(gap, float) else np.isnat(value)
    assert_array_equal(damaged.masks["amount"], [True, True])


def test_what_was_missing_before_is_no_damage() -> None:
    assert not corrupt.damage({"amount": objects(None, None)}, nulls()).records.any()


def test_only_rows_of_one_producer_and_their_share() -> None:
    client = np.array(["a", "b"] * 5000)
    where = {"kind": "where", "column": "client", "equals": "b"}
    damaged = corrupt.damage({"amount": np.ones(10_000), "client": client}, spec(mechanism=where, dose=0.3))
    mask = damaged.masks["amount"]
    assert not mask[client == "a"].any()
    assert abs(mask[client == "b"].mean() - 0.3) < 0.03


@pytest.mark.parametrize("dose", [0.0, 0.02, 0.5, 1.0])
def test_the_dose_is_the_expected_share(dose: float) -> None:
    mask = corrupt.damage({"amount": np.ones(100_000)}, nulls(dose=dose)).masks["amount"]
    assert abs(mask.mean() - dose) <= 4 * (dose * (1 - dose) / 100_000) ** 0.5


def test_a_larger_dose_hits_those_of_the_smaller_and_more() -> None:
    few, many = (corrupt.damage({"amount": np.ones(1000)}, nulls(dose=dose)).masks["amount"] for dose in (0.2, 0.6))
    assert (many | ~few).all()


def test_a_record_has_one_unit_but_each_value_vanishes_by_itself() -> None:
    columns = {"a": np.ones(1000), "b": np.ones(1000)}
    scaled = corrupt.damage(columns, spec(columns=["a", "b"], dose=0.5)).masks
    gone = corrupt.damage(columns, nulls(columns=["a", "b"], dose=0.5)).masks
    assert_array_equal(scaled["a"], scaled["b"])
    assert 350 < (gone["a"] != gone["b"]).sum() < 650


record_ids = st.lists(
    st.one_of(st.text(max_size=30), st.integers(-(2**70), 2**70), st.booleans(), st.floats(), st.none()),
    min_size=1,
    max_size=30,
)


@given(record_ids, st.integers(0, 30), st.integers(0, 2**62))
def test_the_draw_belongs_to_the_record_not_to_the_batch(ids: list[object], cut: int, seed: int) -> None:
    whole = fractions(ids, seed=seed, name="x")
    parts = [fractions(part, seed=seed, name="x") for part in (ids[:cut], ids[cut:])]
    assert_array_equal(whole, np.concatenate(parts))
    assert_array_equal(whole[::-1], fractions(ids[::-1], seed=seed, name="x"))
    assert ((whole >= 0) & (whole < 1)).all()


def test_ids_draw_the_same_as_list_and_as_array() -> None:
    for values in ([3, 7, 9], ["a", "bb", "a long one indeed"]):
        expected = fractions(values, seed=1, name="x")
        assert_array_equal(fractions(np.array(values), seed=1, name="x"), expected)
        assert_array_equal(fractions(np.array(values, dtype=object), seed=1, name="x"), expected)


def test_ordinals_go_on_from_batch_to_batch() -> None:
    whole = corrupt.damage({"amount": np.ones(100)}, nulls(dose=0.5)).masks["amount"]
    second = corrupt.damage({"amount": np.ones(40)}, nulls(dose=0.5), first_ordinal=60).masks["amount"]
    assert_array_equal(whole[60:], second)


def test_draws_look_uniform_and_seeds_and_names_differ() -> None:
    for ids in (np.arange(50_000), [f"t-{n}" for n in range(50_000)]):
        one = fractions(ids, seed=1, name="x")
        counts, _ = np.histogram(one, bins=20, range=(0, 1))
        assert ((counts - 2500) ** 2 / 2500).sum() < 60  # chi-squared, 19 degrees of freedom, p about 1e-6
        assert len(np.unique(one)) == 50_000
        for other in (fractions(ids, seed=2, name="x"), fractions(ids, seed=1, name="y")):
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03


def test_the_same_draws_on_every_machine() -> None:
    assert fractions(["t-1", 7], seed=7, name="amount").tolist() == [0.6325774096893259, 0.2606949965575631]


def test_no_rows_are_no_problem() -> None:
    damaged = corrupt.damage({"amount": np.array([], dtype=np.int64)}, spec())
    assert len(damaged.columns["amount"]) == len(damaged.masks["amount"]) == 0


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, "type: unknown 'None'. Known: absent, added"),
        ({"type": "mising"}, "type: unknown 'mising'. Did you mean 'missing'? Known: absent, added"),
        ({"type": "scale", "columns": ["a"]}, "factor: missing; scale needs it"),
        ({"type": "scale", "columns": ["a"], "factor": "x"}, "factor: 'x' is not legal; legal is a finite number"),
        ({"type": "scale", "columns": ["a"], "factor": float("nan")}, "factor: 'nan' is not legal"),
        ({"type": "missing", "columns": ["a"], "xyz": 1}, "xyz: unknown 'xyz'. Known: columns, dose, exact, form"),
        ({"type": "missing", "columns": ["a"], "dos": 1}, "dos: unknown 'dos'. Did you mean 'dose'?"),
        ({"type": "missing", "columns": ["a"], "dose": 1.5}, "dose: '1.5' is not legal; legal is a share from 0 to 1"),
        ({"type": "missing", "columns": ["a"], "seed": 1.5}, "seed: '1.5' is not legal; legal is a whole number"),
        ({"type": "missing", "columns": []}, "columns: '[]' is not legal; legal is a list of 1 to 1000 column names"),
        (
            {"type": "missing", "columns": ["a"], "mechanism": "wher"},
            "mechanism: unknown 'wher'. Did you mean 'where'?",
        ),
        ({"type": "missing", "columns": ["a"], "mechanism": "where"}, "mechanism.column: missing; where needs it"),
        (
            {"type": "missing", "columns": ["a"], "mechanism": {"kind": "where", "colum": "c", "equals": 1}},
            "mechanism.colum: unknown 'colum'. Did you mean 'column'?",
        ),
    ],
)
def test_a_wrong_corruption_is_told_by_field_and_nearest_match(written: dict[str, object], says: str) -> None:
    with pytest.raises(corrupt.CorruptionError) as told:
        corrupt.parse(written)
    assert str(told.value).startswith(says)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"amont": np.ones(2)}, "columns: unknown 'amount'. Did you mean 'amont'?"),
        ({"amount": np.ones(2), "b": np.ones(3)}, "columns: lengths differ"),
        ({"amount": np.array(["a"])}, "column 'amount': scale needs numbers"),
    ],
)
def test_columns_that_do_not_fit_are_told(columns: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(corrupt.CorruptionError) as told:
        corrupt.damage(columns, spec())
    assert str(told.value).startswith(says)
