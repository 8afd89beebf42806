"""The reference pipeline as target.yaml describes it: everything that is declared there answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Observation
from harness.spec.base import parse_duration
from harness.spec.load import load_target
from harness.target import http
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from tests.e2e.waiting import CALL_S, answered, leases, reset, until

PIPELINE = Path(__file__).parents[2] / "fixtures" / "pipeline"
SPEC = load_target(PIPELINE / "target.yaml").spec
ALIAS = Point(PointKind.ALIAS, "risk/champion")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTarget]:
    with pytest.MonkeyPatch.context() as patch, leases():
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        opened = EmbeddedDriver().open(SPEC, folder=PIPELINE, instance="pipeline", seed=7)
        opened.up()
        yield opened
        opened.down()


def decide(target: EmbeddedTarget, count: int = 20) -> list[str]:
    """Payments of the source, sent as users send them; gives their ids."""
    given = http.ask("GET", target.endpoint(f"${{service.source.url}}/next?count={count}"), timeout_s=CALL_S)
    url = target.endpoint("${link.merchant-gateway.url}/decide")
    return [http.ask("POST", url, body=one, timeout_s=CALL_S)["id"] for one in given["transactions"]]


def test_rules_are_declared_as_they_are_evaluated() -> None:
    evaluated = {
        rule["alert"]: (rule["labels"]["layer"], rule["labels"]["severity"], parse_duration(rule.get("for", "0s")))
        for group in YAML(typ="safe").load(PIPELINE / "rules.yaml")["groups"]
        for rule in group["rules"]
    }
    declared = {name: (rule.layer, rule.severity, rule.hold) for name, rule in SPEC.alerts.rules.items()}
    assert declared == evaluated


@pytest.mark.parametrize("link", SPEC.links)
def test_every_link_goes_through(target: EmbeddedTarget, *, link: str) -> None:
    assert until(lambda: target.probe(link).status == 200)


def test_golden_requests_are_answered_right(target: EmbeddedTarget) -> None:
    assert SPEC.golden is not None
    url = target.endpoint("${link.merchant-gateway.url}")
    for golden in json.loads((PIPELINE / SPEC.golden.file).read_text()):
        answers: list[dict[str, object]] = []

        def scored(golden: dict = golden, answers: list = answers) -> bool:
            """A machine that is busy may have the rules answer for the model, which is no wrong answer."""
            answers.append(http.ask(golden["method"], url + golden["path"], body=golden["body"], timeout_s=CALL_S))
            return answers[-1]["fallback"] is False

        assert until(scored), answers[-1]
        assert {key: answers[-1][key] for key in golden["expect"]} == golden["expect"]
        assert answers[-1]["model_version"] == "1"


EMPTY = ("quarantine", "rescored", "backfills", "refusals")
"""Nothing stands there unless somebody did something."""


@pytest.mark.parametrize("reading", SPEC.readings)
def test_every_reading_is_read(target: EmbeddedTarget, *, reading: str) -> None:
    ids = decide(target)
    own = set(ids) if reading in ("decisions", "truth") else set()

    def told() -> bool:
        """Others write too, and what is written goes through queues: what was asked for is waited for."""
        found = target.read(reading, after=0)[0]
        return own <= {record.get("id") for record in found} and (bool(found) or reading in EMPTY)

    assert until(told)
    records, cursor = target.read(reading, after=0)
    assert all(SPEC.readings[reading].id in record for record in records)
    assert target.read(reading, after=cursor)[1] >= cursor


@pytest.mark.parametrize("observation", SPEC.observations)
def test_every_observation_answers_flat(target: EmbeddedTarget, *, observation: Observation) -> None:
    arguments = {Observation.METRICS: {"name": "monitor_quality"}, Observation.LOGS: {"service": "source"}}
    answer = answered(lambda: target.observe(observation, arguments.get(observation, {})))
    assert answer
    if observation is not Observation.CONFIG:
        assert [value for value in answer.values() if isinstance(value, dict)] == []


ACTIONS = {
    Action.DRAIN: {"service": "serving-a"},
    Action.FAILOVER: {"upstream": "features"},
    Action.PROMOTE: {"version": "1"},
    Action.PIN: {"version": "1"},
    Action.QUARANTINE: {"since": 0, "reason": "a test"},
    Action.RELEASE: {"since": 0},
    Action.REPLAY: {"since": 0},
    Action.SILENCE: {"rule": "CanaryWrong"},
    Action.ANNOTATE: {"text": "a test"},
    Action.RESTART: {"service": "registry"},
    Action.STOP: {"service": "features-standby"},
    Action.START: {"service": "features-standby"},
    Action.SET_FLAG: {"service": "gateway", "flag": "threshold", "value": 0.6},
    Action.SET_LIMIT: {"service": "source", "resource": "memory", "value": "1GiB"},
    Action.REROUTE: {"link": "merchant-gateway"},
    Action.EVICT: {"service": "ingest"},
}


@pytest.mark.parametrize(
    "action", [action for action in SPEC.actions if action not in (Action.ROLLBACK, Action.RETRAIN)]
)
def test_every_action_is_carried_out(target: EmbeddedTarget, *, action: Action) -> None:
    assert until(lambda: {target.observe(Observation.SERVICES, {})[name] for name in SPEC.services} == {"ready"})
    assert isinstance(target.act(action, ACTIONS.get(action, {})), dict)
    reset(target)


def test_a_bad_version_is_made_served_and_rolled_back(target: EmbeddedTarget) -> None:
    version = target.make_variant("risk", "label-shuffled")
    assert target.get(ALIAS) == "1"
    target.set(ALIAS, version)
    for replica in ("serving-a", "serving-b"):
        assert until(lambda replica=replica: target.served_version(replica, "risk") == version)
    told = target.observe(Observation.PROMOTIONS, {})
    assert (told["version"], told["previous"], told["kind"]) == (version, "1", "promote")
    target.act(Action.ROLLBACK, {"model": "risk", "to": "1", "reason": "a test"})
    for replica in ("serving-a", "serving-b"):
        assert until(lambda replica=replica: target.served_version(replica, "risk") == "1")
    undo = Undo(driver="embedded", instance="pipeline", point=ALIAS, injected=version, restore="1")
    assert target.undo(undo) is UndoOutcome.ALREADY
    reset(target)


def test_serving_does_not_fit_into_eight_mebibytes(target: EmbeddedTarget) -> None:
    """The limit of memory-exhaustion lies below what a fresh process needs, so that no restart helps; 512 MiB is enough."""
    point = Point(PointKind.MEMORY, "serving-a")
    before = target.process("serving-a").memory_kills
    target.set(point, 8 * 2**20)
    assert until(lambda: target.process("serving-a").memory_kills >= before + 2)
    target.act(Action.SET_LIMIT, {"service": "serving-a", "resource": "memory", "value": "512MiB"})
    assert until(lambda: target.observe(Observation.SERVICES, {})["serving-a"] == "ready")
    reset(target)
    assert target.get(point) == SPEC.services["serving-a"].memory


def test_a_reset_gives_the_same_payments_and_a_clean_slate(target: EmbeddedTarget) -> None:
    reset(target)
    first = decide(target, 3)
    target.set(Point(PointKind.CONFIG, "source/regime"), "shifted")
    target.act(Action.SILENCE, {"rule": "CanaryWrong"})
    reset(target)
    again = decide(target, 3)
    assert [one.rpartition("-")[2] for one in again] == [one.rpartition("-")[2] for one in first]
    assert target.get(Point(PointKind.CONFIG, "source/regime")) == "baseline"
    # A decision goes to the log through a queue; what is asked may not be answered by a busy machine, and then isn't told.
    assert until(lambda: set(again) <= {record["id"] for record in target.read("decisions", after=0)[0]})
    assert answered(lambda: target.snapshot().data or None) == {"quarantine": 0}
    assert answered(lambda: target.snapshot().silences) == ()
    assert until(lambda: target.observe(Observation.ALERTS, {})["pages"] == 0)
