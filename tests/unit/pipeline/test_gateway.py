"""The gateway decides whatever is broken behind it, says how, and can decide again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pipeline import bus, gateway, goldens, ingest, schema, source, web
from pipeline.decisions import RULES_DECLINE_FROM
from pipeline.world import World
from tests.doubles.held_ports import free_port
from tests.unit.pipeline.roles import SEED, Role, gone, serving, until

WORLD = World(int(SEED))
T = 1_000_000.0
NOWHERE = "http://127.0.0.1:9"


@dataclass(slots=True)
class Behind:
    """Stubs of what is behind the gateway, and what they were asked. Scores are a tenth of the amount's
    logarithm."""

    values: dict[str, Any] | None = field(default_factory=dict)
    status: str = "fresh"
    fails: set[str] = field(default_factory=set)
    score: float | None = -1.0
    version: str = "1"
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def features(self, name: str) -> Any:
        def build(setup: web.Setup) -> web.Service:
            service = web.Service(setup)

            async def lookup(request: Request) -> Any:
                self._note(name, await web.body_json(request))
                return self._found()

            async def lookups(request: Request) -> Any:
                body = await web.body_json(request)
                self._note(name, body)
                return {"items": [self._found() for _ in body["pairs"]]}

            service.route("POST", "/lookup", lookup)
            service.route("POST", "/lookups", lookups)
            return service

        return build

    def serving(self, name: str) -> Any:
        def build(setup: web.Setup) -> web.Service:
            service = web.Service(setup)

            async def infer(request: Request) -> Any:
                body = await web.body_json(request)
                self._note(name, body)
                found = body["inputs"][0]
                rows = [found["data"][i : i + 8] for i in range(0, len(found["data"]), 8)]
                assert found["shape"] == [len(rows), 8]
                scores = [row[0] / 10 if self.score == -1.0 else self.score for row in rows]
                return {"model_version": self.version, "outputs": [{"name": "score", "data": scores}]}

            service.route("POST", "/v2/models/risk/infer", infer)
            return service

        return build

    def _note(self, name: str, body: Any) -> None:
        self.asked.append((name, body))
        if name in self.fails:
            raise web.RefusedError(503, "broken")

    def _found(self) -> Any:
        return {"values": self.values, "event_time": T, "age_s": 0.5, "status": self.status}

    def calls(self) -> Counter[str]:
        return Counter(name for name, _ in self.asked)


@dataclass(frozen=True, slots=True)
class Stage:
    gateway: Role
    bus: Role
    ingest: Role
    source: Role
    behind: Behind

    def decide(self, transaction: dict) -> dict:
        return self.gateway.post("/decide", transaction)

    def published(self) -> list[dict]:
        return [record["entry"] for record in self.bus.records("/streams/decisions")]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    behind = Behind()
    with ExitStack() as stack:

        def start(name: str, build: Any, **env: str) -> Role:
            return stack.enter_context(serving(build, tmp_path / name, service=name, **env))

        urls = {
            "FEATURES_URL": start("features", behind.features("features")).url,
            "FEATURES_STANDBY_URL": start("features-standby", behind.features("features-standby")).url,
            "SERVING_A_URL": start("serving-a", behind.serving("serving-a")).url,
            "SERVING_B_URL": start("serving-b", behind.serving("serving-b")).url,
        }
        bus_role = start("bus", bus.build)
        rows = start("ingest", ingest.build, BUS_URL=bus_role.url)
        sender = start("source", source.build)
        again = {"INGEST_URL": rows.url, "SOURCE_URL": sender.url}
        role = start("gateway", gateway.build, BUS_URL=bus_role.url, **again, **urls)
        yield Stage(role, bus_role, rows, sender, behind)


def payment(seq: int, **changes: object) -> dict:
    return WORLD.transactions(seq, 1, event_time=T + seq)[0] | changes


def test_a_decision_is_answered_logged_and_published(stage: Stage) -> None:
    sent = payment(0, amount=50.0)
    answer = stage.decide(sent)
    expected = schema.vector(sent, {})
    assert answer == {
        "id": "t-0-0",
        "decision": "approve",
        "score": expected[0] / 10,
        "model_version": "1",
        "replica": answer["replica"],
        "fallback": False,
        "feature_age_s": 0.5,
        "feature_status": "fresh",
    }
    (logged,) = stage.gateway.records("/decisions")
    assert answer.items() <= logged.items()
    assert sent.items() <= logged.items()
    assert len(sent) == 12
    assert logged["status"] == 200
    assert {"t", "latency_ms"} <= logged.keys()
    (entry,) = until(stage.published, "the bus has it")
    assert entry["transaction"] == sent
    assert answer.items() <= entry.items()
    assert (entry["features"], entry["stored"], entry["t"]) == (expected, {}, logged["t"])
    until(lambda: stage.ingest.records("/rows"), "ingest has made a row of it")


def test_the_log_tells_a_payment_as_it_was_received(stage: Stage) -> None:
    sent = payment(0, country="??", amount="12,5", device=None)
    del sent["merchant_id"]
    sent["amount_eur"] = 12.5
    stage.decide(sent)
    (logged,) = stage.gateway.records("/decisions")
    assert (logged["country"], logged["amount"], logged["device"]) == ("??", "12,5", None)
    assert not {"merchant_id", "amount_eur"} & logged.keys()


def test_the_threshold_decides(stage: Stage) -> None:
    stage.behind.score = 0.5
    assert stage.decide(payment(0))["decision"] == "decline"
    stage.gateway.patch(threshold=0.6)
    assert stage.decide(payment(0))["decision"] == "approve"


def test_synthetic_requests_are_logged_and_not_published(stage: Stage) -> None:
    golden = goldens.requests("prober")[0]["body"]
    stage.decide(golden)
    stage.decide(payment(0))
    entries = until(stage.published, "the bus has the other one")
    assert [entry["id"] for entry in entries] == ["t-0-0"]
    assert [r["synthetic"] for r in stage.gateway.records("/decisions")] == [True, False]
    assert stage.gateway.post("/ops/rescore")["rows"] == 1


def test_replicas_share_by_weight(stage: Stage) -> None:
    stage.gateway.patch(weight_a=3.0)
    for seq in range(80):
        stage.decide(payment(seq))
    expected = random.Random(int(SEED))
    share_a = sum(expected.random() * 4.0 < 3.0 for _ in range(80))
    assert stage.behind.calls()["serving-a"] == share_a
    assert stage.behind.calls()["serving-b"] == 80 - share_a > 0


def test_a_failing_replica_is_covered_by_the_other(stage: Stage) -> None:
    stage.behind.fails = {"serving-a"}
    answers = [stage.decide(payment(seq)) for seq in range(12)]
    assert {(a["replica"], a["fallback"]) for a in answers} == {("serving-b", False)}
    assert stage.gateway.metric('upstream_failures_total{upstream="serving-a"}') > 0


@pytest.mark.parametrize(
    ("amount", "expected"), [(RULES_DECLINE_FROM, "decline"), (119.0, "approve"), (None, "approve")]
)
def test_without_serving_rules_decide(stage: Stage, amount: float | None, expected: str) -> None:
    stage.behind.fails = {"serving-a", "serving-b"}
    answer = stage.decide(payment(0, amount=amount))
    assert (answer["decision"], answer["fallback"], answer["score"], answer["model_version"]) == (
        expected,
        True,
        None,
        "",
    )
    assert stage.behind.calls() == {"features": 1, "serving-a": 1, "serving-b": 1}
    assert stage.gateway.metric('fallbacks_total{reason="serving"}') == 1.0
    assert until(stage.published, "the bus has it")[0]["fallback"] is True


def test_without_features_rules_decide(stage: Stage) -> None:
    stage.behind.fails = {"features"}
    answer = stage.decide(payment(0, amount=200.0))
    assert (answer["decision"], answer["fallback"], answer["feature_status"]) == ("decline", True, "failed")
    assert answer["feature_age_s"] is None
    assert stage.gateway.metric('fallbacks_total{reason="features"}') == 1.0


def test_a_score_that_is_not_finite_never_decides(stage: Stage) -> None:
    """JSON has no NaN: serving says null."""
    stage.behind.score = None
    answer = stage.decide(payment(0, amount=200.0))
    assert (answer["decision"], answer["fallback"], answer["score"]) == ("decline", True, None)
    assert answer["model_version"] == "1"
    assert stage.gateway.metric('fallbacks_total{reason="score"}') == 1.0


def test_failover_and_failback(stage: Stage) -> None:
    assert stage.gateway.post("/ops/failover", {"upstream": "features"})["to"] == "standby"
    stage.decide(payment(0))
    stage.gateway.post("/ops/failback", {"upstream": "features"})
    stage.decide(payment(1))
    assert [name for name, _ in stage.behind.asked if name.startswith("features")] == ["features-standby", "features"]
    assert "unknown upstream" in stage.gateway.post("/ops/failover", {"upstream": "bus"}, status=400)["error"]


def test_drain_and_undrain(stage: Stage) -> None:
    stage.gateway.post("/ops/drain", {"replica": "serving-a"})
    stage.gateway.post("/ops/drain", {"replica": "serving-a"})
    assert {stage.decide(payment(seq))["replica"] for seq in range(8)} == {"serving-b"}
    assert stage.gateway.status("/ready") == 200
    stage.behind.fails = {"serving-b"}
    assert stage.decide(payment(9))["fallback"] is True
    assert stage.behind.calls()["serving-a"] == 0
    stage.gateway.post("/ops/drain", {"replica": "serving-b"})
    assert stage.gateway.status("/ready") == 503
    stage.gateway.post("/ops/undrain", {"replica": "serving-a"})
    assert stage.decide(payment(10))["replica"] == "serving-a"
    assert "unknown replica" in stage.gateway.post("/ops/drain", {"replica": "c"}, status=400)["error"]


def test_nulls_are_imputed_and_counted(stage: Stage) -> None:
    answer = stage.decide(payment(0, amount=None, country=None))
    assert answer["fallback"] is False
    assert stage.gateway.metric('imputed_fields_total{field="amount",kind="null"}') == 1.0
    assert stage.gateway.metric("imputed_fields_total{") == 2.0
    (_, asked) = next(call for call in stage.behind.asked if call[0].startswith("serving"))
    assert asked["inputs"][0]["data"][0] == pytest.approx(schema.vector({"amount": 0.0}, {})[0])


def test_missing_features_are_defaulted_and_counted(stage: Stage) -> None:
    stage.behind.status = "missing"
    answer = stage.decide(payment(0))
    assert (answer["fallback"], answer["feature_status"]) == (False, "missing")
    assert stage.gateway.metric("defaulted_lookups_total") == 1.0


@pytest.mark.parametrize("body", [{}, {"id": 5, "amount": "x"}, {"synthetic": "yes"}])
def test_any_object_gets_a_decision(stage: Stage, body: dict) -> None:
    assert stage.decide(body)["decision"] == "approve"


@pytest.mark.parametrize("body", [[], 5, "x"])
def test_anything_else_is_refused(stage: Stage, body: object) -> None:
    assert "must be an object" in stage.gateway.post("/decide", body, status=400)["error"]


def test_rescoring_corrects_what_a_bad_version_decided(stage: Stage) -> None:
    stage.behind.score, stage.behind.version = 0.9, "2"
    bad = [stage.decide(payment(seq)) for seq in range(3)]
    assert {a["decision"] for a in bad} == {"decline"}
    stage.behind.score, stage.behind.version = 0.1, "1"
    stage.decide(payment(3))
    assert stage.gateway.post("/ops/rescore", {"model_version": "2"}) == {"rows": 3, "changed": 3}
    found = stage.gateway.records("/rescored")
    assert [(r["id"], r["decision"], r["model_version"]) for r in found] == [(a["id"], "approve", "1") for a in bad]
    assert stage.gateway.post("/ops/rescore", {"since": 9e12}) == {"rows": 0, "changed": 0}
    assert stage.gateway.post("/ops/rescore", {"since": T, "until": T + 1.0})["rows"] == 2
    clients = [payment(seq)["client_id"] for seq in range(4)]
    assert 0 < clients.count(clients[0]) < 4
    assert stage.gateway.post("/ops/rescore", {"client_id": clients[0]})["rows"] == clients.count(clients[0])


def test_what_a_bad_deployment_sends_is_what_is_scored_logged_and_published(stage: Stage) -> None:
    sent = payment(0, amount=50.0)
    stage.gateway.patch(amount_transform="raw", swap_inputs="night,foreign")
    stage.decide(sent)
    whole = dict(zip(schema.FEATURES, schema.vector(sent, {}), strict=True))
    bad = {**whole, "amount_log": pytest.approx(50.0), "night": whole["foreign"], "foreign": whole["night"]}
    logged = stage.gateway.records("/decisions")[0]
    assert {name: logged[name] for name in schema.FEATURES} == bad
    asked = next(body for name, body in stage.behind.asked if name.startswith("serving"))
    assert asked["inputs"][0]["data"] == list(bad.values())
    until(lambda: stage.published() and stage.published()[0]["features"] == list(bad.values()), "it is published so")
    stage.gateway.post("/ops/rescore")
    stage.gateway.patch(amount_transform="log", swap_inputs="")
    stage.gateway.post("/ops/rescore")
    again = stage.gateway.records("/rescored")
    assert [{name: record[name] for name in schema.FEATURES} for record in again] == [bad, whole]
    assert [record["feature_status"] for record in again] == ["fresh", "fresh"]


def test_a_decision_without_features_logs_none(stage: Stage) -> None:
    stage.behind.fails = {"features"}
    stage.decide(payment(0))
    assert not set(schema.FEATURES) & set(stage.gateway.records("/decisions")[0])


def test_rescoring_takes_the_rows_that_are_stored_now(stage: Stage) -> None:
    stage.behind.score = -1.0
    stage.decide(payment(0, amount=9000.0))
    until(lambda: stage.ingest.records("/rows"), "ingest has the row")
    repaired = payment(0, amount=20.0)
    entry = stage.published()[0] | {"transaction": repaired}
    # As a damaged link to ingest would have it, the other way round: the stored row differs from what came
    # in.
    stage.ingest.post("/ops/quarantine", {"since": T})
    stage.ingest.post("/admin/reset")
    stage.bus.post("/streams/decisions", {"entries": [entry | {"t": 9e12}]})
    until(lambda: stage.ingest.records("/rows"), "the repaired row is stored")
    assert stage.gateway.post("/ops/rescore") == {"rows": 1, "changed": 1}
    assert stage.gateway.records("/rescored")[0]["decision"] == "approve"


def test_rescoring_asks_the_producer_for_what_was_damaged_on_its_way(stage: Stage) -> None:
    stage.behind.score = -1.0
    sent = stage.source.get("/next?count=2")["transactions"]
    for transaction in sent:
        assert stage.decide(transaction | {"amount": transaction["amount"] + 9000.0})["decision"] == "decline"
    assert stage.gateway.post("/ops/rescore") == {"rows": 2, "changed": 0}
    assert stage.gateway.post("/ops/rescore", {"resend": True}) == {"rows": 2, "changed": 2}
    assert [r["id"] for r in stage.gateway.records("/rescored")][2:] == [t["id"] for t in sent]
    stage.decide(payment(7) | {"id": "t-0-99"})
    assert "doesn't know t-0-99" in stage.gateway.post("/ops/rescore", {"resend": True}, status=503)["error"]


def test_rescoring_never_guesses(stage: Stage) -> None:
    stage.decide(payment(0))
    stage.behind.score = None
    assert "aren't finite" in stage.gateway.post("/ops/rescore", status=503)["error"]
    stage.behind.fails = {"serving-a", "serving-b"}
    assert "no replica" in stage.gateway.post("/ops/rescore", status=503)["error"]
    stage.behind.fails = {"features"}
    assert "features service" in stage.gateway.post("/ops/rescore", status=503)["error"]
    assert stage.gateway.records("/rescored") == []


def test_reset_forgets_decisions_and_keeps_cursors_going(stage: Stage) -> None:
    stage.decide(payment(0))
    cursor = stage.gateway.get("/decisions")["next"]
    stage.gateway.patch(threshold=0.9)
    stage.gateway.post("/admin/reset")
    assert stage.gateway.get("/config") == gateway.DEFAULTS
    assert stage.gateway.get(f"/decisions?after={cursor}") == {"records": [], "next": cursor}
    assert stage.gateway.post("/ops/rescore")["rows"] == 0
    stage.decide(payment(1))
    assert [r["id"] for r in stage.gateway.records("/decisions", cursor)] == ["t-0-1"]


def test_a_restarted_gateway_goes_on_above_its_cursors(tmp_path: Path) -> None:
    names = ("FEATURES", "FEATURES_STANDBY", "SERVING_A", "SERVING_B", "BUS")
    env = {f"{name}_URL": NOWHERE for name in names}
    cursor = 0
    for seq in range(2):
        with serving(gateway.build, tmp_path, **env) as role:
            assert role.post("/decide", payment(seq))["fallback"] is True
            read = role.get(f"/decisions?after={cursor}")
            assert [r["id"] for r in read["records"]] == [f"t-0-{seq}"]
            assert read["next"] > cursor
            cursor = read["next"]


def test_decisions_wait_for_the_bus_and_no_longer_than_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "QUEUE_MAX", 3)
    names = ("FEATURES", "FEATURES_STANDBY", "SERVING_A", "SERVING_B")
    env = {f"{name}_URL": NOWHERE for name in names}
    port = free_port()
    with serving(bus.build, tmp_path / "bus", port=port) as bus_role:
        pass
    gone(tmp_path / "bus")
    with serving(gateway.build, tmp_path / "gateway", BUS_URL=bus_role.url, **env) as role:
        for seq in range(5):
            role.post("/decide", payment(seq))
        assert role.metric("bus_dropped_total") == 2.0
        assert role.metric("bus_queue") == 3.0
        with serving(bus.build, tmp_path / "bus", port=port) as bus_role:
            entries = until(lambda: bus_role.records("/streams/decisions"), "the bus is back")
            assert [r["entry"]["id"] for r in entries] == ["t-0-2", "t-0-3", "t-0-4"]
