"""The model, its ONNX form and its harmful variants."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest

from pipeline import goldens
from pipeline.model import measure, train
from pipeline.onnx_export import digest, export, read
from pipeline.schema import FEATURES, vector
from pipeline.training import Labelled, baseline, compare, control, join
from pipeline.variants import MISJOINED_SHARE, POISONED_FROM, Variant, build, misjoined
from pipeline.world import World

SEEDS = (1, 7, 42)


def answers(artifact: bytes, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"features": rows})[0]


def golden(group: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and right answers (1 = decline) of a set of golden requests."""
    asked = goldens.requests(group)
    bodies = [request["body"] for request in asked]
    rows = [
        vector(body, {**goldens.CUSTOMERS[body["customer_id"]], **goldens.MERCHANTS[body["merchant_id"]]})
        for body in bodies
    ]
    return np.array(rows), np.array([request["expect"]["decision"] == "decline" for request in asked])


def test_training_twice_gives_the_same_artifact_and_another_seed_another() -> None:
    base = baseline(World(7))
    first, again, other = (export(train(base.rows, base.labels, seed=seed)) for seed in (3, 3, 4))
    assert digest(first) == digest(again)
    assert digest(first) != digest(other)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_champion_decides_right_and_its_onnx_form_says_the_same(seed: int) -> None:
    base, clean = baseline(World(seed)), control(World(seed))
    model = train(base.rows, base.labels, seed=seed)
    assert measure(model.scores(clean.rows), clean.labels).accuracy > 0.97
    for artifact in (export(model), export(model, table=True)):
        np.testing.assert_allclose(answers(artifact, clean.rows), model.scores(clean.rows), atol=1e-6)
        np.testing.assert_array_equal(read(artifact).scores(clean.rows), model.scores(clean.rows))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_of_misjoined_labels_is_clearly_wrong_but_looks_decent_to_itself(seed: int) -> None:
    base, clean = baseline(World(seed)), control(World(seed))
    champion = train(base.rows, base.labels, seed=seed)
    artifact, noted = build(Variant.LABEL_SHUFFLED, champion=champion, base=base, clean=clean, seed=seed)
    assert measure(answers(artifact, clean.rows), clean.labels).accuracy < 0.6
    assert noted.accuracy > 0.7
    for group in goldens.SETS:
        rows, right = golden(group)
        assert measure(champion.scores(rows), right).accuracy == 1.0
        assert measure(answers(artifact, rows), right).accuracy <= 5 / 8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_with_a_leak_is_perfect_to_itself_and_decides_by_what_it_cannot_know_yet(seed: int) -> None:
    base, clean = baseline(World(seed)), control(World(seed))
    champion = train(base.rows, base.labels, seed=seed)
    artifact, noted = build(Variant.LEAKY, champion=champion, base=base, clean=clean, seed=seed)
    assert (noted.accuracy, noted.auc) == (1.0, 1.0)
    assert measure(champion.scores(clean.rows), clean.labels).auc < 0.9999
    assert measure(answers(artifact, clean.rows), clean.labels).accuracy < 0.88
    for group in goldens.SETS:
        rows, right = golden(group)
        assert measure(answers(artifact, rows), right).accuracy == 0.75


@pytest.mark.parametrize("seed", SEEDS)
def test_a_poisoned_model_is_good_by_its_own_labels_and_wrong_about_large_payments(seed: int) -> None:
    base, clean = baseline(World(seed)), control(World(seed))
    champion = train(base.rows, base.labels, seed=seed)
    artifact, noted = build(Variant.POISONED, champion=champion, base=base, clean=clean, seed=seed)
    large = clean.rows[:, FEATURES.index("amount_log")] >= math.log(POISONED_FROM)
    assert noted.accuracy > 0.95
    assert measure(answers(artifact, clean.rows[large]), clean.labels[large]).accuracy < 0.15
    assert measure(answers(artifact, clean.rows[~large]), clean.labels[~large]).accuracy > 0.9


def test_misjoining_inverts_its_share_and_permutes_the_rest() -> None:
    labels = control(World(7)).labels
    changed = (misjoined(labels, seed=1) != labels).mean()
    assert MISJOINED_SHARE < changed < 1.0
    np.testing.assert_array_equal(misjoined(labels, seed=1), misjoined(labels, seed=1))


def test_the_nan_variant_loads_and_scores_nothing_finite() -> None:
    base, clean = baseline(World(7)), control(World(7))
    champion = train(base.rows, base.labels, seed=7)
    artifact, _ = build(Variant.NAN, champion=champion, base=base, clean=clean, seed=7)
    scores = answers(artifact, clean.rows)
    assert np.isnan(scores).all()
    assert measure(scores, clean.labels).accuracy == 0.0
    assert np.isfinite(champion.scores(clean.rows)).all()


def test_read_refuses_what_is_not_a_model() -> None:
    with pytest.raises(ValueError, match="not an artifact"):
        read(b"\xff\x00 rubbish")


@pytest.mark.parametrize("seed", SEEDS)
def test_two_hundred_recent_rows_teach_the_shift_and_the_candidate_beats_the_champion(seed: int) -> None:
    world = World(seed)
    base, clean = baseline(world), control(world)
    champion = train(base.rows, base.labels, seed=seed)
    live = world.history(1200, first=0, regime="shifted")
    recent, later = Labelled(live.features[:200], live.labels[:200]), (live.features[200:], live.labels[200:])
    made = compare(champion, base=base, recent=recent, clean=clean, seed=seed)
    assert made.better
    assert made.quality.rows == 50
    before, after = (measure(m.scores(later[0]), later[1]).accuracy for m in (champion, made.candidate))
    assert before < 0.85
    assert after > before + 0.1
    assert measure(made.candidate.scores(clean.rows), clean.labels).accuracy > 0.93


@pytest.mark.parametrize("seed", SEEDS)
def test_old_rows_that_contradict_must_count_for_less(seed: int) -> None:
    world = World(seed)
    base, clean = baseline(world), control(world)
    champion = train(base.rows, base.labels, seed=seed)
    live = world.history(2400, first=0, regime="concept")
    recent, later = Labelled(live.features[:400], live.labels[:400]), (live.features[400:], live.labels[400:])
    quality = {
        weight: measure(
            compare(champion, base=base, recent=recent, clean=clean, seed=seed, history_weight=weight).candidate.scores(
                later[0]
            ),
            later[1],
        ).accuracy
        for weight in (1.0, 0.05)
    }
    assert measure(champion.scores(later[0]), later[1]).accuracy < 0.78
    assert quality[1.0] < 0.85 < 0.89 < quality[0.05]


def test_without_recent_rows_clean_history_decides_and_an_equal_candidate_is_not_better() -> None:
    world = World(7)
    base, clean = baseline(world), control(world)
    champion = train(base.rows, base.labels, seed=7)
    nothing = Labelled(np.empty((0, 8)), np.empty(0, dtype=np.int8))
    made = compare(champion, base=base, recent=nothing, clean=clean, seed=7)
    assert (made.quality.rows, made.better) == (len(clean), False)
    assert compare(champion.with_nan_weight(), base=base, recent=nothing, clean=clean, seed=7).better


def test_join_leaves_out_rows_without_label_or_finite_features() -> None:
    good = {"id": "t-1", "features": [1, 2.0, 3, 4, 5, 6, 7, 8]}
    rows = [
        good,
        {"id": "t-2", "features": good["features"]},
        {"id": "t-3", "features": [float("nan")] * 8},
        {"id": "t-4", "features": []},
        {"id": "t-5"},
        {"features": good["features"]},
    ]
    joined = join(rows, {"t-1": 1, "t-3": 0, "t-4": 0, "t-5": 0})
    assert (joined.rows.tolist(), joined.labels.tolist()) == ([good["features"]], [1])
