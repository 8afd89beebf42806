"""What holds for every type of damage and every mechanism: nothing outside the mask changes, and batching changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from harness import corrupt
from harness.corrupt.column import changed
from harness.corrupt.registry import DAMAGES, MECHANISMS

ROWS = 400

TYPES: dict[str, dict[str, Any]] = {
    "scale": {"factor": 100, "columns": ["amount", "count"]},
    "offset": {"by": 2.5, "columns": ["amount", "count"]},
    "sign": {"columns": ["amount", "count"]},
    "round": {"decimals": 0, "columns": ["amount"]},
    "clip": {"most": 10, "columns": ["amount", "count"]},
    "outlier": {"columns": ["amount", "count"]},
    "missing": {"columns": ["amount", "count", "country", "at", "vip"]},
    "stuck": {"length": 7, "columns": ["amount", "country"]},
    "misjoined": {"rows": 3, "columns": ["amount"]},
    "swapped": {"columns": ["amount", "fee"]},
    "as-text": {"columns": ["amount"]},
    "remap": {"codes": {"AT": "DE", "DE": "CH"}, "columns": ["country"]},
    "new-category": {"kinds": 3, "columns": ["country"]},
    "typo": {"columns": ["name"]},
    "mojibake": {"columns": ["name"]},
    "truncated": {"length": 2, "columns": ["name"]},
    "time-zone": {"hours": -2, "columns": ["at"]},
    "future": {"seconds_ahead": 3600, "columns": ["at"]},
    "flip": {"columns": ["label"]},
    "poison": {"columns": ["amount"]},
    "duplicate": {"copies": 2, "after": 4},
    "drop": {},
    "reorder": {"within": 5},
    "late": {"by": 12},
    "renamed": {"to": "sum", "columns": ["amount"]},
    "added": {"columns": ["new"], "value": 7},
    "absent": {"columns": ["amount", "name"]},
    "doubled": {"columns": ["amount", "name"]},
}
WHOM: dict[str, dict[str, Any]] = {
    "at-random": {},
    "where": {"column": "country", "equals": "AT"},
    "itself": {"least": 5},
    "graded": {"column": "fee", "toward": "low"},
    "burst": {"length": 9},
    "batch": {"size": 10, "every": 3, "offset": 1},
    "window": {"since": 50, "until": 300},
    "near": {"column": "fee", "at": 0.5, "width": 0.2},
}


def table(rows: int = ROWS) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(5)
    return {
        "amount": np.where(draws.random(rows) < 0.05, np.nan, draws.normal(10, 5, rows)),
        "count": draws.integers(0, 100, rows),
        "fee": draws.random(rows),
        "country": draws.choice(np.array(["AT", "DE", "FR"]), rows),
        "name": draws.choice(np.array(["Müller", "Žižka", "Smith", ""]), rows).astype(object),
        "at": np.datetime64("2026-01-31T00:00:00") + draws.integers(0, 86_400, rows).astype("timedelta64[s]"),
        "vip": draws.random(rows) < 0.5,
        "label": draws.integers(0, 2, rows),
    }


REFERENCE = corrupt.Reference.of(table(5000))


def spec(kind: str, mechanism: str = "at-random", **rest: Any) -> corrupt.Corruption:
    return corrupt.parse({"type": kind, **TYPES[kind], "mechanism": {"kind": mechanism, **WHOM[mechanism]}, **rest})


def together(parts: list[corrupt.Damaged]) -> dict[str, list[Any]]:
    """All that came out, as lists, batch behind batch."""
    out: dict[str, list[Any]] = {"ordinals": [], "dropped": []}
    for part in parts:
        out["ordinals"] += part.ordinals.tolist()
        for name, column in part.columns.items():
            out.setdefault(name, []).extend(map(repr, column.tolist()))
        for name, mask in part.masks.items():
            out.setdefault(f"mask of {name}", []).extend(mask.tolist())
        for cause in part.causes:
            out.setdefault(f"rows of {cause.name}", []).extend(cause.rows.tolist())
            out["dropped"] += cause.dropped.tolist()
    return out


def cut(columns: dict[str, np.ndarray], at: list[int]) -> list[dict[str, np.ndarray]]:
    edges = [0, *sorted(at), ROWS]
    return [{name: column[start:stop] for name, column in columns.items()} for start, stop in pairwise(edges)]


def test_every_type_and_mechanism_is_tried_here() -> None:
    assert set(TYPES) == set(DAMAGES)
    assert set(WHOM) == set(MECHANISMS)


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_outside_the_mask_is_the_same_and_the_input_too(kind: str) -> None:
    columns = table()
    before = {name: column.copy() for name, column in columns.items()}
    damaged = corrupt.damage(columns, spec(kind, dose=0.3, seed=3), reference=REFERENCE)
    for name, column in columns.items():
        assert column.tobytes() == before[name].tobytes()
        if name not in damaged.columns:
            continue
        came_from = damaged.ordinals
        mask = damaged.masks.get(name, np.zeros(len(came_from), dtype=bool))
        as_it_was, as_it_is = column[came_from][~mask], damaged.columns[name][~mask]
        if as_it_was.dtype == as_it_is.dtype and as_it_was.dtype != object:
            assert as_it_was.tobytes() == as_it_is.tobytes()
        else:
            assert not changed(as_it_was.astype(object), as_it_is.astype(object)).any()
        assert changed(column[came_from].astype(object), damaged.columns[name].astype(object))[mask].all()
    assert damaged.hits > 0, "the damage hit nothing"


@pytest.mark.parametrize("kind", TYPES)
@given(st.lists(st.integers(0, ROWS), max_size=6), st.integers(0, 2**62), st.sampled_from(sorted(WHOM)))
@settings(max_examples=15, deadline=None)
def test_batches_of_any_size_give_what_the_whole_gives(kind: str, at: list[int], seed: int, mechanism: str) -> None:
    if mechanism == "itself" and kind != "scale":
        mechanism = "at-random"
    # Columns that come and go would differ in kind from batch to batch, so they are taken as objects here, as taps do.
    columns = {n: c.astype(object) for n, c in table().items()} if kind in ("renamed", "absent", "doubled") else table()
    chain = (spec(kind, mechanism, dose=0.3, seed=seed),)
    if kind == "added":
        chain = (spec(kind, "at-random", dose=1.0, seed=seed),)
    whole = corrupt.damage(columns, chain, reference=REFERENCE)
    stream = corrupt.Stream(chain, reference=REFERENCE)
    parts = [corrupt.told(stream.feed(part)) for part in cut(columns, at)]
    rest = stream.finish()
    parts += [] if rest is None else [corrupt.told(rest)]
    expected = together([whole])
    for name, values in together(parts).items():
        assert values == expected.get(name, []), name


def test_a_chain_keeps_one_mask_per_cause_and_its_steps_hit_different_rows() -> None:
    steps = [
        {"type": "scale", "factor": 100, "columns": ["amount"], "dose": 0.2},
        {"type": "missing", "columns": ["amount"], "dose": 0.2},
        {"type": "duplicate", "dose": 0.1},
        {"type": "missing", "columns": ["fee"], "dose": 0.2, "name": "gone"},
    ]
    damaged = corrupt.damage(table(), corrupt.parse_chain(steps, seed=4))
    assert [cause.name for cause in damaged.causes] == ["scale", "missing", "duplicate", "gone"]
    scaled, gone, copied, fee = damaged.causes
    assert (scaled.cells["amount"] & ~gone.cells["amount"]).any()
    assert (gone.cells["amount"] & ~scaled.cells["amount"]).any()
    assert np.isnan(damaged.columns["amount"][gone.cells["amount"]]).all()
    ordinals = damaged.ordinals
    again = np.flatnonzero(copied.rows)
    assert len(again) > 0
    assert (ordinals[again] == ordinals[again - 1]).all()
    assert (scaled.cells["amount"][again] == scaled.cells["amount"][again - 1]).all()
    assert np.isnan(damaged.columns["fee"][fee.cells["fee"]]).all()


@pytest.mark.parametrize("dose", [0.01, 0.2, 0.7])
@pytest.mark.parametrize("kind", ["missing", "scale", "drop", "poison"])
def test_the_dose_is_met_within_exact_binomial_bounds_over_seeds(kind: str, dose: float) -> None:
    columns = {"amount": np.ones(2000), "count": np.arange(1, 2001), "country": np.full(2000, "AT")}
    columns |= {"at": np.full(2000, np.datetime64("2026-01-01")), "vip": np.ones(2000, bool)}
    hits = sum(
        int(d.causes[0].cells["amount"].sum()) if kind != "drop" else len(d.causes[0].dropped)
        for d in (corrupt.damage(columns, spec(kind, dose=dose, seed=seed)) for seed in range(20))
    )
    low, high = binom.ppf([1e-6, 1 - 1e-6], 20 * 2000, dose)
    assert low <= hits <= high


def test_what_is_late_and_then_lost_is_told_once() -> None:
    steps = [{"type": "late", "by": 50, "dose": 0.3}, {"type": "drop", "dose": 0.2}]
    chain = corrupt.parse_chain(steps, seed=1)
    whole = corrupt.damage(table(), chain)
    stream = corrupt.Stream(chain)
    parts = [corrupt.told(stream.feed(part)) for part in cut(table(), [30, 31, 200, 390])]
    rest = stream.finish()
    assert rest is not None
    parts.append(corrupt.told(rest))
    for told in ([whole], parts):
        gone = [int(row) for part in told for row in part.causes[1].dropped]
        there = [int(row) for part in told for row in part.ordinals]
        assert sorted(gone + there) == list(range(ROWS))


@given(st.lists(st.sampled_from([None, "a", "b", 7, {}]), min_size=1, max_size=40), st.integers(0, 40))
def test_rows_without_an_id_are_drawn_by_their_place_also_among_others(ids: list[object], at: int) -> None:
    chain = (spec("missing", columns=["amount"], dose=0.4, seed=9),)
    amount = np.ones(len(ids))
    whole = corrupt.damage({"amount": amount}, chain, ids=ids).masks["amount"]
    stream = corrupt.Stream(chain)
    parts = [
        corrupt.told(stream.feed({"amount": part}, ids=some)).masks["amount"]
        for part, some in ((amount[:at], ids[:at]), (amount[at:], ids[at:]))
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()
    nameless = corrupt.damage({"amount": amount}, chain).masks["amount"]
    without = [n for n, one in enumerate(ids) if one is None or one == {}]
    assert whole[without].tolist() == nameless[without].tolist()


def test_exact_is_exact_and_refused_on_streams() -> None:
    corruption = spec("missing", columns=["amount"], dose=0.25, exact=True)
    assert corrupt.damage({"amount": np.ones(1001)}, corruption).masks["amount"].sum() == 250
    with pytest.raises(corrupt.CorruptionError, match="exact: missing can't be exact on a stream"):
        corrupt.Stream((corruption,))


def test_threads_change_nothing() -> None:
    corruption, columns = spec("missing", dose=0.3), table()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: together([corrupt.damage(columns, corruption)]), range(8)))
    assert all(one == found[0] for one in found)


# --- mechanisms depend on what they claim to


def hits(
    mechanism: dict[str, Any], *, dose: float = 0.4, rows: int = 20_000
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    columns = table(rows)
    corruption = corrupt.parse({"type": "offset", "by": 1, "columns": ["amount"], "mechanism": mechanism, "dose": dose})
    columns["amount"] = np.nan_to_num(columns["amount"], nan=1.0)
    return columns, corrupt.damage(columns, corruption, reference=REFERENCE).masks["amount"]


def test_where_hits_only_those_and_the_dose_of_them() -> None:
    columns, mask = hits({"kind": "where", "column": "country", "among": ["AT", "FR"]})
    meets = np.isin(columns["country"], ["AT", "FR"])
    assert not mask[~meets].any()
    assert abs(mask[meets].mean() - 0.4) < 0.02


def test_quantiles_come_from_the_reference() -> None:
    columns, mask = hits({"kind": "where", "column": "fee", "above_quantile": 0.9}, dose=1.0)
    assert mask.tolist() == (columns["fee"] >= REFERENCE.quantile("fee", 0.9)).tolist()


def test_not_at_random_looks_at_the_cell_itself() -> None:
    columns, mask = hits({"kind": "itself", "least": 12}, dose=1.0)
    assert mask.tolist() == (columns["amount"] >= 12).tolist()


@pytest.mark.parametrize(("toward", "sign"), [("high", 1), ("low", -1)])
def test_graded_rises_with_the_rank_and_keeps_the_dose(toward: str, sign: int) -> None:
    columns, mask = hits({"kind": "graded", "column": "fee", "toward": toward})
    assert sign * np.corrcoef(columns["fee"], mask)[0, 1] > 0.3
    assert abs(mask.mean() - 0.4) < 0.02


def test_a_burst_is_hit_as_a_whole() -> None:
    _, mask = hits({"kind": "burst", "length": 50})
    stretches = mask.reshape(-1, 50)
    assert set(stretches.sum(axis=1)) == {0, 50}
    assert abs(mask.mean() - 0.4) < 0.08


def test_one_batch_in_n() -> None:
    _, mask = hits({"kind": "batch", "size": 100, "every": 4, "offset": 2}, dose=1.0)
    assert set(np.flatnonzero(mask) // 100 % 4) == {2}
    assert mask.mean() == 0.25


def test_a_window_of_times_and_one_of_places() -> None:
    since, until = "2026-01-31T06:00", "2026-01-31T12:00"
    columns, mask = hits({"kind": "window", "column": "at", "since": since, "until": until}, dose=1.0)
    assert mask.tolist() == ((columns["at"] >= np.datetime64(since)) & (columns["at"] < np.datetime64(until))).tolist()
    _, mask = hits({"kind": "window", "since": 10, "until": 20}, dose=1.0)
    assert np.flatnonzero(mask).tolist() == list(range(10, 20))


def test_near_the_boundary() -> None:
    columns, mask = hits({"kind": "near", "column": "fee", "at": 0.5, "width": 0.1}, dose=1.0)
    assert mask.tolist() == (np.abs(columns["fee"] - 0.5) <= 0.1).tolist()


def test_a_missing_condition_is_counted_and_not_hit() -> None:
    columns = {"amount": np.ones(4), "fee": np.array([0.1, np.nan, 0.9, np.nan])}
    whom = {"kind": "where", "column": "fee", "least": 0}
    corruption = corrupt.parse({"type": "sign", "columns": ["amount"], "mechanism": whom})
    damaged = corrupt.damage(columns, corruption)
    assert damaged.masks["amount"].tolist() == [True, False, True, False]
    assert damaged.causes[0].spared == 2


# --- edges


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row(kind: str, rows: int) -> None:
    damaged = corrupt.damage(table(rows), spec(kind), reference=REFERENCE)
    assert all(len(column) == len(damaged.ordinals) for column in damaged.columns.values())


def test_all_missing_already_is_told_as_no_hit() -> None:
    damaged = corrupt.damage({"amount": np.full(10, np.nan)}, spec("missing", columns=["amount"]))
    assert damaged.hits == 0


@pytest.mark.parametrize(
    ("kind", "column", "says"),
    [
        ("scale", np.array(["a"]), "column 'x': scale needs numbers, not <U1"),
        ("typo", np.array([1.0]), "column 'x': typo needs text, not float64"),
        ("time-zone", np.array([True]), "column 'x': time-zone needs times"),
        ("remap", np.array([1.5]), "column 'x': remap needs codes"),
        ("as-text", np.array(["a"]), "column 'x': as-text needs numbers"),
    ],
)
def test_a_column_that_can_not_be_damaged_so_is_named(kind: str, column: np.ndarray, says: str) -> None:
    with pytest.raises(corrupt.CorruptionError) as told:
        corrupt.damage({"x": column}, spec(kind, columns=["x"]))
    assert str(told.value).startswith(says)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"type": "clip", "columns": ["a"]}, "least: missing; clip needs least or most"),
        ({"type": "swapped", "columns": ["a"]}, "columns: swapped needs exactly two"),
        ({"type": "drop", "columns": ["a"]}, "columns: \"['a']\" is not legal; legal is nothing"),
        ({"type": "stuck", "columns": ["a"], "length": 1}, "length: 1 is not legal"),
        ({"type": "missing", "columns": ["a"], "form": "value"}, "value: needed where form is value"),
        ({"type": "drop", "mechanism": {"kind": "itself", "least": 1}}, "mechanism: itself looks at the cell"),
        ({"type": "drop", "mechanism": {"kind": "where", "column": "a"}}, "mechanism: where needs a condition"),
        ({"type": "drop", "mechanism": {"kind": "burst", "length": 1.5}}, "mechanism.length: '1.5' is not legal"),
        ({"type": "flip", "columns": ["a"], "classes": [1]}, "classes: flip needs at least two"),
    ],
)
def test_what_makes_no_sense_is_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(corrupt.CorruptionError) as told:
        corrupt.parse(document)
    assert str(told.value).startswith(says)


def test_quantiles_without_a_reference_are_refused() -> None:
    with pytest.raises(corrupt.CorruptionError, match="column 'fee': a reference is needed"):
        corrupt.damage(table(), spec("missing", "graded", dose=0.3))
