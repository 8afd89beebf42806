"""Readiness, restarts, exits, versions, jobs, canary and parity, on literal readings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import schema
from pipeline.aggregates import Aggregates
from pipeline.monitor.canary import ROUND_SIZE, CanaryWindow, GoldenRounds, Round, load_golden
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.parity import HOLD_S, WINDOW_ROWS, Parity
from pipeline.monitor.probes import (
    EVICTED_SHOWN_S,
    EXIT_SHOWN_S,
    GRACE_S,
    RESTART_SHOWN_S,
    ErrorShare,
    ExitsFile,
    JobWatch,
    RoleWatch,
    StoreWatch,
    Versions,
    registry_silence,
    started_at,
)
from pipeline.world import World

GOLDEN = Path(__file__).parents[3] / "fixtures" / "pipeline" / "golden" / "canary.json"


def role_gauges(role: RoleWatch, now: float) -> Gauges:
    gauges = Gauges()
    role.publish(gauges, now=now)
    return gauges


def ready(role: RoleWatch, now: float) -> float | None:
    return role_gauges(role, now).value("monitor_role_ready", service=role.service)


def metrics(started: float) -> str:
    return f'# HELP x\nhttp_requests_total{{path="/ready"}} 3.0\nhttp_requests_created{{path="/ready"}} {started!r}\n'


def test_only_a_replica_says_for_how_long_the_registry_is_silent():
    assert registry_silence(metrics(100.5)) is None
    assert registry_silence("# HELP serving_registry_silent_seconds x\nserving_registry_silent_seconds 2.5\n") == 2.5


def test_a_silent_registry_is_told_of_replicas_that_were_ready_as_long_as_they_can_be_asked():
    role = RoleWatch("serving-a", now=0.0)
    role.polled(ready=False)
    role.scraped("serving_registry_silent_seconds 2.5\n", now=1.0)

    def told() -> float | None:
        role.publish(gauges, now=1.0)
        return gauges.value("monitor_registry_silent_seconds", service="serving-a")

    gauges = Gauges()
    assert told() is None, "the pipeline is starting"
    role.polled(ready=True)
    assert told() == 2.5
    role.polled(ready=False)
    assert told() == 2.5, "a fresh replica without a model still says what it waits for"
    role.unreadable()
    assert told() is None


def test_a_role_is_not_missing_while_the_pipeline_starts():
    role = RoleWatch("bus", now=0.0)
    role.polled(ready=False)
    assert ready(role, 5.0) is None
    assert ready(role, GRACE_S + 1) == 0.0


def test_a_role_that_was_ready_is_missed_at_once():
    role = RoleWatch("bus", now=0.0)
    assert role.polled(ready=True)
    assert not role.polled(ready=True)
    assert ready(role, 1.0) == 1.0
    role.polled(ready=False)
    assert ready(role, 2.0) == 0.0
    assert role.polled(ready=True)


def test_a_restart_is_a_later_start_time_and_is_shown_for_a_while():
    role = RoleWatch("bus", now=0.0)
    for now, started in ((1.0, 100.0), (2.0, 100.0), (3.0, 103.5)):
        role.scraped(metrics(started), now=now)
    assert role_gauges(role, 3.5).value("monitor_role_restarts", service="bus") == 1.0
    assert role_gauges(role, 4.0 + RESTART_SHOWN_S).value("monitor_role_restarts", service="bus") == 0.0


def test_a_reset_forgets_restarts_but_knows_the_process():
    role = RoleWatch("bus", now=0.0)
    role.scraped(metrics(100.0), now=1.0)
    role.forget(now=2.0)
    assert role_gauges(role, 3.0).value("monitor_role_restarts", service="bus") == 0.0
    role.scraped(metrics(110.0), now=4.0)
    assert role_gauges(role, 4.0).value("monitor_role_restarts", service="bus") == 1.0


def test_room_on_the_disk_is_shown_where_a_role_tells_it():
    role = RoleWatch("ingest", now=0.0)
    role.scraped(metrics(100.0), now=1.0)
    assert role_gauges(role, 1.0).value("monitor_state_free_bytes", service="ingest") is None
    role.scraped(metrics(100.0) + "state_free_bytes 1.5e+06\nstate_foreign_bytes 0.0\n", now=2.0)
    shown = role_gauges(role, 2.0)
    assert shown.value("monitor_state_free_bytes", service="ingest") == 1.5e6
    assert shown.value("monitor_state_foreign_bytes", service="ingest") == 0.0
    role.forget(now=3.0)
    assert role_gauges(role, 3.0).value("monitor_state_free_bytes", service="ingest") is None


def store_page(evicted: float, *, used: float = 8e6) -> str:
    return f"evicted_keys_total {evicted}\nstore_used_bytes {used}\nstore_limit_bytes 1.6e+07\n"


def test_evictions_are_counted_from_the_first_look_on_and_shown_for_a_while():
    store = StoreWatch()
    for now, evicted in ((0.0, 40.0), (1.0, 40.0), (2.0, 43.0), (3.0, 44.0)):
        store.scraped(store_page(evicted), now=now)
        store.publish(gauges := Gauges(), now=now)
        assert gauges.value("monitor_evicted_keys") == max(0.0, evicted - 40.0)
    assert gauges.value("monitor_store_used_share") == 0.5
    store.scraped(store_page(44.0), now=2.5 + EVICTED_SHOWN_S)
    store.publish(gauges, now=2.5 + EVICTED_SHOWN_S)
    assert gauges.value("monitor_evicted_keys") == 1.0


def test_evictions_are_shown_for_as_long_as_the_store_is_full():
    store, gauges = StoreWatch(), Gauges()
    store.scraped(store_page(0.0), now=0.0)
    for now in (1.0, 2.0 + EVICTED_SHOWN_S):
        store.scraped(store_page(40.0, used=1.7e7), now=now)
        store.publish(gauges, now=now)
        assert gauges.value("monitor_evicted_keys") == 40.0
    store.scraped(store_page(40.0), now=3.0 + EVICTED_SHOWN_S)
    store.publish(gauges, now=3.0 + EVICTED_SHOWN_S)
    assert gauges.value("monitor_evicted_keys") == 0.0


def test_a_new_store_counts_evictions_from_zero():
    store = StoreWatch()
    store.scraped(store_page(40.0), now=0.0)
    store.scraped(store_page(2.0), now=1.0)
    store.scraped("up 1\n", now=2.0)
    store.publish(gauges := Gauges(), now=2.0)
    assert gauges.value("monitor_evicted_keys") == 2.0


def test_the_start_time_is_what_the_process_says_or_its_oldest_counter():
    assert started_at(metrics(100.5) + "process_start_time_seconds 90.25\n") == 90.25
    assert started_at(metrics(100.5) + 'other_created{a="b"} 101.0\n') == 100.5
    assert started_at("up 1\n") is None


def exits_gauges(exits: ExitsFile, now: float) -> Gauges:
    gauges = Gauges()
    exits.publish(gauges, now=now)
    return gauges


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(lines))


def exit_line(service: str, reason: str) -> str:
    return json.dumps({"t": 1.0, "service": service, "reason": reason, "code": 137}) + "\n"


def test_exits_are_read_on_from_where_they_ended(tmp_path: Path):
    path = tmp_path / "exits.jsonl"
    append(path, exit_line("bus", "memory"))
    exits = ExitsFile(path)
    exits.read(now=1.0)
    assert exits_gauges(exits, 1.0).value("monitor_role_exits", service="bus", reason="memory") is None
    append(path, exit_line("serving-a", "memory"), exit_line("serving-a", "memory")[:20])
    exits.read(now=2.0)
    append(path, exit_line("serving-a", "memory")[20:], "not json\n")
    exits.read(now=3.0)
    assert exits_gauges(exits, 3.0).value("monitor_role_exits", service="serving-a", reason="memory") == 2.0
    assert exits_gauges(exits, 3.5 + EXIT_SHOWN_S).reading().get("monitor_role_exits") is None


def test_a_list_of_exits_that_comes_later_or_is_replaced_is_read_from_its_start(tmp_path: Path):
    path = tmp_path / "exits.jsonl"
    exits = ExitsFile(path)
    exits.read(now=1.0)
    append(path, exit_line("bus", "signal") * 3)
    exits.read(now=2.0)
    path.write_text(exit_line("bus", "memory"))
    exits.read(now=3.0)
    gauges = exits_gauges(exits, 3.0)
    assert gauges.value("monitor_role_exits", service="bus", reason="signal") == 3.0
    assert gauges.value("monitor_role_exits", service="bus", reason="memory") == 1.0


def wrong(versions: Versions, **answered: str) -> dict[str, float]:
    gauges = Gauges()
    versions.publish(gauges, answered={name.replace("_", "-"): version for name, version in answered.items()})
    return {
        dict(labels)["service"]: value for labels, value in gauges.reading().get("monitor_version_wrong", {}).items()
    }


def test_either_witness_of_another_version_is_enough():
    versions = Versions()
    versions.serves("serving-a", "1")
    assert wrong(versions) == {}
    versions.intended({"champion": "2", "champion_digest": "d"})
    versions.serves("serving-b", "2")
    assert wrong(versions, serving_a="1", serving_b="2") == {"serving-a": 1.0, "serving-b": 0.0}
    assert wrong(versions, serving_b="1") == {"serving-a": 1.0, "serving-b": 1.0}
    versions.serves("serving-a", None)
    assert wrong(versions, serving_b="2") == {"serving-b": 0.0}


def test_failures_running_are_counted_until_a_run_succeeds():
    jobs, gauges = JobWatch("features"), Gauges()
    for status in ("failed", "ok", "failed", "failed"):
        jobs.ran({"job": "materialise", "status": status})
    jobs.publish(gauges)
    assert gauges.value("monitor_job_failures_max", service="features") == 2.0
    jobs.ran({"job": "materialise", "status": "ok"})
    jobs.publish(gauges)
    assert gauges.value("monitor_job_failures_max", service="features") == 0.0


def counters(ok: int, errors: int) -> str:
    return (
        f'http_requests_total{{path="/decide",status="200"}} {float(ok)}\n'
        f'http_requests_total{{path="/decide",status="503"}} {float(errors)}\n'
        'http_requests_total{path="/ready",status="503"} 900.0\n'
    )


def test_the_error_share_is_that_between_two_readings():
    errors, shares = ErrorShare(), []
    for ok, failed in ((1000, 500), (1050, 500), (1075, 525), (10, 30)):
        errors.scraped(counters(ok, failed))
        shares.append(errors.share)
    assert shares == [0.0, 0.0, 0.5, 0.75]


# -- canary -----------------------------------------------------------------------------------------------------


def canary_gauges(*rounds: Round) -> Gauges:
    window, gauges = CanaryWindow(), Gauges()
    for one in rounds:
        window.add(one)
        window.publish(gauges)
    window.publish(gauges)
    return gauges


GOOD = Round(right=8, wrong=0, fallback=0, errors=0)


def test_every_round_asks_for_both_answers_and_all_come_in_turn():
    rounds = GoldenRounds(load_golden(GOLDEN))
    asked = [golden for _ in range(3) for golden in rounds.next_round()]
    assert len(asked) == 3 * ROUND_SIZE
    assert {golden.decision for golden in asked[:ROUND_SIZE]} == {"approve", "decline"}
    assert {g.transaction["id"] for g in asked} == {g.transaction["id"] for g in load_golden(GOLDEN)}


def test_a_set_with_one_answer_only_is_refused():
    approvals = [golden for golden in load_golden(GOLDEN) if golden.decision == "approve"]
    with pytest.raises(ValueError, match="both answers"):
        GoldenRounds(approvals)


def test_half_a_round_wrong_is_over_the_bound_at_once():
    assert canary_gauges(GOOD, Round(4, 4, 0, 0)).value("monitor_canary_wrong_share") == 0.25


def test_lost_and_fallback_answers_are_not_wrong_ones():
    gauges = canary_gauges(GOOD, Round(right=4, wrong=0, fallback=2, errors=2))
    assert gauges.value("monitor_canary_wrong_share") == 0.0
    assert gauges.value("monitor_canary_error_share") == 2 / 16
    assert gauges.value("monitor_canary_fallback_share") == 2 / 16


def test_without_an_answer_of_a_model_there_is_no_wrong_share():
    nobody = Round(right=0, wrong=0, fallback=8, errors=0)
    assert canary_gauges().value("monitor_canary_wrong_share") == 0.0
    assert canary_gauges(nobody, nobody).value("monitor_canary_wrong_share") is None


# -- parity -----------------------------------------------------------------------------------------------------

WORLD = World(5)
START = 1.8e9


class Online:
    """The features role and the gateway in small: what is served a second after it happened."""

    def __init__(self) -> None:
        self.aggregates = Aggregates(WORLD)
        self.parity = Parity(WORLD)
        self.now = START

    def run(self, first: int, rows: int, *, damage: Any = lambda _stored, _features: None) -> float:
        """The wrong share after so many rows at fifty a second."""
        unfolded: list[tuple[str, str, float]] = []
        items = self.aggregates.items()
        made_at = self.now
        for transaction in WORLD.transactions(first, rows):
            self.now += 0.02
            if self.now - made_at >= 1.0:
                self.aggregates.fold(unfolded)
                items, made_at = self.aggregates.items(), self.now
                unfolded = []
            customer, merchant = transaction["customer_id"], transaction["merchant_id"]
            stored = items[f"customer:{customer}"] | items[f"merchant:{merchant}"]
            features = schema.vector(transaction, stored)
            damage(stored, features)
            record = {
                "transaction": transaction,
                "stored": stored,
                "features": features,
                "feature_status": "fresh",
                "feature_age_s": self.now - made_at,
                "t": self.now,
            }
            self.parity.decided(record, now=self.now)
            row = {**transaction, "t": self.now}
            unfolded.append((customer, merchant, transaction["amount"]))
            self.parity.stored(row)
            self.parity.compare(now=self.now)
        gauges = Gauges()
        self.parity.publish(gauges)
        share = gauges.value("monitor_parity_wrong_share")
        assert share is not None
        return share


def test_clean_features_agree_in_spite_of_the_lag():
    assert Online().run(0, 3_000) == 0.0


def test_a_swapped_column_is_wrong_though_its_inputs_are_right():
    def swap(_stored: dict[str, Any], features: list[float]) -> None:
        features[0], features[1] = features[1], features[0]

    assert Online().run(0, WINDOW_ROWS + round((HOLD_S + 1) * 50), damage=swap) == 1.0


def test_a_join_to_somebody_else_is_wrong():
    strangers = iter(list(Aggregates(WORLD).items().values())[:400] * 2)

    def shuffle(stored: dict[str, Any], features: list[float]) -> None:
        stored |= {k: v for k, v in next(strangers).items() if k.startswith("customer_")}
        features[:] = schema.vector({}, {})

    assert Online().run(0, WINDOW_ROWS + round((HOLD_S + 1) * 50), damage=shuffle) == 1.0


def test_a_stale_profile_is_wrong_though_the_features_follow_from_it():
    def stale(stored: dict[str, Any], features: list[float]) -> None:
        stored["merchant_risk"] += 0.01
        features[schema.FEATURES.index("merchant_risk")] += 0.01

    assert Online().run(0, WINDOW_ROWS + round((HOLD_S + 1) * 50), damage=stale) == 1.0


def test_a_backfill_elsewhere_is_followed_by_a_rebuild():
    online = Online()
    bad = [
        {"customer_id": f"c-{i:04d}", "merchant_id": f"m-{i % 72:03d}", "amount": 5_000.0, "t": START}
        for i in range(500)
    ]
    online.aggregates.fold((row["customer_id"], row["merchant_id"], row["amount"]) for row in bad)
    for row in bad:
        online.parity.stored(row)
    assert online.run(0, 500) == 0.0
    online.aggregates = Aggregates(WORLD)
    assert online.run(500, 500) > 0.2
    online.aggregates = Aggregates(WORLD)
    online.parity = Parity(WORLD)
    online.parity.rebuild([])
    assert online.run(1_000, 500) == 0.0


def test_a_lookup_that_gave_nothing_is_not_compared():
    parity, gauges = Parity(WORLD), Gauges()
    for i in range(WINDOW_ROWS):
        transaction = WORLD.transactions(i, 1)[0]
        parity.decided({"transaction": transaction, "stored": {}, "features": [], "feature_status": "failed"}, now=1.0)
    parity.compare(now=100.0)
    parity.publish(gauges)
    assert gauges.value("monitor_parity_wrong_share") == 0.0
