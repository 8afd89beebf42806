"""What would be wrong quietly: values that a mask doesn't tell of, and errors that don't say where."""

from __future__ import annotations

import numpy as np
import pytest

from harness import corrupt
from harness.errors import Exit


@pytest.mark.parametrize("kind", [float, object])
def test_an_outlier_is_made_of_a_number_never_of_a_gap(kind: type) -> None:
    usual = {"amount": np.arange(100.0)}
    column = np.array([1.0, np.nan, 3.0]).astype(kind)
    step = corrupt.parse({"type": "outlier", "columns": "amount"})
    damaged = corrupt.damage({"amount": column}, step, reference=corrupt.Reference.of(usual))
    assert damaged.masks["amount"].tolist() == [True, False, True]
    assert np.isnan(damaged.columns["amount"][1])


@pytest.mark.parametrize(
    ("value", "kind", "step"),
    [
        (2**53 + 1, np.int64, {"type": "missing"}),
        (-(2**60) - 1, np.int64, {"type": "scale", "factor": 2.5}),
        (2**63 + 5, np.uint64, {"type": "offset", "by": 1}),
    ],
)
def test_a_number_that_its_new_type_cannot_hold_is_refused_not_changed(value: int, kind: type, step: dict) -> None:
    column = np.array([1, 2, value], dtype=kind)
    chain = corrupt.parse({**step, "columns": "n", "dose": 0.0})
    with pytest.raises(corrupt.CorruptionError, match=rf"column 'n', row 2: {value} would be another number"):
        corrupt.damage({"n": column}, chain)
    kept = corrupt.damage({"n": column.astype(object)}, chain).columns["n"]
    assert kept.tolist() == [1, 2, value]


def test_numbers_at_the_edge_are_not_refused() -> None:
    column = np.array([2**53, -(2**53)])
    damaged = corrupt.damage({"n": column}, corrupt.parse({"type": "missing", "columns": "n", "dose": 0.0}))
    assert damaged.columns["n"].tolist() == [2.0**53, -(2.0**53)]


def test_an_error_in_a_chain_says_which_step() -> None:
    chain = corrupt.parse_chain([{"type": "drop", "dose": 0.1}, {"type": "sign", "columns": "amuont"}])
    with pytest.raises(
        corrupt.CorruptionError, match=r"^step 2: columns: unknown 'amuont'. Did you mean 'amount'"
    ) as told:
        corrupt.damage({"amount": np.ones(3), "\x00row": np.ones(3)}, chain)
    assert "row" not in told.value.message
    assert told.value.exit == Exit.USAGE


def test_a_new_column_that_only_some_rows_have_keeps_whole_numbers_whole() -> None:
    step = corrupt.parse({"type": "added", "columns": "new", "value": 7, "dose": 0.5})
    new = corrupt.damage({"amount": np.ones(50)}, step).columns["new"].tolist()
    assert {repr(value) for value in new} == {"7", "ABSENT"}
