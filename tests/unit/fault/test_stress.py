"""Stress on a service: what its witness takes for it and what not, and what is refused before anything is started."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness import clock
from harness.contract.faults import Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Action, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault.stress import EVERY_S, STRESS
from harness.plugin import UsageReading, draft
from harness.target.docker import stress
from tests.doubles.stub_target import BARE, StubTarget, VirtualClock, inventory

MIB = 2**20
POINT = Point(PointKind.STRESS, "features")


class Doctored(StubTarget):
    """What the host and the kernel tell of it can be changed, whatever happens inside."""

    changes: dict[str, Any] = {}

    def usage(self, service: str) -> UsageReading:
        return msgspec.structs.replace(super().usage(service), **self.changes)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Doctored:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    stub = Doctored(time)
    stub.advance(1.0)
    return stub


class Watching:
    def __init__(self, target: StubTarget, **arguments: Json) -> None:
        self.target = target
        drafted = draft(STRESS.declaration, arguments={"service": "features"} | arguments)
        self.planned = STRESS.plan(drafted, inventory())
        self.prepared = STRESS.prepare(self.planned, target)
        self.memory: dict[str, Any] = {}

    def inject(self) -> None:
        STRESS.inject(self.planned, self.prepared, self.target)

    def look(self) -> Reading:
        self.target.advance(EVERY_S)
        return STRESS.witness(self.planned, self.prepared, self.target, self.memory)


def test_cpu_is_seen_from_the_second_reading_on_and_gone_at_once(target: Doctored) -> None:
    watching = Watching(target, cpu=2)
    assert watching.look().effect is Effect.ABSENT
    watching.inject()
    assert [watching.look().effect for _ in range(3)] == [Effect.UNKNOWN, Effect.PRESENT, Effect.PRESENT]
    target.set(POINT, None)
    assert (watching.look().effect, watching.look().healthy) == (Effect.ABSENT, True)


def test_a_busy_service_alone_is_no_stress(target: Doctored) -> None:
    watching = Watching(target, cpu=1)
    watching.inject()
    target.changes = {"stressors": 0}
    assert {watching.look().effect for _ in range(4)} == {Effect.ABSENT}


@pytest.mark.parametrize(("used", "effect"), [(0.02, Effect.UNKNOWN), (0.3, Effect.UNKNOWN), (0.6, Effect.PRESENT)])
def test_workers_that_take_little_may_be_starved_themselves(target: Doctored, *, used: float, effect: Effect) -> None:
    watching = Watching(target, cpu=4)
    watching.inject()
    for turn in range(3):
        target.changes = {"cpu_s": used * turn * EVERY_S}
        seen = watching.look()
    assert seen.effect is effect
    assert seen.detail == {"stressors": 4, "cpus_used": used, "cpus": 1.0}


def test_memory_is_seen_against_what_was_held_before(target: Doctored) -> None:
    watching = Watching(target, memory=32 * MIB)
    watching.inject()
    before = watching.prepared.facts["memory"]
    seen = []
    for beyond in (32, 17, 10, 1):
        target.changes = {"memory_bytes": before + beyond * MIB}
        seen.append(watching.look().effect)
    assert seen == [Effect.PRESENT, Effect.PRESENT, Effect.UNKNOWN, Effect.ABSENT]


def test_memory_that_does_not_fit_is_refused(target: Doctored) -> None:
    target.operate(Point(PointKind.MEMORY, "features"), 64 * MIB)
    with pytest.raises(EnvironmentProblem, match="more would be killed over the limit"):
        Watching(target, memory=32 * MIB)
    Watching(target, memory=16 * MIB)


def test_an_image_without_the_means_is_refused(target: Doctored) -> None:
    with pytest.raises(EnvironmentProblem, match="doesn't carry stress-ng"):
        Watching(target, service=BARE, cpu=1)
    assert target.get(Point(PointKind.STRESS, BARE)) is None


def test_stress_that_runs_already_is_refused(target: Doctored) -> None:
    target.operate(POINT, {"cpu": 1, "seconds": 9})
    with pytest.raises(EnvironmentProblem, match="before the injection"):
        Watching(target, cpu=1)


def test_a_restart_ends_it(target: Doctored) -> None:
    watching = Watching(target, cpu=1)
    watching.inject()
    target.act(Action.RESTART, {"service": "features"})
    assert watching.look().effect is Effect.ABSENT


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "found: none"),
        ({"cpu": 1, "io": 1}, "found: cpu, io"),
        ({"cpu": 0}, "from 1 to 64"),
        ({"io": 65}, "from 1 to 64"),
        ({"memory": 1000}, "from 1MiB"),
        ({"cpu": 1, "lasts": 4000.0}, "from 1s to 1h"),
    ],
    ids=str,
)
def test_planning_refuses(target: Doctored, *, arguments: dict[str, Json], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Watching(target, **arguments)


# --- what the docker driver makes of it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"cpu": 2, "seconds": 60}, "--cpu 2 --timeout 60s"),
        ({"memory": MIB, "seconds": 1}, "--vm 1 --vm-bytes 1048576 --vm-keep --vm-hang 0 --timeout 1s"),
        ({"io": 3, "seconds": 3600}, "--hdd 3 --hdd-bytes 4m --hdd-opts sync --timeout 3600s"),
    ],
    ids=str,
)
def test_every_kind_ends_by_itself(value: Json, words: str) -> None:
    assert " ".join(stress.arguments(value)) == words


@pytest.mark.parametrize(
    "value",
    [
        {"cpu": 2},
        {"cpu": 2, "seconds": 0},
        {"cpu": 2, "seconds": 3601},
        {"cpu": 2, "io": 1, "seconds": 9},
        {"disk": 1, "seconds": 9},
        {"cpu": True, "seconds": 9},
        {"cpu": "2; reboot", "seconds": 9},
        "cpu",
    ],
    ids=str,
)
def test_other_values_are_refused(value: Json) -> None:
    with pytest.raises(UsageError):
        stress.arguments(value)
