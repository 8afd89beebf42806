"""Golden requests: beyond doubt for every healthy model, and wrong under what nothing else sees."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline import goldens, model, schema
from pipeline.world import World

BOUND = 3


@pytest.fixture(scope="module", params=(0, 7, 123))
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(scope="module")
def champion(world: World) -> model.Model:
    history = world.history(4000)
    return model.train(history.features, history.labels, seed=world.seed)


@pytest.fixture(params=goldens.SETS)
def group(request: pytest.FixtureRequest) -> str:
    return request.param


def features(group: str, *, scale: float = 1.0) -> np.ndarray:
    bodies = [request["body"] for request in goldens.requests(group)]
    return np.array(
        [
            schema.vector(
                body | {"amount": body["amount"] * scale},
                {**goldens.CUSTOMERS[body["customer_id"]], **goldens.MERCHANTS[body["merchant_id"]]},
            )
            for body in bodies
        ]
    )


def wrong(judged: model.Model, group: str, rows: np.ndarray) -> int:
    expected = np.array([r["expect"]["decision"] == "decline" for r in goldens.requests(group)])
    return int(((judged.scores(rows) >= 0.5) != expected).sum())


def test_files_are_as_made(group: str) -> None:
    assert json.loads((goldens.FOLDER / f"{group}.json").read_text()) == goldens.requests(group)


def test_sets_are_balanced_and_disjoint() -> None:
    for group in goldens.SETS:
        decisions = [r["expect"]["decision"] for r in goldens.requests(group)]
        assert (decisions.count("approve"), decisions.count("decline")) == (4, 4)
    prober, canary = (goldens.requests(group) for group in goldens.SETS)
    for name in ("id", "customer_id", "merchant_id"):
        assert not {r["body"][name] for r in prober} & {r["body"][name] for r in canary}


def test_they_meet_the_contract_and_are_synthetic(group: str) -> None:
    for request in goldens.requests(group):
        assert schema.violations(request["body"]) == []
        assert request["body"]["synthetic"] is True


def test_healthy_models_are_sure(world: World, champion: model.Model, group: str) -> None:
    history, recent = world.history(4000), world.history(200, first=0, regime="shifted")
    retrained = model.train(
        np.vstack([history.features, recent.features]),
        np.concatenate([history.labels, recent.labels]),
        seed=world.seed,
        weights=np.concatenate([np.ones(4000), np.full(200, 4.0)]),
    )
    expected = np.array([r["expect"]["decision"] == "decline" for r in goldens.requests(group)])
    for healthy in (champion, retrained):
        assert np.abs(healthy.scores(features(group)) - expected).max() < 0.05


def test_a_wrong_unit_shows(champion: model.Model, group: str) -> None:
    assert wrong(champion, group, features(group, scale=100.0)) >= BOUND


def test_a_null_amount_shows(champion: model.Model, group: str) -> None:
    assert wrong(champion, group, features(group, scale=0.0)) >= BOUND


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("amount_log", "amount_to_usual"),
        ("amount_log", "merchant_risk"),
        ("amount_log", "foreign"),
        ("amount_log", "new_device"),
        ("amount_to_usual", "account_age_log"),
        ("merchant_risk", "account_age_log"),
    ],
)
def test_swapped_columns_show(champion: model.Model, group: str, one: str, other: str) -> None:
    rows = features(group)
    i, j = schema.FEATURES.index(one), schema.FEATURES.index(other)
    rows[:, [i, j]] = rows[:, [j, i]]
    assert wrong(champion, group, rows) >= BOUND


def test_columns_moved_by_one_show(champion: model.Model, group: str) -> None:
    assert wrong(champion, group, np.roll(features(group), 1, axis=1)) >= BOUND


def test_rows_of_somebody_else_show(champion: model.Model, group: str) -> None:
    assert wrong(champion, group, np.roll(features(group), 4, axis=0)) >= BOUND


def test_shuffled_labels_and_a_constant_show(world: World, group: str) -> None:
    history = world.history(4000)
    shuffled = np.random.default_rng(world.seed).permutation(history.labels)
    assert wrong(model.train(history.features, shuffled, seed=world.seed), group, features(group)) >= BOUND
    constant = model.train(history.features, np.zeros(4000), seed=world.seed)
    assert wrong(constant, group, features(group)) >= BOUND
