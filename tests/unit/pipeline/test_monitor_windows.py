"""Rows, labels and traffic folded into gauges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import schema, training
from pipeline.model import DECISION_THRESHOLD, Model, train
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.quality import QUALITY_ROWS, QualityWindow
from pipeline.monitor.reference import Reference, make_reference
from pipeline.monitor.traffic import Traffic
from pipeline.monitor.windows import RowWindow
from pipeline.world import World

SEED = 11
WORLD = World(SEED)


@pytest.fixture(scope="module")
def model() -> Model:
    base = training.baseline(WORLD)
    return train(base.rows, base.labels, seed=SEED)


@pytest.fixture(scope="module")
def reference(model: Model) -> Reference:
    return make_reference(WORLD, model)


@pytest.fixture
def window(reference: Reference) -> RowWindow:
    return RowWindow(reference)


def gauges_of(*published: Any) -> Gauges:
    gauges = Gauges()
    for one in published:
        one.publish(gauges)
    return gauges


def feed(
    window: RowWindow,
    model: Model,
    *,
    rows: int,
    first: int = 0,
    regime: str = "baseline",
    damage: Callable[[int, dict[str, Any]], None] = lambda _i, _transaction: None,
) -> None:
    """Decisions as the gateway makes them, on transactions damaged on the way to it."""
    history = WORLD.history(rows, first=first, regime=regime)
    names = list(history.stored)
    for i, transaction in enumerate(WORLD.transactions(first, rows, regime=regime)):
        transaction["event_time"] = 1.8e9
        damage(i, transaction)
        stored = {name: history.stored[name][i].item() for name in names}
        features = schema.vector(transaction, stored)
        score = float(model.scores([features])[0])
        window.add(
            {
                "transaction": transaction,
                "score": score,
                "decision": "decline" if score >= DECISION_THRESHOLD else "approve",
                "features": features,
                "stored": stored,
                "feature_status": "fresh",
            }
        )


def test_every_gauge_is_there_and_quiet_before_the_first_row(window: RowWindow):
    gauges = gauges_of(window)
    assert gauges.value("monitor_null_share", column="amount") == 0.0
    assert gauges.value("monitor_range_share", column="amount") == 0.0
    assert gauges.value("monitor_repeat_excess", column="amount") == 0.0
    assert gauges.value("monitor_drift_decades_max") == 0.0
    assert gauges.value("monitor_amount_shift_decades") < 0.2
    assert gauges.value("monitor_nonfinite_dropped") == 0.0


def test_clean_rows_stay_quiet(window: RowWindow, model: Model):
    feed(window, model, rows=400)
    gauges = gauges_of(window)
    assert max(gauges.reading()["monitor_null_share"].values()) == 0.0
    assert gauges.value("monitor_violation_share") == 0.0
    assert gauges.value("monitor_drift_decades_max") < 5.0
    assert gauges.value("monitor_score_drift_decades") < 5.0


def test_nulls_are_counted_in_their_column_and_poison_nothing(window: RowWindow, model: Model):
    def null(i: int, transaction: dict[str, Any]) -> None:
        if i % 10 == 0:
            transaction["amount"] = None

    feed(window, model, rows=200, damage=null)
    gauges = gauges_of(window)
    assert gauges.value("monitor_null_share", column="amount") == 0.1
    assert gauges.value("monitor_null_share", column="device") == 0.0
    assert gauges.value("monitor_violation_share") == 0.1
    assert gauges.value("monitor_nonfinite_dropped") == 0.0


def test_a_wrong_type_counts_as_unreadable(window: RowWindow, model: Model):
    feed(window, model, rows=200, damage=lambda _i, transaction: transaction.update(amount="12,5"))
    assert gauges_of(window).value("monitor_null_share", column="amount") == 1.0


def test_another_unit_moves_the_median_and_leaves_the_range(window: RowWindow, model: Model):
    feed(window, model, rows=200, damage=lambda _i, t: t.update(amount=t["amount"] * 100.0))
    gauges = gauges_of(window)
    assert gauges.value("monitor_amount_shift_decades") == pytest.approx(2.0, abs=0.2)
    assert gauges.value("monitor_range_share", column="amount") > 0.05
    assert gauges.value("monitor_client_amount_shift_decades", client="client-a") > 1.6


def test_one_clients_unit_is_seen_in_that_client_alone(window: RowWindow, model: Model):
    def scale(_i: int, transaction: dict[str, Any]) -> None:
        if transaction["client_id"] == "client-f":
            transaction["amount"] *= 100.0

    feed(window, model, rows=1_000, damage=scale)
    gauges = gauges_of(window)
    assert gauges.value("monitor_client_amount_shift_decades", client="client-f") > 1.6
    assert gauges.value("monitor_client_amount_shift_decades", client="client-a") < 0.5
    assert gauges.value("monitor_amount_shift_decades") < 0.5


def test_a_frozen_amount_is_a_repeat_and_no_violation(window: RowWindow, model: Model):
    feed(window, model, rows=200, damage=lambda _i, transaction: transaction.update(amount=19.99))
    gauges = gauges_of(window)
    assert gauges.value("monitor_repeat_excess", column="amount") > 0.9
    assert gauges.value("monitor_violation_share") == 0.0


def test_a_covariate_shift_is_drift_and_no_unit_change(window: RowWindow, model: Model):
    feed(window, model, rows=300, regime="shifted")
    gauges = gauges_of(window)
    assert gauges.value("monitor_drift_decades", feature="amount_log") > 5.0
    assert gauges.value("monitor_drift_decades", feature="night") < 5.0
    assert gauges.value("monitor_amount_shift_decades") < 1.6


def test_a_failed_lookup_is_no_null_of_the_store_but_a_missing_key_is(window: RowWindow):
    clean = {**WORLD.transactions(0, 1)[0], "event_time": 1.8e9}
    for i in range(200):
        window.add({"transaction": {**clean, "id": f"a{i}"}, "stored": {}, "feature_status": "failed"})
    assert gauges_of(window).value("monitor_null_share", column="merchant_risk") == 0.0
    for i in range(100):
        window.add({"transaction": {**clean, "id": f"b{i}"}, "stored": {}, "feature_status": "missing"})
    assert gauges_of(window).value("monitor_null_share", column="merchant_risk") == 0.5


def test_a_second_delivery_is_a_duplicate(window: RowWindow, model: Model):
    feed(window, model, rows=100)
    feed(window, model, rows=100)
    assert gauges_of(window).value("monitor_duplicate_share") == 0.5


def test_refilling_forgets_the_damage(window: RowWindow, model: Model):
    feed(window, model, rows=300, regime="shifted", damage=lambda _i, t: t.update(device=None))
    window.refill()
    gauges = gauges_of(window)
    assert gauges.value("monitor_null_share", column="device") == 0.0
    assert gauges.value("monitor_drift_decades_max") == 0.0


# -- quality ----------------------------------------------------------------------------------------------------


def decided(identity: str, decision: str, client: str = "c", event_t: float = 0.0) -> dict[str, Any]:
    return {"transaction": {"id": identity, "client_id": client, "event_time": event_t}, "decision": decision}


def test_quality_joins_decisions_and_labels_by_id_in_either_order():
    quality = QualityWindow([True] * QUALITY_ROWS)
    quality.decided(decided("1", "approve"))
    quality.labelled({"id": "1", "label": 1})
    quality.labelled({"id": "2", "label": 1})
    quality.decided(decided("2", "decline"))
    assert quality.answer()["labelled"] == 2
    assert quality.overall == (QUALITY_ROWS - 1) / QUALITY_ROWS


def test_a_label_alone_or_twice_counts_nothing_more():
    quality = QualityWindow([True] * QUALITY_ROWS)
    quality.labelled({"id": "nobody", "label": 0})
    quality.decided(decided("1", "decline"))
    quality.decided(decided("2", "decline"))
    for _ in range(3):
        quality.labelled({"id": "1", "label": 0})
    quality.labelled({"id": "2", "label": None})
    assert (quality.answer()["labelled"], quality.answer()["waiting"]) == (1, 1)


def test_quality_falls_with_wrong_decisions_and_by_segment():
    quality = QualityWindow([True] * QUALITY_ROWS)
    for i in range(QUALITY_ROWS):
        quality.decided(decided(str(i), "approve", client="a" if i % 2 else "b"))
        quality.labelled({"id": str(i), "label": i % 2})
    assert quality.overall == 0.5
    assert quality.segments() == {"a": 0.0, "b": 1.0}
    quality.refill()
    assert quality.overall == 1.0
    assert quality.segments() == {}


def test_quality_counts_what_was_labelled_since_it_is_low():
    quality = QualityWindow([True] * QUALITY_ROWS)
    wrong = [i % 4 == 0 for i in range(200)]
    assert "low_since_t" not in quality.answer()
    for i, is_wrong in enumerate(wrong):
        quality.decided(decided(str(i), "decline" if is_wrong else "approve", event_t=1000.0 + i))
        quality.labelled({"id": str(i), "label": 0, "t": 9.0})
    first_low = 4 * 12 + 1  # the thirteenth wrong one makes 137 of 150
    assert quality.answer()["labelled_low"] == len(wrong) - first_low + 1
    assert quality.answer()["low_since_t"] == 1000.0 + first_low - 1
    for i in range(200, 400):
        quality.decided(decided(str(i), "approve"))
        quality.labelled({"id": str(i), "label": 0})
    assert quality.answer()["labelled_low"] == 0
    assert "low_since_t" not in quality.answer()


def test_the_clean_history_that_fills_quality_was_decided_well(reference: Reference):
    assert QualityWindow(reference.fill_right).overall > 0.97


# -- traffic ----------------------------------------------------------------------------------------------------


def traffic_gauges(traffic: Traffic, now: float) -> Gauges:
    gauges = Gauges()
    traffic.publish(gauges, now=now)
    return gauges


def decide(traffic: Traffic, start: float, end: float, **fields: Any) -> None:
    """Fifty decisions a second from `start` to `end`."""
    record = {"fallback": False, "feature_age_s": 0.8, "replica": "serving-a", "model_version": "1", **fields}
    for i in range(round((end - start) * 50)):
        traffic.decided(record, now=start + i / 50)


def answer(traffic: Traffic, start: float, end: float, *, latency_ms: float = 20.0) -> None:
    """A reading of 25 log lines every half second."""
    at = start
    while at < end:
        traffic.answered([{"latency_ms": latency_ms}] * 25, now=at, objective_s=0.25)
        at += 0.5


def test_no_traffic_says_nothing_bad():
    gauges = traffic_gauges(Traffic(), 100.0)
    assert gauges.value("monitor_fallback_share") == 0.0
    assert gauges.value("monitor_volume_ratio") == 1.0
    assert gauges.value("monitor_gateway_latency_p95_seconds") == 0.0


def test_fallbacks_are_a_share_of_the_last_seconds():
    traffic = Traffic()
    decide(traffic, 0, 10)
    decide(traffic, 10, 12, fallback=True)
    assert traffic_gauges(traffic, 12.0).value("monitor_fallback_share") == pytest.approx(0.5, abs=0.02)


def test_an_age_that_is_missing_is_left_out():
    traffic = Traffic()
    decide(traffic, 0, 2, feature_age_s=None)
    decide(traffic, 2, 3, feature_age_s=6.0)
    assert traffic_gauges(traffic, 3.0).value("monitor_served_age_seconds") == 6.0


def test_volume_falls_when_rows_stop():
    traffic = Traffic()
    decide(traffic, 0, 20)
    assert traffic_gauges(traffic, 20.0).value("monitor_volume_ratio") == pytest.approx(1.0, abs=0.05)
    assert traffic_gauges(traffic, 24.5).value("monitor_volume_ratio") == 0.0


def test_rows_that_never_reach_the_stream_are_lost():
    traffic = Traffic()
    decide(traffic, 0, 10)
    answer(traffic, 0, 10)
    assert traffic_gauges(traffic, 10.0).value("monitor_rows_lost_share") < 0.1
    answer(traffic, 10, 16)
    assert traffic_gauges(traffic, 16.0).value("monitor_rows_lost_share") == pytest.approx(1.0, abs=0.05)


def test_one_stall_is_slow_at_p95_but_fills_few_buckets():
    traffic = Traffic()
    answer(traffic, 0, 5)
    answer(traffic, 5, 6, latency_ms=800)
    gauges = traffic_gauges(traffic, 6.0)
    assert gauges.value("monitor_gateway_latency_p95_seconds") == 0.8
    assert gauges.value("monitor_gateway_slow_buckets") == 2
    answer(traffic, 6, 8)
    assert traffic_gauges(traffic, 8.0).value("monitor_gateway_slow_buckets") == 3
    answer(traffic, 8, 12, latency_ms=800)
    assert traffic_gauges(traffic, 12.0).value("monitor_gateway_slow_buckets") == 8


def test_what_is_slow_once_a_second_is_slow_all_the_time():
    """As when look-ups wait for a refresh: every other half second is quick."""
    traffic = Traffic()
    for second in range(6):
        answer(traffic, second, second + 0.5, latency_ms=600)
        answer(traffic, second + 0.5, second + 1.0)
    assert traffic_gauges(traffic, 6.0).value("monitor_gateway_slow_buckets") == 8


def test_synthetic_requests_are_left_out_of_latency():
    traffic = Traffic()
    answer(traffic, 0, 3)
    traffic.answered([{"latency_ms": 9_000, "synthetic": True}] * 50, now=3.0, objective_s=0.25)
    assert traffic_gauges(traffic, 3.1).value("monitor_gateway_latency_p95_seconds") == 0.02


def test_the_version_served_is_that_of_the_newest_decision():
    traffic = Traffic()
    decide(traffic, 0, 1, model_version="1")
    decide(traffic, 1, 2, model_version="2", fallback=True)
    decide(traffic, 1, 2, model_version="", replica="", fallback=True)
    assert traffic.served_versions(now=2.0) == {"serving-a": "2"}
    assert traffic.served_versions(now=5.0) == {}
