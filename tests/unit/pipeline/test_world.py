"""The world gives the same data however it is cut, and its regimes do to a model what the drills count on."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import model, schema
from pipeline.world import CLIENT_SHARES, FRAUD_SHARE, REGIMES, SEGMENT_CLIENT, History, World

SEEDS = (0, 7, 123)
CHAMPION_ROWS, JUDGED_ROWS = 4000, 6000


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(scope="module")
def champion(world: World) -> model.Model:
    history = world.history(CHAMPION_ROWS)
    return model.train(history.features, history.labels, seed=world.seed)


def right(judged: model.Model, rows: History) -> float:
    return float(((judged.scores(rows.features) >= 0.5) == rows.labels).mean())


@pytest.mark.parametrize("regime", REGIMES)
def test_chunks_make_no_difference(world: World, regime: str) -> None:
    whole = world.transactions(95, 40, regime=regime)
    parts = [t for first in range(95, 135, 8) for t in world.transactions(first, 8, regime=regime)]
    assert whole == parts
    labels = [label for first in range(95, 135, 5) for label in world.labels(first, 5, regime=regime)]
    assert world.labels(95, 40, regime=regime).tolist() == labels
    assert World(world.seed).transactions(95, 40, regime=regime) == whole


def test_seeds_differ() -> None:
    assert World(1).columns(0, 50)["amount"].tolist() != World(2).columns(0, 50)["amount"].tolist()


def test_epoch_and_time_are_the_callers() -> None:
    row = World(3).transactions(5, 1, epoch=2, event_time=17.5)[0]
    assert (row["id"], row["seq"], row["event_time"], row["synthetic"]) == ("t-2-5", 5, 17.5, False)


def test_unknown_regime_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown regime 'sale'; known: baseline, shifted, season, segment, concept"):
        World(3).transactions(0, 1, regime="sale")


@pytest.mark.parametrize("regime", REGIMES)
def test_clean_data_meets_the_contract(world: World, regime: str) -> None:
    assert [schema.violations(t) for t in world.transactions(0, 2000, regime=regime)] == [[]] * 2000


def test_shares_are_as_declared(world: World) -> None:
    rows = world.history(20_000)
    assert rows.labels.mean() == pytest.approx(FRAUD_SHARE, abs=0.015)
    for client, share in CLIENT_SHARES.items():
        assert (rows.columns["client_id"] == client).mean() == pytest.approx(share, abs=0.01)
    assert min(CLIENT_SHARES.values()) == 0.05


def test_stored_means_are_those_of_the_payments(world: World) -> None:
    """Else aggregates would wander off while everything is well."""
    rows = world.history(60_000)
    assert rows.columns["amount"].mean() == pytest.approx(rows.stored["customer_amount_mean"].mean(), rel=0.05)
    assert rows.columns["amount"].mean() == pytest.approx(rows.stored["merchant_amount_mean"].mean(), rel=0.05)


@pytest.mark.parametrize("regime", REGIMES)
def test_online_and_offline_features_agree(world: World, regime: str) -> None:
    rows = world.history(300, first=0, regime=regime)
    customers, merchants = world.customers(), world.merchants()
    online = [
        schema.vector(t, customers[t["customer_id"]] | merchants[t["merchant_id"]])
        for t in world.transactions(0, 300, regime=regime)
    ]
    np.testing.assert_allclose(rows.features, online, rtol=0, atol=1e-12)
    assert rows.features.shape == (300, len(schema.FEATURES))


def test_champion_is_right_on_the_baseline(world: World, champion: model.Model) -> None:
    assert right(champion, world.history(JUDGED_ROWS, first=0)) >= 0.97


def test_champion_never_falls_below_its_bound_by_chance(world: World, champion: model.Model) -> None:
    """Decision quality is judged over 200 decisions against 0.85."""
    rows = world.history(40_000, first=0)
    correct = (champion.scores(rows.features) >= 0.5) == rows.labels
    assert np.convolve(correct, np.full(200, 1 / 200), "valid").min() > 0.9


def test_shift_breaks_the_champion_and_recent_labels_mend_it(world: World, champion: model.Model) -> None:
    judged = world.history(JUDGED_ROWS, first=0, regime="shifted")
    assert right(champion, judged) <= 0.5
    clean, history = world.history(JUDGED_ROWS, first=0), world.history(CHAMPION_ROWS)
    for recent_rows in (150, 300):
        recent = world.history(recent_rows, first=50_000, regime="shifted")
        weights = np.concatenate([np.ones(CHAMPION_ROWS), np.full(recent_rows, 4.0)])
        again = model.train(
            np.vstack([history.features, recent.features]),
            np.concatenate([history.labels, recent.labels]),
            seed=world.seed,
            weights=weights,
        )
        assert right(again, judged) >= 0.88
        assert right(again, clean) >= 0.93


def test_shift_keeps_the_truth_about_a_payment(world: World) -> None:
    """A covariate shift of no magnitude is the baseline, labels included."""
    assert (world.labels(0, 500, regime="shifted", magnitude=0.0) == world.labels(0, 500)).all()


def test_the_wave_of_one_client_leaves_all_others_as_they_are(world: World, champion: model.Model) -> None:
    before, after = world.history(JUDGED_ROWS, first=0), world.history(JUDGED_ROWS, first=0, regime="segment")
    theirs = after.columns["client_id"] == SEGMENT_CLIENT
    assert 0.2 < theirs.mean() < 0.28
    np.testing.assert_array_equal(before.features[~theirs], after.features[~theirs])
    np.testing.assert_array_equal(before.labels[~theirs], after.labels[~theirs])
    assert model.measure(champion.scores(after.features[theirs]), after.labels[theirs]).accuracy < 0.1
    assert 0.72 < right(champion, after) < 0.8


def test_concept_changes_what_inputs_mean_and_no_bit_of_them(world: World, champion: model.Model) -> None:
    before, after = world.history(JUDGED_ROWS, first=0), world.history(JUDGED_ROWS, first=0, regime="concept")
    np.testing.assert_array_equal(before.features, after.features)
    for name, values in before.columns.items():
        np.testing.assert_array_equal(values, after.columns[name])
    assert 0.2 < (before.labels != after.labels).mean() < 0.35
    assert right(champion, after) < 0.8
    assert (world.labels(0, 500, regime="concept", magnitude=0.0) == world.labels(0, 500)).all()


def test_season_moves_inputs_and_not_quality(world: World, champion: model.Model) -> None:
    baseline, season = world.history(JUDGED_ROWS, first=0), world.history(JUDGED_ROWS, first=0, regime="season")
    assert right(champion, season) >= right(champion, baseline) - 0.01
    moved = {
        name: two_sample_ks(baseline.features[:, i], season.features[:, i]) for i, name in enumerate(schema.FEATURES)
    }
    # Against a long reference, 200 rows give p < 1e-5 from a distance of 0.18 on.
    assert moved["night"] > 0.15
    assert moved["amount_to_usual"] > 0.24


def two_sample_ks(a: np.ndarray, b: np.ndarray) -> float:
    grid = np.sort(np.concatenate([a, b]))
    return float(
        np.abs(
            np.searchsorted(np.sort(a), grid, "right") / len(a) - np.searchsorted(np.sort(b), grid, "right") / len(b)
        ).max()
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount": None}, [("amount", "null")]),
        ({"amount": "12,5"}, [("amount", "type")]),
        ({"amount": True}, [("amount", "type")]),
        ({"amount": float("nan")}, [("amount", "range")]),
        ({"amount": 10_000.01}, [("amount", "range")]),
        ({"amount": 12}, []),
        ({"country": "XX"}, [("country", "range")]),
        ({"seq": 1.5}, [("seq", "type")]),
        ({"synthetic": 0}, [("synthetic", "type")]),
    ],
)
def test_breaches_of_the_contract_are_named(change: dict, expected: list) -> None:
    assert schema.violations(World(3).transactions(0, 1)[0] | change) == expected


def test_a_missing_field_is_a_breach_and_an_extra_one_is_not() -> None:
    row = World(3).transactions(0, 1)[0]
    del row["currency"]
    assert schema.violations(row | {"colour": "red"}) == [("currency", "missing")]


@pytest.mark.parametrize("transaction", [{}, {"amount": None}, {"amount": "x", "country": 3, "local_hour": "noon"}])
def test_features_are_finite_whatever_comes(transaction: dict) -> None:
    for stored in ({}, {"customer_amount_mean": None, "merchant_risk": "high"}, {"customer_amount_mean": -3.0}):
        assert np.isfinite(schema.vector(transaction, stored)).all()
