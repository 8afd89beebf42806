"""Stress in containers of the reference image: seen by what it takes, ended exactly, told from what isn't ours."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from harness.contract.undo import Json, Point, PointKind, UndoOutcome
from harness.contract.words import Action, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault.conformance import CHECKS, Case, Trial
from harness.plugin import Target, load
from harness.spec.target import TargetSpec
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
MIB = 2**20
LABELS = {"com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False"}
WITHIN_S = 40.0


@pytest.fixture(scope="module")
def containers(engine: docker.DockerClient, image: str) -> Iterator[tuple[str, dict[str, Container]]]:
    """A project of two services that idle: one with the means, one whose root has lost them."""
    project = f"mldrill-stress-{secrets.token_hex(3)}"
    made: dict[str, Container] = {}
    try:
        for name, command in (("victim", "exec sleep 600"), ("bare", "rm /usr/bin/stress-ng; exec sleep 600")):
            made[name] = engine.containers.run(
                image,
                ["-c", command],
                name=f"{project}_{name}",
                entrypoint="sh",
                user="root" if name == "bare" else "pipeline",
                init=True,
                detach=True,
                nano_cpus=500_000_000,
                mem_limit="160m",
                cap_drop=["ALL"],
                labels={**LABELS, "com.docker.compose.project": project, "com.docker.compose.service": name},
            )
        yield project, made
    finally:
        for one in made.values():
            one.remove(force=True)


@pytest.fixture
def victim(containers: tuple[str, dict[str, Container]]) -> Container:
    return containers[1]["victim"]


@pytest.fixture
def target(
    containers: tuple[str, dict[str, Container]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerTarget]:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    spec = TargetSpec.model_validate(
        {
            "target": "idle",
            "driver": "docker",
            "docker": {"project": containers[0], "allow": ["victim", "bare"]},
            "services": {"victim": {"role": "worker"}, "bare": {"role": "worker"}},
            "actions": {"evict": {"builtin": True}, "restart": {"builtin": True}},
        }
    )
    found = DockerDriver().open(spec, folder=tmp_path, instance=f"stress-{secrets.token_hex(3)}", seed=7)
    found.up()
    try:
        yield found
    finally:
        found.down()


def wait(target: Target, seconds: float) -> None:
    time.sleep(seconds)


def case(target: DockerTarget, **arguments: Json) -> Case:
    return Case(fault=load("fault", "process.stress"), arguments=arguments, target=lambda: target, wait=wait)


def commands(victim: Container) -> list[str]:
    """What lives inside, as the host's process list shows it."""
    listed = victim.top(ps_args="-eo pid,stat,args")["Processes"]
    return [command for _, state, command in listed if not state.startswith("Z")]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_cpu_stress_does_as_a_fault_must(target: DockerTarget, check: Callable[[Case], None]) -> None:
    check(case(target, service="victim", cpu=2))


@pytest.mark.parametrize("arguments", [{"memory": 48 * MIB}, {"io": 1}], ids=["memory", "io"])
def test_memory_and_disk_are_seen_and_taken_back(target: DockerTarget, victim: Container, arguments: dict) -> None:
    trial = Trial.begin(case(target, service="victim", **arguments))
    prepared = trial.prepare()
    try:
        trial.inject(prepared)
        trial.expect(Effect.PRESENT, prepared, within_s=trial.planned.witness_within_s, when="after it")
    finally:
        outcomes = trial.take_back(prepared)
    assert outcomes == [UndoOutcome.RESTORED]
    gone = trial.expect(Effect.ABSENT, prepared, within_s=trial.planned.witness_within_s, when="after the undo")
    assert gone.healthy
    assert not [command for command in commands(victim) if "stress" in command]
    assert victim.exec_run(["ls", "-A", "/tmp"]).output == b""


def test_only_ours_is_ended(target: DockerTarget, victim: Container) -> None:
    theirs = "stress-ng --cpu 1 --cpu-load 1 --timeout 60s --keep-name --quiet --temp-path /tmp"
    victim.exec_run(theirs.split(), detach=True)
    until(lambda: theirs in commands(victim))
    point = Point(PointKind.STRESS, "victim")
    assert target.get(point) is None
    target.set(point, {"cpu": 1, "seconds": 60})
    assert target.get(point) == {"cpu": 1, "seconds": 60}
    target.set(point, None)
    left = commands(victim)
    try:
        assert theirs in left
        assert not [command for command in left if "mldrill" in command]
    finally:
        victim.restart(timeout=0)


def test_it_ends_by_itself(target: DockerTarget, victim: Container) -> None:
    point = Point(PointKind.STRESS, "victim")
    target.set(point, {"cpu": 1, "seconds": 1})
    until(lambda: target.get(point) is None)
    assert victim.exec_run(["ls", "-A", "/tmp"]).output == b""


def test_an_operator_evicts_it(target: DockerTarget, victim: Container) -> None:
    target.set(Point(PointKind.STRESS, "victim"), {"cpu": 1, "seconds": 60})
    assert target.act(Action.EVICT, {"service": "victim"}) == {"service": "victim", "evicted": True}
    assert not [command for command in commands(victim) if "stress" in command]
    assert target.act(Action.EVICT, {"service": "victim"}) == {"service": "victim", "evicted": False}


def test_what_an_image_lacks_is_refused_before_anything_is_started(target: DockerTarget) -> None:
    fault = Trial.begin(case(target, service="bare", cpu=1))
    with pytest.raises(EnvironmentProblem, match="doesn't carry stress-ng"):
        fault.prepare()
    with pytest.raises(EnvironmentProblem, match="didn't start, or ended at once"):
        target.set(Point(PointKind.STRESS, "bare"), {"cpu": 1, "seconds": 60})
    assert target.get(Point(PointKind.STRESS, "bare")) is None
    with pytest.raises(UsageError):
        target.get(Point(PointKind.STRESS, "nobody"))
