"""Faults of containers: what their witnesses tell apart, and what is refused before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness import clock
from harness.contract.faults import PlannedFault, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.plan import lacks
from harness.plugin import containers, draft, load
from harness.spec.find import reference_target
from harness.spec.load import load_target
from tests.doubles.stub_target import FILES_BYTES, VOLUME_BYTES, StubTarget, VirtualClock, inventory

MIB = 2**20
FREE = VOLUME_BYTES - FILES_BYTES


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> StubTarget:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    stub = StubTarget(time)
    stub.advance(1.0)
    return stub


def planned(name: str, arguments: Mapping[str, Json]) -> PlannedFault:
    fault = load("fault", name)
    plan: PlannedFault = fault.plan(draft(fault.declaration, arguments=arguments), inventory())
    return plan


class Watching:
    """A fault prepared on a target, with its witness's memory."""

    def __init__(self, target: StubTarget, name: str, **arguments: Json) -> None:
        self.target, self.fault = target, load("fault", name)
        self.planned = planned(name, arguments)
        self.prepared = self.fault.prepare(self.planned, target)
        self.memory: dict[str, Any] = {}

    def inject(self) -> None:
        self.fault.inject(self.planned, self.prepared, self.target)

    def look(self) -> Reading:
        reading: Reading = self.fault.witness(self.planned, self.prepared, self.target, self.memory)
        return reading

    def effect(self) -> Effect:
        return self.look().effect


# --- disk -------------------------------------------------------------------------------------------------------------


def test_room_that_came_and_went_is_no_repair_and_a_tenth_of_it_is(target: StubTarget) -> None:
    full = Watching(target, "disk.fill", service="features", path="/state", free=0)
    full.inject()
    point = Point(PointKind.DISK, "features/state")
    assert full.look().detail["free_bytes"] == 0
    target.operate(point, FREE - FREE // 11)
    assert full.effect() is Effect.PRESENT
    target.operate(point, FREE - FREE // 9)
    assert full.effect() is Effect.ABSENT


def test_what_lies_on_the_volume_is_no_proof_where_there_is_room(target: StubTarget) -> None:
    full = Watching(target, "disk.fill", service="features", path="/state", free=64 * 1024)
    target.without_effect = True
    full.inject()
    assert target.get(full.prepared.undos[0].point) == full.prepared.undos[0].injected
    assert full.effect() is Effect.ABSENT


@pytest.mark.parametrize(("left", "injected"), [(5 * MIB, FREE - 5 * MIB), (0, FREE + MIB)])
def test_all_but_what_is_left_is_taken(target: StubTarget, *, left: int, injected: int) -> None:
    full = Watching(target, "disk.fill", service="features", path="/state/", free=left)
    assert [undo.injected for undo in full.prepared.undos] == [injected]
    full.inject()
    assert target.free_bytes("features", "/state") == left


def test_a_disk_without_room_is_not_filled(target: StubTarget) -> None:
    with pytest.raises(EnvironmentProblem, match="before the injection"):
        Watching(target, "disk.fill", service="features", path="/state", free=FREE - MIB // 2)


def test_any_other_place_is_refused(target: StubTarget) -> None:
    with pytest.raises(UsageError, match="no volume of limited size"):
        Watching(target, "disk.fill", service="features", path="/etc", free=0)


@pytest.mark.parametrize("path", ["state", "/", ""])
def test_a_path_that_names_no_mount_is_refused_when_planning(path: str) -> None:
    with pytest.raises(UsageError, match="such as /state"):
        planned("disk.fill", {"service": "features", "path": path, "free": 0})


# --- networks ---------------------------------------------------------------------------------------------------------


def test_a_dead_service_is_not_taken_for_a_cut_off_one(target: StubTarget) -> None:
    cut = Watching(target, "network.disconnect", service="features")
    target.operate(Point(PointKind.PROCESS, "features"), "down")
    assert cut.effect() is Effect.UNKNOWN
    target.operate(Point(PointKind.PROCESS, "features"), "running")
    assert cut.effect() is Effect.ABSENT


def test_a_neighbour_looks_where_there_is_one(target: StubTarget) -> None:
    assert Watching(target, "network.disconnect", service="features").prepared.facts == {"link": "gateway-features"}
    target.operate(Point(PointKind.LINK_UP, "merchants"), False)
    assert Watching(target, "network.disconnect", service="gateway").prepared.facts == {"link": "gateway-features"}


def test_a_service_off_its_network_is_not_taken_off_again(target: StubTarget) -> None:
    target.operate(Point(PointKind.NETWORK, "features/pipeline"), None)
    with pytest.raises(EnvironmentProblem, match="not on any network"):
        Watching(target, "network.disconnect", service="features")


def test_a_link_that_nobody_answers_proves_nothing(target: StubTarget) -> None:
    target.operate(Point(PointKind.LINK_UP, "gateway-features"), False)
    with pytest.raises(EnvironmentProblem, match="is answered before the injection"):
        Watching(target, "network.disconnect", service="features")
    with pytest.raises(EnvironmentProblem, match="is answered before the injection"):
        Watching(target, "network.partition", between=["gateway", "features"])


@pytest.mark.parametrize("service", ["gateway", "features"])
def test_a_disconnection_is_no_partition(target: StubTarget, *, service: str) -> None:
    parted = Watching(target, "network.partition", between=["gateway", "features"])
    parted.inject()
    assert parted.effect() is Effect.PRESENT
    target.operate(Point(PointKind.PARTITION, "gateway|features"), {"pipeline": {"aliases": []}})
    target.operate(Point(PointKind.PROCESS, service), "down")
    assert parted.effect() is Effect.UNKNOWN


def test_two_without_another_link_cannot_be_told_parted_from_cut_off(target: StubTarget) -> None:
    target.operate(Point(PointKind.LINK_UP, "merchants"), False)
    with pytest.raises(EnvironmentProblem, match="couldn't be told from a disconnection"):
        Watching(target, "network.partition", between=["gateway", "features"])


def test_two_that_no_network_joins_are_not_parted(target: StubTarget) -> None:
    target.operate(Point(PointKind.PARTITION, "features|gateway"), None)
    target.probe = lambda link: StubTarget(target.time).probe(link)  # type: ignore[method-assign]  # by another way
    with pytest.raises(EnvironmentProblem, match="nothing to part them by"):
        Watching(target, "network.partition", between=["features", "gateway"])


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("network.disconnect", {"service": "serving-a"}, "legal: features, gateway"),
        ("network.partition", {"between": ["gateway"]}, "legal: two"),
        ("network.partition", {"between": ["serving-a", "features"]}, "legal: features and gateway"),
    ],
)
def test_what_no_link_shows_is_refused_when_planning(name: str, arguments: dict[str, Json], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        planned(name, arguments)


# --- image and environment --------------------------------------------------------------------------------------------


def test_another_image_than_either_is_a_repair(target: StubTarget) -> None:
    rolled = Watching(target, "image.roll", service="features", image="pipeline:2")
    rolled.inject()
    target.advance(2.0)
    assert rolled.effect() is Effect.PRESENT
    target.operate(Point(PointKind.IMAGE, "features"), "pipeline:3")
    target.advance(2.0)
    assert rolled.effect() is Effect.ABSENT


@pytest.mark.parametrize(("image", "told"), [("pipeline:1", "nothing to roll out"), ("pipeline:9", "no image")])
def test_an_image_that_runs_already_or_is_not_there_is_refused(target: StubTarget, *, image: str, told: str) -> None:
    with pytest.raises(EnvironmentProblem, match=told):
        Watching(target, "image.roll", service="features", image=image)


def test_a_container_that_does_not_run_tells_nothing_of_its_environment(target: StubTarget) -> None:
    changed = Watching(target, "env.set", service="features", variable="LOG_LEVEL", value="debug")
    changed.inject()
    with pytest.raises(EnvironmentProblem, match="is down"):
        changed.look()
    target.advance(2.0)
    assert changed.effect() is Effect.PRESENT


def test_a_variable_can_be_taken_away(target: StubTarget) -> None:
    target.operate(Point(PointKind.ENV, "features/LOG_LEVEL"), "info")
    target.advance(2.0)
    away = Watching(target, "env.set", service="features", variable="LOG_LEVEL")
    assert away.effect() is Effect.ABSENT
    away.inject()
    target.advance(2.0)
    assert away.effect() is Effect.PRESENT


@pytest.mark.parametrize(
    ("variable", "value"), [("API_TOKEN", "x"), ("STORE_URL", "redis://me:word@bus/0"), ("A=B", "x"), ("", "x")]
)
def test_secrets_and_what_is_no_name_are_refused_when_planning(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match="legal:"):
        planned("env.set", {"service": "features", "variable": variable, "value": value})


def test_a_password_that_stands_there_is_not_written_down(target: StubTarget) -> None:
    target.operate(Point(PointKind.ENV, "features/STORE_URL"), "redis://me:word@bus/0")
    target.advance(2.0)
    with pytest.raises(EnvironmentProblem, match="holds a password") as raised:
        Watching(target, "env.set", service="features", variable="STORE_URL", value="redis://bus/1")
    assert "word@" not in str(raised.value)


# --- where they can be had --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("disk.fill", Capability.FILL_DISK),
        ("network.disconnect", Capability.DISCONNECT),
        ("network.partition", Capability.PARTITION),
        ("image.roll", Capability.IMAGE),
        ("env.set", Capability.ENV),
    ],
)
def test_the_embedded_target_refuses_it_by_the_capability_that_it_lacks(name: str, capability: Capability) -> None:
    spec = load_target(reference_target()).spec
    told = list(
        lacks.capabilities(
            0,
            load("fault", name).declaration,
            target=spec.target,
            inventory=load("target", "embedded").inventory(spec),
        )
    )
    assert len(told) == 1
    assert f"{name} needs {capability}" in told[0]


def test_a_target_without_containers_says_so() -> None:
    class Bare:
        spec = StubTarget().spec

    with pytest.raises(EnvironmentProblem, match="nothing of containers"):
        containers(Bare())  # type: ignore[arg-type]  # that is the point
