"""Features are what rows say, as old as they say, and stay there when the job fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import bus, features, goldens, ingest, web
from pipeline.aggregates import PROFILE_WEIGHT, Aggregates
from pipeline.world import World
from tests.unit.pipeline.roles import SEED, Role, decision, serving, until

WORLD = World(int(SEED))
T = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Trio:
    bus: Role
    ingest: Role
    features: Role
    standby: Role

    def send(self, *transactions: dict) -> None:
        """Put payments on the bus and wait until they are rows."""
        known = self.ingest.get("/lineage")["next"]
        self.bus.post("/streams/decisions", {"entries": [decision(t) for t in transactions]})
        until(lambda: len(self.ingest.records("/lineage", known)) == len(transactions), "rows are there")


@contextmanager
def trio(tmp_path: Path) -> Iterator[Trio]:
    with ExitStack() as stack:
        bus_role = stack.enter_context(serving(bus.build, tmp_path / "bus"))
        rows = stack.enter_context(serving(ingest.build, tmp_path / "ingest", BUS_URL=bus_role.url))
        env = {"STORE_URL": bus_role.url, "INGEST_URL": rows.url}
        primary = stack.enter_context(serving(features.build, tmp_path / "f", MATERIALISE="1", **env))
        standby = stack.enter_context(serving(features.build, tmp_path / "s", **env))
        until(lambda: primary.status("/ready") == standby.status("/ready") == 200, "features are ready")
        yield Trio(bus_role, rows, primary, standby)


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Trio]:
    with trio(tmp_path) as roles:
        yield roles


def payment(seq: int, **changes: object) -> dict:
    return WORLD.transactions(seq, 1, event_time=T + seq)[0] | changes


def look(role: Role, transaction: dict) -> dict:
    return role.post("/lookup", {name: transaction[name] for name in ("customer_id", "merchant_id")})


def mean_of(role: Role, transaction: dict) -> float:
    return look(role, transaction)["values"]["customer_amount_mean"]


def profile(transaction: dict) -> dict:
    return WORLD.customers()[transaction["customer_id"]] | WORLD.merchants()[transaction["merchant_id"]]


def test_without_rows_values_are_the_profiles(roles: Trio) -> None:
    for role in (roles.features, roles.standby):
        before = time.time()
        found = look(role, payment(0))
        assert found["values"] == profile(payment(0))
        assert found["status"] == "fresh"
        assert before <= found["event_time"] + found["age_s"] <= time.time()


def test_bad_amounts_damage_means_until_quarantined_and_backfilled(roles: Trio) -> None:
    bad = payment(0, amount=9000.0)
    clean = profile(bad)["customer_amount_mean"]
    expected = (PROFILE_WEIGHT * clean + 9000.0) / (PROFILE_WEIGHT + 1)
    roles.send(bad)
    until(lambda: mean_of(roles.features, bad) == pytest.approx(expected, abs=1e-3), "the mean is damaged")
    assert roles.ingest.post("/ops/quarantine", {"since": T}) == {"rows": 1}
    run = roles.features.get("/jobs")["next"]
    until(lambda: roles.features.records("/jobs", run), "a run passes")
    assert mean_of(roles.features, bad) == pytest.approx(expected, abs=1e-3)
    assert roles.features.post("/ops/backfill", {"since": T}) == {"rows": 0, "customers": 500}
    assert mean_of(roles.features, bad) == clean
    assert mean_of(roles.standby, bad) == clean
    assert bad["customer_id"] in [r["id"] for r in roles.features.records("/backfills")]


def test_a_failing_job_lets_values_go_stale_and_still_gives_them(roles: Trio) -> None:
    roles.features.patch(ttl_s=0.3, job_fail="disk quota exceeded")
    roles.standby.patch(ttl_s=0.3)
    until(lambda: roles.features.records("/jobs")[-1]["status"] == "failed", "a run has failed")
    for role in (roles.features, roles.standby):
        until(lambda role=role: look(role, payment(0))["status"] == "stale", "values go stale")
        assert look(role, payment(0))["values"] == profile(payment(0))
        assert role.get("/freshness")["status"] == "stale"
    assert roles.features.records("/jobs")[-1]["error"] == "disk quota exceeded"
    assert roles.features.get("/freshness")["failed_runs"] >= 1
    assert "disk quota" in roles.features.post("/ops/backfill", status=503)["error"]
    assert roles.features.status("/ready") == 200
    before = look(roles.features, payment(0))["event_time"]
    roles.features.patch(job_fail="", ttl_s=60.0)
    until(lambda: look(roles.features, payment(0))["event_time"] > before, "a run succeeds")
    assert roles.features.get("/freshness")["status"] == "fresh"


def test_event_time_moves_with_success_alone(roles: Trio) -> None:
    golden = goldens.requests("canary")[0]["body"]
    before = look(roles.features, golden)
    assert before["values"] == {
        **goldens.CUSTOMERS[golden["customer_id"]],
        **goldens.MERCHANTS[golden["merchant_id"]],
    }
    until(lambda: look(roles.features, golden)["event_time"] > before["event_time"], "a run moves it")
    roles.features.patch(job_fail="no")
    run = roles.features.get("/jobs")["next"]
    until(lambda: len(roles.features.records("/jobs", run)) >= 2, "runs fail")
    stopped = look(roles.features, golden)["event_time"]
    run = roles.features.get("/jobs")["next"]
    until(lambda: roles.features.records("/jobs", run), "another one")
    assert look(roles.features, golden)["event_time"] == stopped


def test_payments_never_touch_golden_customers(roles: Trio) -> None:
    golden = goldens.requests("prober")[0]["body"]
    roles.send(payment(0, customer_id=golden["customer_id"], merchant_id=golden["merchant_id"], amount=9000.0))
    roles.features.post("/ops/backfill")
    assert mean_of(roles.features, golden) == goldens.CUSTOMERS[golden["customer_id"]]["customer_amount_mean"]


def test_unknown_keys_are_missing(roles: Trio) -> None:
    known = payment(0)
    found = roles.features.post("/lookup", {"customer_id": known["customer_id"], "merchant_id": None})
    assert (found["status"], set(found["values"])) == ("missing", set(WORLD.customers()[known["customer_id"]]))
    nothing = roles.features.post("/lookup", {})
    assert (nothing["status"], nothing["values"], nothing["age_s"]) == ("missing", {}, None)


def test_many_lookups_are_as_one_by_one(roles: Trio) -> None:
    pairs = [{name: payment(s)[name] for name in ("customer_id", "merchant_id")} for s in range(5)]
    many = roles.features.post("/lookups", {"pairs": pairs})["items"]
    assert [item["values"] for item in many] == [look(roles.features, pair)["values"] for pair in pairs]


def test_a_damaged_row_fails_the_run_and_counts_nothing(tmp_path: Path) -> None:
    """All of a run or nothing: half-folded aggregates could not be told from whole ones."""
    rows = [payment(0, amount=9000.0) | {"t": T}, payment(1, amount=None) | {"t": T}]

    def stub(setup: web.Setup) -> web.Service:
        async def answer(_request: object) -> dict:
            return {"records": rows, "next": len(rows)}

        service = web.Service(setup)
        service.route("GET", "/rows", answer)
        return service

    with (
        serving(bus.build, tmp_path / "bus") as store,
        serving(stub, tmp_path / "stub") as damaged,
        serving(features.build, tmp_path / "f", MATERIALISE="1", STORE_URL=store.url, INGEST_URL=damaged.url) as role,
    ):
        until(lambda: len(role.records("/jobs")) >= 2, "runs fail")
        assert {job["status"] for job in role.records("/jobs")} == {"failed"}
        rows[1]["amount"] = 10.0
        until(lambda: role.status("/ready") == 200, "a run succeeds")
        clean = profile(rows[0])["customer_amount_mean"]
        assert mean_of(role, rows[0]) == pytest.approx(
            (PROFILE_WEIGHT * clean + 9000.0) / (PROFILE_WEIGHT + 1), abs=1e-3
        )


def test_chunks_make_no_difference_to_aggregates() -> None:
    rows = [(t["customer_id"], t["merchant_id"], t["amount"]) for t in WORLD.transactions(0, 300)]
    whole, parts = Aggregates(WORLD), Aggregates(WORLD)
    whole.fold(rows)
    for first in range(0, 300, 70):
        parts.fold(rows[first : first + 70])
    assert whole.items() == parts.items()
    parts.restore(whole.state())
    assert whole.items() == parts.items()


def test_a_killed_job_goes_on_with_its_damage(tmp_path: Path) -> None:
    bad = payment(0, amount=9000.0)
    with trio(tmp_path) as roles:
        roles.send(bad)
        until(lambda: mean_of(roles.features, bad) > profile(bad)["customer_amount_mean"] + 1, "damaged")
        damaged = mean_of(roles.features, bad)
        roles.ingest.post("/ops/quarantine", {"since": T})
    with trio(tmp_path) as roles:
        run = roles.features.get("/jobs")["next"]
        until(lambda: roles.features.records("/jobs", run), "a run passes")
        assert mean_of(roles.features, bad) == damaged


def test_without_the_store_it_says_so(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    with serving(features.build, tmp_path, MATERIALISE="1", STORE_URL=nowhere, INGEST_URL=nowhere) as role:
        assert "store" in role.post("/lookup", {"customer_id": "c-0001"}, status=503)["error"]
        assert role.status("/ready") == 503
        assert role.get("/freshness")["status"] == "missing"
        until(lambda: role.get("/freshness")["failed_runs"], "runs fail")


def test_reset_is_back_to_the_profiles_at_once(roles: Trio) -> None:
    bad = payment(0, amount=9000.0)
    roles.send(bad)
    until(lambda: mean_of(roles.features, bad) > profile(bad)["customer_amount_mean"] + 1, "damaged")
    roles.features.patch(job_fail="no")
    for role in (roles.bus, roles.ingest, roles.features, roles.standby):
        role.post("/admin/reset")
    found = look(roles.features, bad)
    assert (found["values"], found["status"]) == (profile(bad), "fresh")
    assert roles.features.get("/freshness")["failed_runs"] == 0


def test_the_standby_runs_no_job(roles: Trio) -> None:
    assert roles.standby.status("/jobs") == 404
    roles.standby.post("/ops/backfill", status=404)
