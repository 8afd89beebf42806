"""What would be wrong quietly: values that a mask doesn't tell of, and errors that don't say where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import corrupt
from harness.corrupt import draw
from harness.corrupt.arrival import Moving, arranged
from harness.corrupt.column import rows_of, taken
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


@pytest.mark.parametrize(
    ("value", "kind", "step"),
    [
        (2**62, np.int64, {"type": "scale", "factor": 100}),
        (-(2**62), np.int64, {"type": "scale", "factor": 4}),
        (2**62, np.uint64, {"type": "scale", "factor": -4}),
        (2**63 - 1, np.int64, {"type": "offset", "by": 1}),
        (-(2**63), np.int64, {"type": "sign"}),
        (2**63 - 1, np.int64, {"type": "round", "decimals": -3}),
        (2**63 - 10, np.int64, {"type": "future", "seconds_ahead": 11}),
    ],
)
def test_a_whole_number_never_wraps_around_to_another(value: int, kind: type, step: dict) -> None:
    column = np.array([1, 2, 3, value], dtype=kind)
    chain = corrupt.parse({**step, "columns": "n"})
    told = rf"column 'n', row 3: {step['type']} would make {value} larger than int64 can hold"
    with pytest.raises(corrupt.CorruptionError, match=told.replace("int64", "u?int64")):
        corrupt.damage({"n": column}, chain)
    stream = corrupt.Stream((chain,))
    stream.feed({"n": column[:2]})
    with pytest.raises(corrupt.CorruptionError, match="row 3"):
        stream.feed({"n": column[2:]})
    exact = corrupt.damage({"n": column.astype(object)}, chain).columns["n"].tolist()
    assert abs(exact[3]) >= 2**63
    unhit = corrupt.parse({**step, "columns": "n", "mechanism": {"kind": "window", "since": 0, "until": 3}})
    assert corrupt.damage({"n": column}, unhit).columns["n"][3] == value


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6),
    step=st.sampled_from(
        [
            {"type": "scale", "factor": 3},
            {"type": "scale", "factor": -2},
            {"type": "offset", "by": -7},
            {"type": "sign"},
            {"type": "round", "decimals": -2},
            {"type": "round", "decimals": -19},
            {"type": "round", "decimals": 1},
            {"type": "clip", "least": -5, "most": 2**40},
        ]
    ),
)
def test_whole_numbers_are_exact_or_refused(values: list[int], step: dict) -> None:
    chain = corrupt.parse({**step, "columns": "n"})
    exact = corrupt.damage({"n": np.array(values, dtype=object)}, chain).columns["n"].tolist()
    try:
        found = corrupt.damage({"n": np.array(values, dtype=np.int64)}, chain).columns["n"].tolist()
    except corrupt.CorruptionError:
        assert max(map(abs, exact)) >= 2**63
    else:
        assert found == exact


@pytest.mark.parametrize("unit", ["D", "h", "s", "ms", "us"])
def test_times_far_from_now_move_by_as_much_as_all_others(unit: str) -> None:
    column = np.array(["9999-12-30", "0001-01-01", "NaT", "2026-01-01"], dtype=f"datetime64[{unit}]")
    damaged = corrupt.damage({"t": column}, corrupt.parse({"type": "time-zone", "hours": -24, "columns": "t"}))
    assert damaged.columns["t"].astype(str).tolist()[2] == "NaT"
    assert [str(day)[:10] for day in damaged.columns["t"]][::3] == ["9999-12-29", "2025-12-31"]
    assert damaged.columns["t"].dtype == column.dtype


def test_a_time_that_its_unit_cannot_hold_is_refused() -> None:
    column = np.array(["2026-01-01", "2262-04-11T23:00"], dtype="datetime64[ns]")
    with pytest.raises(corrupt.CorruptionError, match="column 't', row 1: time-zone would make 2262-04-11"):
        corrupt.damage({"t": column}, corrupt.parse({"type": "time-zone", "hours": 2, "columns": "t"}))


def test_swapped_columns_hold_what_comes_into_them() -> None:
    step = corrupt.parse({"type": "swapped", "columns": ["a", "b"]})
    numbers = corrupt.damage({"a": np.array([1.5, 2.5]), "b": np.array([3, 4])}, step)
    assert (numbers.columns["a"].tolist(), numbers.columns["b"].tolist()) == ([3, 4], [1.5, 2.5])
    texts = corrupt.damage({"a": np.array(["x", "y"]), "b": np.array(["long one", "z"])}, step)
    assert texts.columns["a"].tolist() == ["long one", "z"]
    mixed = corrupt.damage({"a": np.array(["x"]), "b": np.array([None], dtype=object)}, step)
    assert (mixed.columns["a"].tolist(), mixed.columns["b"].tolist()) == ([None], ["x"])


def test_text_of_an_earlier_batch_is_not_cut_to_the_width_of_this_one() -> None:
    stream = corrupt.Stream((corrupt.parse({"type": "misjoined", "columns": "t"}),))
    stream.feed({"t": np.array(["short", "rather long"])})
    assert stream.feed({"t": np.array(["a", "b"])}).columns["t"].tolist() == ["rather long", "a"]


def test_masks_of_two_columns_are_not_one_array() -> None:
    table = {"a": np.ones(9), "b": np.ones(9)}
    damaged = corrupt.damage(table, corrupt.parse({"type": "scale", "factor": 2, "columns": ["a", "b"], "dose": 0.5}))
    damaged.masks["a"][:] = False
    assert damaged.masks["b"].any()


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


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000, 1003])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.002, 0.03, 0.079, 0.2, 1.0])
def test_the_rows_of_a_mask_are_those_that_numpy_finds(count: int, share: float) -> None:
    mask = np.random.default_rng(count).random(count) < share
    assert rows_of(mask).tolist() == np.flatnonzero(mask).tolist()
    assert rows_of(mask[::2]).tolist() == np.flatnonzero(mask[::2]).tolist()
    for start in range(min(8, count)):  # words of eight cells needn't begin where memory's do
        assert rows_of(mask[start:]).tolist() == np.flatnonzero(mask[start:]).tolist()


@pytest.mark.parametrize("rows", [1, 262_143, 262_144, 262_145, 600_000])
def test_a_long_column_is_damaged_in_every_part(rows: int) -> None:
    column = np.arange(1.0, rows + 1)
    damaged = corrupt.damage({"n": column}, corrupt.parse({"type": "sign", "columns": "n", "dose": 0.3}))
    hit = damaged.masks["n"]
    assert np.array_equal(damaged.columns["n"], np.where(hit, -column, column))
    assert rows == 1 or abs(hit.mean() - 0.3) < 0.01


def test_every_part_of_a_long_column_is_hit_by_a_dose_of_one() -> None:
    column = np.arange(1.0, 600_001)
    damaged = corrupt.damage({"n": column}, corrupt.parse({"type": "sign", "columns": "n"}))
    assert np.array_equal(damaged.columns["n"], -column)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03-05T10:00:00.123Z", "2026-03-05T12:00:00.123Z"),
        ("2026-03-05 23:30", "2026-03-06 01:30"),
        ("2026-03-05T10:00:00.123456789+01:00", "2026-03-05T12:00:00.123456789+01:00"),
        ("2026-03-05T10:00:00,5+0200", "2026-03-05T12:00:00,5+0200"),
        ("2026-03-05", "2026-03-05 02:00:00"),
        ("9999-12-31T23:00:00", "9999-12-31T23:00:00"),
        ("05.03.2026", "05.03.2026"),
    ],
)
def test_a_time_that_is_wrong_is_spelled_as_it_was(before: str, after: str) -> None:
    damaged = corrupt.damage(
        {"at": np.array([before])}, corrupt.parse({"type": "time-zone", "hours": 2, "columns": "at"})
    )
    assert damaged.columns["at"].tolist() == [after]
    assert damaged.masks["at"].tolist() == [before != after]


def test_a_shift_finer_than_the_text_is_still_told() -> None:
    step = corrupt.parse({"type": "future", "seconds_ahead": 0.25, "columns": "at"})
    damaged = corrupt.damage({"at": np.array(["2026-03-05T10:00:00Z", "2026-03-05T10:00"])}, step)
    assert damaged.columns["at"].tolist() == ["2026-03-05T10:00:00.250000+00:00", "2026-03-05T10:00:00.250000"]


def test_cells_that_were_chosen_in_vain_are_counted_over_batches() -> None:
    values = np.array([2.0, "x", None, 0, float("nan"), "y", 7], dtype=object)
    step = corrupt.parse({"type": "scale", "factor": 100, "columns": "a"})
    (cause,) = corrupt.damage({"a": values}, step).causes
    assert cause.unchanged == {"a": (3, "x")}
    stream = corrupt.Stream((step, corrupt.parse({"type": "late", "by": 2})))
    parts = [stream.feed({"a": values[start : start + 2]}) for start in range(0, 7, 2)]
    rest = stream.finish()
    parts += [] if rest is None else [rest]
    assert sum(part.causes[0].unchanged["a"].cells for part in parts if part.causes[0].unchanged) == 3


def test_a_number_that_a_float_can_not_hold_is_named_by_its_row_in_a_late_part_too() -> None:
    column = np.zeros(600_000, dtype=np.int64)
    column[[300_007, 300_008]] = 2**53 + 1
    with pytest.raises(corrupt.CorruptionError, match=f"column 'n', row 300007: {2**53 + 1} would be another number"):
        corrupt.damage({"n": column}, corrupt.parse({"type": "missing", "columns": "n", "dose": 0.1}))


def test_each_column_of_a_row_that_is_hit_has_a_mask_of_its_own() -> None:
    columns = {"a": np.array([0.0, 1.0, 1.0]), "b": np.array([1, 2, 3]), "c": np.array([1.0, 1.0, 0.0])}
    damaged = corrupt.damage(columns, corrupt.parse({"type": "sign", "columns": ["a", "b", "c"]}))
    assert {name: mask.tolist() for name, mask in damaged.masks.items()} == {
        "a": [False, True, True],
        "b": [True, True, True],
        "c": [True, True, False],
    }


def test_what_says_the_same_stays_to_the_bit_among_others_that_change() -> None:
    column = np.array(
        [np.nan, 0.0, 1.0, 2.0]
    )  # the other sign of these two is another pattern of bits, and no other value
    damaged = corrupt.damage({"n": column}, corrupt.parse({"type": "sign", "columns": "n"}))
    assert damaged.columns["n"][:2].tobytes() == column[:2].tobytes()
    assert damaged.masks["n"].tolist() == [False, False, True, True]


_ROWS = st.integers(0, 30)


@given(_ROWS, st.sets(_ROWS), st.lists(st.tuples(st.integers(-10, 140), _ROWS)), st.integers(0, 9))
def test_rows_stand_as_if_all_were_sorted_by_when_they_arrive(
    count: int, gone: set[int], moving: list[tuple[int, int]], first: int
) -> None:
    leaving = sorted(row for row in gone if row < count)
    due = [quarter / 4 for quarter, _ in moving]  # whole ones too: of those that arrive at once, who moves is first
    stays = [(first + row, 1, row) for row in range(count) if row not in leaving]
    comes = [(when, 0, row) for when, (_, row) in zip(due, moving, strict=True)]
    expected = sorted([*stays, *comes], key=lambda one: one[:2])
    rows, at = arranged(
        np.array(leaving, dtype=np.intp),
        count=count,
        first=first,
        moving=Moving(np.array(due), np.array([row for _, row in moving], dtype=np.intp)),
    )
    assert rows.tolist() == [row for _, _, row in expected]
    assert at.tolist() == [place for place, (_, stays_there, _) in enumerate(expected) if not stays_there]


@pytest.mark.parametrize("share", [0.001, 0.004, 0.05, 0.3, 0.5, 0.999])
def test_the_rows_of_a_draw_are_those_of_its_mask_wherever_they_are_asked_for(share: float) -> None:
    hit, rows = draw.below_at(range(100, 40_100), share, seed=5, name="x")
    assert rows.tolist() == np.flatnonzero(hit).tolist()
    some = np.array([100, 101, 39_000, 20_000, 20_001])
    of_some, their_rows = draw.below_at(some, share, seed=5, name="x")
    assert of_some.tolist() == hit[some - 100].tolist()
    assert their_rows.tolist() == np.flatnonzero(of_some).tolist()


def test_what_is_taken_is_what_an_index_gives_also_of_what_lies_in_pieces() -> None:
    table = np.arange(24.0).reshape(8, 3)
    rows = np.array([5, 0, 5])
    for column in (table, table[:, 1], table[::2, 0][:0], table[:, 0].astype(object)):
        chosen = rows if len(column) else rows[:0]
        assert taken(column, chosen).tolist() == column[chosen].tolist()
