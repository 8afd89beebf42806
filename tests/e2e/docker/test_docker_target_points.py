"""What the docker driver sets, seen past the driver, and put back to exactly what it was."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.target import http
from harness.target.docker import networks
from harness.target.docker.instance import DockerTarget
from tests.fixtures_compose import engine

pytestmark = pytest.mark.docker
MIB = 2**20


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerTarget]:
    with engine.running(f"points-{secrets.token_hex(3)}", tmp_path_factory.mktemp("state")) as running:
        yield running


def inspected(target: DockerTarget, service: str) -> dict:
    return json.loads(engine.docker("inspect", f"{target.project}_{service}_1"))[0]


def limits(target: DockerTarget, service: str) -> dict:
    host = inspected(target, service)["HostConfig"]
    return {key: host[key] for key in ("NanoCpus", "CpuQuota", "Memory", "MemorySwap")}


def undo(target: DockerTarget, point: Point, injected: Json, restore: Json) -> Undo:
    return Undo(driver="docker", instance=target.instance, point=point, injected=injected, restore=restore)


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def peer(target: DockerTarget, name: str, *, from_: str) -> bool:
    """Whether one service reaches another by name, past the proxy."""
    ask = f"import socket; socket.create_connection(({name!r}, 8000), timeout=1)"
    code, _ = target.daemon.run(target.selection.find(from_).id, ["python3", "-c", ask])
    return code == 0


@pytest.mark.parametrize(
    ("kind", "value"), [(PointKind.CPU, 0.2), (PointKind.MEMORY, 200 * MIB)], ids=lambda value: str(value)
)
def test_limits_that_the_compose_file_sets_come_back_exactly(
    target: DockerTarget, *, kind: PointKind, value: float
) -> None:
    before, point = limits(target, "store"), Point(kind, "store")
    taken_back = undo(target, point, value, target.get(point))
    target.set(point, value)
    assert limits(target, "store") != before
    assert target.undo(taken_back) is UndoOutcome.RESTORED
    assert limits(target, "store") == before


def test_a_share_of_the_cpu_is_of_what_the_container_has(target: DockerTarget) -> None:
    target.set(Point(PointKind.CPU, "store"), 0.2)
    assert limits(target, "store")["NanoCpus"] == 100_000_000  # it has half a CPU
    target.set(Point(PointKind.CPU, "store"), None)
    target.set(Point(PointKind.CPU, "front"), 0.2)
    assert limits(target, "front")["CpuQuota"] == 20_000
    target.set(Point(PointKind.CPU, "front"), None)
    assert limits(target, "front")["CpuQuota"] == -1


def test_a_limit_below_what_is_held_kills_for_memory_until_it_goes(target: DockerTarget) -> None:
    point = Point(PointKind.MEMORY, "store")
    before, kills = target.get(point), target.process("store").memory_kills
    _, cursor = target.exits(after=0)
    target.set(point, 6 * MIB)
    until(lambda: target.process("store").memory_kills >= kills + 2)
    assert target.undo(undo(target, point, 6 * MIB, before)) is UndoOutcome.RESTORED
    until(lambda: bool(target.process("store").ready))
    told = target.exits(after=cursor)[0]
    assert {(service, reason, asked) for _, service, reason, _, asked in told} == {("store", "memory", False)}


def test_an_end_that_nobody_asked_for_is_told_so(target: DockerTarget) -> None:
    _, cursor = target.exits(after=0)
    before = target.process("store").identity
    with contextlib.suppress(OSError, http.HTTP_PROBLEM):  # it dies before it answers
        http.request("POST", target.endpoint("${service.store.url}/die"), timeout_s=2.0)
    until(lambda: target.process("store").identity not in ("", before))
    until(lambda: bool(target.process("store").ready))
    told = [(service, reason, code, asked) for _, service, reason, code, asked in target.exits(after=cursor)[0]]
    assert told == [("store", "exit", 3, False)]


def test_a_service_without_a_restart_policy_stays_down_until_the_undo(target: DockerTarget) -> None:
    point = Point(PointKind.PROCESS, "plain")
    target.set(point, "killed")
    assert target.process("plain").state == "gone"
    assert target.get(point) == "down"
    assert target.undo(undo(target, point, "killed", "running")) is UndoOutcome.RESTORED
    until(lambda: bool(target.process("plain").ready))


def test_off_its_network_it_is_not_reached_and_comes_back_under_its_names(target: DockerTarget) -> None:
    point = Point(PointKind.NETWORK, "store/default")
    before = target.get(point)
    target.set(point, None)
    assert not peer(target, "store", from_="plain")
    assert not target.probe("front-store").answered
    assert target.undo(undo(target, point, None, before)) is UndoOutcome.RESTORED
    assert target.get(point) == before
    until(lambda: peer(target, "store", from_="plain"))
    until(lambda: target.probe("front-store").answered)


def test_a_partition_parts_two_and_nobody_else(target: DockerTarget) -> None:
    point = Point(PointKind.PARTITION, "store|front")
    before = target.get(point)
    label = f"label=dev.mldrill.instance={target.instance}"
    detours = ("network", "ls", "-q", "--filter", label, "--filter", f"label={networks.DETOUR}")
    target.set(point, None)
    target.set(point, None)
    assert target.get(point) is None
    assert engine.docker(*detours) != ""
    assert not peer(target, "store", from_="front")
    assert not peer(target, "front", from_="store")
    until(lambda: peer(target, "store", from_="plain"))
    until(lambda: peer(target, "plain", from_="front"))
    assert not target.probe("front-store").answered
    assert target.probe("outside-front").answered
    assert target.undo(undo(target, point, None, before)) is UndoOutcome.RESTORED
    assert target.get(point) == before
    assert engine.docker(*detours) == ""
    until(lambda: peer(target, "store", from_="front"))
    until(lambda: target.probe("front-store").answered)


def test_a_volume_of_limited_size_is_filled_and_emptied(target: DockerTarget) -> None:
    point = Point(PointKind.DISK, "store/spare")
    container = f"{target.project}_store_1"
    engine.docker("exec", container, "sh", "-c", "echo kept >/spare/theirs")
    target.set(point, 64 * MIB)  # more than it holds
    with pytest.raises(Exception, match="non-zero exit status"):
        engine.docker("exec", container, "sh", "-c", "head -c 100000 /dev/zero >/spare/more")
    assert target.get(point) == 64 * MIB
    assert target.undo(undo(target, point, 64 * MIB, 0)) is UndoOutcome.RESTORED
    assert engine.docker("exec", container, "sh", "-c", "rm -f /spare/more; ls -A /spare") == "theirs"


@pytest.mark.parametrize("where", ["store/unbounded", "store/shared", "store/app", "store/tmp", "store"])
def test_any_other_place_is_not_filled(target: DockerTarget, *, where: str) -> None:
    with pytest.raises(UsageError):
        target.set(Point(PointKind.DISK, where), MIB)


@pytest.mark.parametrize(
    ("point", "value"),
    [(Point(PointKind.ENV, "store/COLOUR"), "blue"), (Point(PointKind.IMAGE, "store"), "mldrill-test:rolled")],
    ids=["env", "image"],
)
def test_a_container_made_anew_gives_way_to_the_very_one_of_before(
    target: DockerTarget, *, point: Point, value: str
) -> None:
    engine.docker("tag", engine.image(), "mldrill-test:rolled")
    before, old = inspected(target, "store")["Id"], target.get(point)
    try:
        target.set(point, value)
        assert target.get(point) == value
        assert inspected(target, "store")["Id"] != before
        assert inspected(target, "store")["HostConfig"]["Memory"] == 96 * MIB
        until(lambda: bool(target.process("store").ready))
        assert target.probe("outside-front").answered
        assert target.undo(undo(target, point, value, old)) is UndoOutcome.RESTORED
        assert inspected(target, "store")["Id"] == before
        until(lambda: bool(target.process("store").ready))
    finally:
        engine.docker("rmi", "mldrill-test:rolled")


def test_an_image_that_is_not_there_changes_nothing(target: DockerTarget) -> None:
    before = inspected(target, "store")["Id"]
    with pytest.raises(EnvironmentProblem, match="no-such-image"):
        target.set(Point(PointKind.IMAGE, "store"), "no-such-image:1")
    assert inspected(target, "store")["Id"] == before
    assert target.process("store").ready


def test_a_restart_keeps_what_is_injected(target: DockerTarget) -> None:
    target.set(Point(PointKind.CPU, "store"), 0.5)
    before = target.process("store").identity
    target.act(Action.RESTART, {"service": "store"})
    until(lambda: bool(target.process("store").ready))
    assert target.process("store").identity != before
    assert target.observe(Observation.RESOURCES, {})["store.cpu_limit"] == 0.5
    target.set(Point(PointKind.CPU, "store"), None)


def test_what_an_operator_sees(target: DockerTarget) -> None:
    target.act(Action.STOP, {"service": "plain"})
    assert target.observe(Observation.SERVICES, {})["plain"] == "down"
    target.act(Action.START, {"service": "plain"})
    until(lambda: target.observe(Observation.SERVICES, {})["plain"] == "ready")
    target.set(Point(PointKind.PROCESS, "plain"), "paused")
    assert target.observe(Observation.SERVICES, {})["plain"] == "paused"
    target.act(Action.RESTART, {"service": "plain"})
    until(lambda: target.observe(Observation.SERVICES, {})["plain"] == "ready")
