"""What goes wrong around a drill on containers: what was injected is taken back to exactly what was, or named until it is."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.score import score
from harness.target.docker import compose, record
from tests.e2e import trouble
from tests.e2e.docker import shop_project
from tests.e2e.docker.shop_project import ALL, DISCONNECT, MEMORY, PAUSE, TARGET, Forwarder, Seen, injected
from tests.e2e.trouble import drill, until
from tests.fixtures_compose import engine as throwaway

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("state")]
TRIES = 10
FIT = (0, 4)
"""4: this machine may be too busy for drills, which is nothing that is left."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of this user's is touched."""
    throwaway.require()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        for name, value in throwaway.environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def up(state: None) -> Iterator[str]:
    """The name of a shop that stays up from one test to the next."""
    name = f"trouble-{secrets.token_hex(3)}"
    with shop_project.up(name):
        yield name


@pytest.fixture
def kept(up: str) -> str:
    """The same, whole again where the last test has taken something from it."""
    shop_project.shop(up).up()
    return up


def seen(engine: docker.DockerClient, instance: str) -> Seen:
    return Seen(engine, compose.project_of(instance))


def doctor() -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and its lines by their name."""
    code, told = trouble.tool("doctor")
    return code, {one["check"]: one for one in told["checks"]}


@trouble.asked_again
def test_a_killed_harness_is_healed_by_its_reaper(engine: docker.DockerClient, kept: str, tmp_path: Path) -> None:
    look = seen(engine, kept)
    before = look.facts()
    with drill(tmp_path, trouble.scenario(tmp_path, *ALL), instance=kept, target=TARGET) as running:
        injected(running, len(ALL))
        broken = look.facts()
        assert {name for name in broken if broken[name] != before[name]} == {"back", "front", "toxics"}
        running.send(signal.SIGKILL)
        until(lambda: look.facts() == before, what="all as it was")
        until(lambda: not running.ledger.exists(), what="the end of the ledger")
        assert running.end() == -signal.SIGKILL
    assert doctor()[0] in FIT


@trouble.asked_again
def test_without_harness_and_reaper_heal_takes_it_back(engine: docker.DockerClient, kept: str, tmp_path: Path) -> None:
    look = seen(engine, kept)
    before = look.facts()
    with drill(tmp_path, trouble.scenario(tmp_path, *ALL), instance=kept, target=TARGET) as running:
        injected(running, len(ALL))
        reaper = running.pid_of("harness.run.reaper")
        os.kill(reaper, signal.SIGKILL)
        running.send(signal.SIGKILL)
        assert running.end() == -signal.SIGKILL
        code, lines = doctor()
        assert (code, lines["leftovers"]["ok"]) == (6, False)
        for point in ("process back", "memory back", "network front/default", "toxic front-back/fault-1"):
            assert point in lines["leftovers"]["says"]
        until(lambda: look.toxics() == before["toxics"], what="the end of the lease")
        assert look.facts() != before
        code, told = trouble.tool("heal")
        assert (code, told[0]["failures"]) == (0, [])
        assert look.facts() == before
    code, lines = doctor()
    assert (code in FIT, lines["leftovers"]["ok"]) == (True, True)


def test_a_container_that_somebody_removes_is_told_and_the_rest_is_healed(
    engine: docker.DockerClient, kept: str, tmp_path: Path
) -> None:
    look = seen(engine, kept)
    before = look.facts()
    path = trouble.scenario(tmp_path, MEMORY, DISCONNECT, PAUSE)
    with drill(tmp_path, path, instance=kept, target=TARGET) as running:
        injected(running, 3)
        look.api.remove_container(look.containers()["front"]["Id"], force=True)
        assert running.end() == 6, "that it is reached again can't be seen of a container that is gone"
        told = running.said.read_text()
        assert "no container of Compose service 'front'" in told
        assert score(read(running.history)).verdict not in (Verdict.PASS, Verdict.FAIL), told
        assert look.facts() == {name: fact for name, fact in before.items() if name != "front"}
        assert doctor()[0] == 6
        code, healed = trouble.tool("heal")
        assert (code, healed[0]["failures"]) == (0, [])
    assert doctor()[1]["leftovers"]["ok"]


@trouble.asked_again
def test_a_daemon_that_goes_is_told_and_what_is_left_is_healed_when_it_is_back(
    engine: docker.DockerClient, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = seen(engine, kept)
    before = look.facts()
    between = Forwarder(tmp_path / "engine.sock")
    between.start()
    monkeypatch.setenv("DOCKER_HOST", between.host)
    path = trouble.scenario(tmp_path, MEMORY, PAUSE)
    with drill(tmp_path, path, instance=kept, target=TARGET) as running:
        injected(running, 2)
        between.kill()
        assert running.end() == 6, running.said.read_text()
        assert "the daemon doesn't answer" in running.said.read_text()
        code, lines = doctor()
        assert (code, lines["leftovers"]["ok"], lines["docker engine"]["ok"]) == (6, False, False)
        assert kept in lines["docker engine"]["says"]
        assert trouble.tool("heal")[0] == 6
        assert look.facts() != before
        between.start()
        assert trouble.tool("heal")[0] == 0
        assert look.facts() == before
    assert doctor()[1]["leftovers"]["ok"]
    between.kill()


def test_a_service_that_never_gets_ready_ends_the_drill_and_leaves_nothing(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    for name in ("target.yaml", "golden.json", "load.py"):
        shutil.copy(trouble.SHOP / name, tmp_path)
    sick = tmp_path / "sick.yaml"
    sick.write_text(
        f"extends: target.yaml\ndriver: docker\ndocker: {{compose: {trouble.SHOP / 'compose.yaml'}}}\n"
        "services: {back: {ready: {http: /no-such-call, within: 2s}}}\n"
    )
    with drill(tmp_path, trouble.scenario(tmp_path, PAUSE), instance="sick", target=sick) as running:
        assert running.end() == 4
        said = running.said.read_text()
    assert "service 'back' was not ready within 2 s" in said
    assert seen(engine, "sick").containers() == {}
    assert doctor()[1]["docker leftovers"]["left"] == []


@trouble.asked_again
def test_an_instance_whose_start_was_killed_is_started_anew(engine: docker.DockerClient, tmp_path: Path) -> None:
    name = f"half-{secrets.token_hex(3)}"
    look, target = seen(engine, name), shop_project.shop(name)

    def all_run() -> bool:
        found = look.containers()
        return len(found) > len(target.spec.services) and all(one["State"]["Running"] for one in found.values())

    def killed_half_way() -> bool:
        words = [*trouble.COMMAND, "up", "--target", str(TARGET), "--instance", name]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
            until(all_run, what="its containers")
            starting.kill()
        half = record.load(name)
        assert half is not None
        return half.limits == {}

    try:
        for _ in range(TRIES):
            if killed_half_way():
                break
            target.down()  # it had come up before this process was given its turn
        else:
            pytest.fail(f"{TRIES} times it came up before it could be killed")
        first = look.containers()
        with drill(tmp_path, trouble.scenario(tmp_path, MEMORY), instance=name, target=TARGET) as running:
            injected(running, 1)
            now = look.containers()
            assert all(now[service]["Id"] != first[service]["Id"] for service in target.spec.services)
            running.end()
        limits = [shop_project.fact_of(one["back"])["limits"] for one in (first, now, look.containers())]
        assert limits[0] == limits[2] != limits[1]
    finally:
        target.down()
    assert look.containers() == {}


@trouble.asked_again
def test_two_drills_side_by_side_do_not_touch_each_other(
    engine: docker.DockerClient, kept: str, tmp_path: Path
) -> None:
    with shop_project.up(f"beside-{secrets.token_hex(3)}") as other:
        looks = [seen(engine, kept), seen(engine, other.instance)]
        before = [look.facts() for look in looks]
        broken = trouble.scenario(tmp_path, *ALL, name="broken")
        beside = trouble.scenario(tmp_path, PAUSE, name="beside")
        with (
            drill(tmp_path, broken, instance=kept, target=TARGET, reports=tmp_path / "left") as left,
            drill(
                tmp_path, beside, "--arm", "control", instance=other.instance, target=TARGET, reports=tmp_path / "right"
            ) as right,
        ):
            right.wait_for(lambda e: e["kind"] == "load", what="traffic beside")
            injected(left, len(ALL))
            assert looks[1].facts() == before[1]
            assert looks[0].facts()["bystander"] == before[0]["bystander"]
            left.end()
            assert right.end() == 0, right.said.read_text()
        assert [look.facts() for look in looks] == before
