"""Every built-in fault runs the suite that a plugin's author runs; and the suite itself sees a fault that is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import clock
from harness.contract.faults import PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind, Undo
from harness.contract.words import Effect
from harness.fault import conformance, partial, points
from harness.fault.conformance import CHECKS, Case
from harness.fault.model import PROMOTE, Promote
from harness.plugin import Target, load, names
from tests.doubles.stub_target import StubTarget, VirtualClock, inventory

ARGUMENTS: dict[str, list[dict[str, Json]]] = {
    "model.promote": [{"model": "risk", "variant": "label-shuffled"}],
    "model.partial": [{"model": "risk", "variant": "label-shuffled", "service": "serving-b"}],
    "model.oversize": [{"model": "risk", "variant": "heavy"}],
    "data.scale": [
        {"link": "merchants", "column": "amount", "factor": 100},
        {"link": "merchants", "column": "amount", "factor": 0.01, "dose": 0.1},
    ],
    "data.null": [
        {"link": "merchants", "column": "amount"},
        {"link": "merchants", "column": "amount", "dose": 0.1},
        {"link": "merchants", "column": "amount", "carries": "redis", "keys": "tx*", "field": "payload"},
    ],
    "data.corrupt": [
        {"link": "merchants", "columns": ["amount"], "damage": {"type": "as-text"}},
        {"link": "merchants", "columns": ["amount"], "damage": {"type": "missing", "form": "value", "value": 40.0}}
        | {"dose": 0.3},
        {"link": "merchants", "columns": ["amount"], "damage": {"type": "scale", "factor": 100}}
        | {"mechanism": {"kind": "where", "column": "client_id", "equals": "client-b"}},
        {"link": "merchants", "columns": ["amount", "client_id"], "damage": {"type": "swapped"}, "dose": 0.1},
        {"link": "merchants", "columns": ["amount"], "damage": {"type": "renamed", "to": "amount_eur"}, "dose": 0.5},
        {"link": "merchants", "columns": ["amount"], "damage": {"type": "absent"}},
    ],
    "link.latency": [
        {"link": "gateway-features", "latency": 0.3},
        {"link": "gateway-features", "latency": 30.0, "jitter": 5.0},
        {"link": "gateway-features", "latency": 0.3, "per": "request", "share": 0.4},
    ],
    "link.timeout": [{"link": "gateway-features"}],
    "link.reset": [{"link": "gateway-features"}, {"link": "gateway-features", "share": 0.6, "per": "request"}],
    "link.cut": [{"link": "gateway-features"}],
    "link.bandwidth": [
        {"link": "gateway-features", "rate": 8000},
        {"link": "gateway-features", "rate": 20_000, "stream": "upstream", "share": 0.4},
    ],
    "link.slice": [{"link": "gateway-features", "size": 200, "pause": 0.02}],
    "link.stall": [{"link": "gateway-features", "loss": 0.2}],
    "link.slow-close": [{"link": "gateway-features", "delay": 0.5}, {"link": "gateway-features", "delay": 60.0}],
    "link.truncate": [
        {"link": "gateway-features", "after": 1000},
        {"link": "gateway-features", "after": 0, "stream": "upstream"},
    ],
    "link.corrupt": [{"link": "gateway-features", "rate": 0.02}],
    "link.status": [{"link": "gateway-features"}, {"link": "gateway-features", "status": 429, "share": 0.3}],
    "link.delay-requests": [
        {"link": "gateway-features", "delay": 0.2, "share": 0.5, "path": "/h*"},
        {"link": "gateway-features", "delay": 20.0},
    ],
    "link.headers": [
        {"link": "gateway-features", "header": "Server", "value": "somebody else"},
        {"link": "gateway-features", "header": "Server"},
    ],
    "process.kill": [{"service": "features"}, {"service": "features", "down": True}],
    "process.pause": [{"service": "features"}],
    "service.stop": [{"service": "features"}],
    "disk.fill": [
        {"service": "features", "path": "/state", "free": 65536},
        {"service": "features", "path": "/state", "free": 0},
    ],
    "network.disconnect": [{"service": "features"}, {"service": "gateway", "network": "pipeline"}],
    "network.partition": [{"between": ["gateway", "features"]}, {"between": ["features", "gateway"]}],
    "image.roll": [{"service": "features", "image": "pipeline:2"}],
    "env.set": [
        {"service": "features", "variable": "LOG_LEVEL", "value": "debug"},
        {"service": "features", "variable": "LOG_LEVEL", "value": ""},
    ],
    "process.stress": [
        {"service": "features", "cpu": 2},
        {"service": "features", "memory": 32 * 2**20},
        {"service": "features", "io": 1, "lasts": 60.0},
    ],
    "cpu.withhold": [{"service": "features", "share": 0.7}, {"role": "serving", "share": 0.4}],
    "memory.limit": [{"role": "serving", "limit": 100 * 2**20}],
    "config.set": [
        {
            "service": "features",
            "key": "job_fail",
            "value": "x",
            "reading": "jobs",
            "field": "status",
            "shows": "failed",
        }
        | {"window": 2.0},
        {
            "service": "gateway",
            "key": "amount_transform",
            "value": "raw",
            "reading": "decisions",
            "field": "amount_log",
            "above": 9.0,
            "least": 10,
        },
    ],
    "config.skew": [
        {"service": "gateway", "key": "amount_transform", "value": "raw", "field": "amount_log"},
        {"service": "gateway", "key": "amount_transform", "value": "raw", "field": "amount_log"}
        | {"share": 0.3, "tolerance": 0.5, "repaid": "truth"},
    ],
    "rollout.rush": [{"service": "gateway", "every": 2.0}],
    "feed.silent": [
        {"service": "source", "key": "labels_paused", "value": True, "reading": "labels", "against": "truth"},
        {"service": "source", "key": "labels_paused", "value": True, "reading": "labels", "against": "truth"}
        | {"silence": 0.7, "least": 1, "debt": "labelled", "field": "label", "shows": 0},
    ],
    "feed.repeat": [
        {"service": "gateway", "key": "publish_repeats", "value": 2, "reading": "lineage", "place": "offset"},
        {"service": "gateway", "key": "publish_repeats", "value": 3, "reading": "lineage", "place": "offset"}
        | {"field": "status", "shows": "stored", "debt": "purged", "repaid": "lineage"},
    ],
    "job.fail": [{"service": "features"}],
    "alert.misroute": [{"service": "gateway"}],
    "metric.rename": [{"service": "gateway", "metric": "latency_p95", "to": "latency_p95_seconds"}],
    "source.shift": [
        {"regime": "shifted"},
        {"regime": "shifted", "segment_field": "client_id", "segment": "client-a"},
    ],
    "source.concept": [{"regime": "concept"}],
}
OTHERS: dict[PointKind, Json] = {
    PointKind.ALIAS: "0",
    PointKind.CPU: 0.9,
    PointKind.MEMORY: 400 * 2**20,
    PointKind.IMAGE: "pipeline:3",
    PointKind.ENV: "info",
    PointKind.TOXIC: {"type": "latency", "stream": "upstream", "toxicity": 1.0, "attributes": {"latency": 1}},
}
"""Repairs that are neither what was injected nor what stood before."""


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualClock]:
    virtual = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", virtual.now_ns)
    monkeypatch.setattr(partial, "LOOK_EVERY_S", 0.0)
    return virtual


def case_of(name: str, arguments: dict[str, Json], time: VirtualClock) -> Case:
    def target() -> Target:
        stub = StubTarget(time)
        if name == "memory.limit":  # the limit lies above what a fresh process needs, unless the model is a heavy one
            stub.operate(Point(PointKind.ALIAS, "risk/champion"), stub.make_variant("risk", "heavy"))
        if name == "model.oversize":  # what the model of the baseline fits in, and a heavy one doesn't
            for replica in ("serving-a", "serving-b"):
                stub.operate(Point(PointKind.MEMORY, replica), 100 * 2**20)
        stub.advance(1.0)
        return stub

    def repair(target: Target, undo: Undo) -> Json:
        value = OTHERS.get(undo.point.kind, undo.restore)
        target.operate(undo.point, value)  # type: ignore[attr-defined]  # the stub's own, beyond the protocol
        return value

    return Case(
        fault=load("fault", name),
        arguments=arguments,
        target=target,
        wait=lambda target, seconds: target.advance(seconds),  # type: ignore[attr-defined]  # the stub's own
        inventory=inventory(),
        repair=repair,
    )


CASES = [(name, arguments) for name, given in ARGUMENTS.items() for arguments in given]


def test_every_registered_fault_is_tried() -> None:
    assert sorted(ARGUMENTS) == sorted(names("fault"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_builtin(time: VirtualClock, *, name: str, arguments: dict[str, Json], check: Callable[[Case], None]) -> None:
    check(case_of(name, arguments, time))


# --- the suite sees what is wrong -------------------------------------------------------------------------------------


class Believes(Promote):
    """Its witness asks the injector's own point."""

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        undo = prepared.undos[0]
        standing = target.get(undo.point)
        return Reading(Effect.PRESENT if standing == undo.injected else Effect.ABSENT)


class Hasty(Promote):
    """Injects while preparing."""

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        prepared = super().prepare(fault, target)
        points.inject(prepared, target)
        return prepared


class Forgetful(Promote):
    """Its undo restores something else than what stood there."""

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        prepared = super().prepare(fault, target)
        undo = prepared.undos[0]
        wrong = Undo(undo.driver, undo.instance, undo.point, undo.injected, "99")
        return Prepared((wrong,), prepared.facts)


class Blind(Promote):
    """Takes silence for good news."""

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        reading = Reading(Effect.UNKNOWN)
        try:
            reading = super().witness(fault, prepared, target, memory)
        except Exception:
            return Reading(Effect.ABSENT)
        return reading


class Idle(Promote):
    """Injects nothing."""

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        return {"said": "injected"}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Believes(), conformance.is_not_seen_without_effect),
        (Hasty(), conformance.prepares_without_a_change),
        (Forgetful(), conformance.prepares_without_a_change),
        (Forgetful(), conformance.is_seen_and_taken_back),
        (Blind(), conformance.says_unknown_of_what_it_cannot_read),
        (Idle(), conformance.is_seen_and_taken_back),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_wrong_fault_is_seen(time: VirtualClock, *, fault: Promote, check: Callable[[Case], None]) -> None:
    right = case_of("model.promote", ARGUMENTS["model.promote"][0], time)
    check(dataclasses.replace(right, fault=PROMOTE))
    with pytest.raises(AssertionError):
        check(dataclasses.replace(right, fault=fault))
