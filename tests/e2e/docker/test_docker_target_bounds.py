"""Only what is ours or allowed: attached projects, bystanders, neighbours of the same name; and what goes wrong around them."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.errors import EnvironmentProblem
from harness.spec.target import TargetSpec
from harness.target.docker import compose
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget
from tests.fixtures_compose import engine

pytestmark = pytest.mark.docker
PROJECT = f"mldrilltest{secrets.token_hex(3)}"
SLEEPER = "services:\n  {name}:\n    image: ${{TINY_IMAGE}}\n    init: true\n    command: {command}\n"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.require()
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "state"))
    for name, value in engine.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[str]:
    """A project of somebody else's, running: worker, twice a scaled one, and a bystander."""
    file = tmp_path / "compose.yaml"
    one = "  {name}: {{image: '${{TINY_IMAGE}}', init: true, command: [sleep, '600']}}\n"
    file.write_text("services:\n" + "".join(one.format(name=name) for name in ("worker", "twin", "bystander")))
    words = [*compose.command(), "-p", PROJECT, "-f", str(file)]
    subprocess.run([*words, "up", "-d", "--scale", "twin=2"], check=True, capture_output=True, timeout=120)
    yield PROJECT
    subprocess.run([*words, "down", "-v", "-t", "0"], check=True, capture_output=True, timeout=120)


def attached(tmp_path: Path, *services: str, instance: str = "foreign", **docker: object) -> DockerTarget:
    section = {"project": PROJECT, "allow": ["worker"]} | docker
    described = {"role": "worker", "config": None}
    spec = TargetSpec.model_validate(
        {"target": "theirs", "driver": "docker", "docker": section, "services": dict.fromkeys(services, described)}
    )
    return DockerDriver().open(spec, folder=tmp_path, instance=instance, seed=1)


def states(project: str) -> dict[str, str]:
    shown = engine.docker("ps", "-a", "--filter", f"label=com.docker.compose.project={project}", "--format",
                          "{{.ID}} {{.Names}} {{.State}} {{.CreatedAt}}")  # fmt: skip
    return {line.split()[1]: line for line in shown.splitlines()}


def pause(service: str) -> Point:
    return Point(PointKind.PROCESS, service)


def test_an_attached_project_is_let_go_as_it_was(tmp_path: Path, foreign: str) -> None:
    before = states(foreign)
    target = attached(tmp_path, "worker")
    target.up()
    target.set(pause("worker"), "paused")
    target.set(Point(PointKind.MEMORY, "worker"), 64 * 2**20)
    assert {name for name, line in states(foreign).items() if line != before[name]} == {f"{PROJECT}_worker_1"}
    target.down()
    assert states(foreign) == before
    assert DockerDriver().instances() == []


def test_a_service_that_is_not_allowed_is_read_but_not_touched(tmp_path: Path, foreign: str) -> None:
    before = states(foreign)
    target = attached(tmp_path, "worker", "bystander")
    target.up()
    assert target.process("bystander").state == "running"
    for point, value in [
        (pause("bystander"), "paused"),
        (Point(PointKind.CPU, "bystander"), 0.5),
        (Point(PointKind.MEMORY, "bystander"), 2**27),
        (Point(PointKind.NETWORK, "bystander/default"), None),
        (Point(PointKind.PARTITION, "worker|bystander"), None),
        (Point(PointKind.ENV, "bystander/X"), "1"),
    ]:
        with pytest.raises(EnvironmentProblem, match="not touched"):
            target.set(point, value)
    target.down()
    assert states(foreign) == before


def test_a_selection_that_is_empty_is_an_error(tmp_path: Path, foreign: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"no container of Compose service 'absent'.*which has: bystander"):
        attached(tmp_path, "absent", allow=["absent"]).up()
    with pytest.raises(EnvironmentProblem, match="no container at all"):
        attached(tmp_path, "worker", project="nosuchproject", allow=["worker"]).up()
    assert DockerDriver().instances() == []


def test_one_of_several_replicas_must_be_named(tmp_path: Path, foreign: str) -> None:
    with pytest.raises(EnvironmentProblem, match="2 containers of 'twin'; nothing was touched"):
        attached(tmp_path, "twin", allow=["twin"]).up()
    target = attached(tmp_path, "second", allow=["twin"], containers={"second": "twin/2"})
    target.up()
    target.set(pause("second"), "paused")
    paused = [name for name, line in states(foreign).items() if " paused " in line]
    target.down()
    assert paused == [f"{PROJECT}_twin_2"]


def test_a_container_that_somebody_removed_needs_no_healing(tmp_path: Path, foreign: str) -> None:
    target = attached(tmp_path, "worker")
    target.up()
    target.set(pause("worker"), "paused")
    engine.docker("rm", "-f", f"{PROJECT}_worker_1")
    undo = Undo(driver="docker", instance="foreign", point=pause("worker"), injected="paused", restore="running")
    assert DockerDriver().attach("foreign").undo(undo) is UndoOutcome.GONE
    assert target.process("worker").state == "gone"
    target.down()


def test_a_daemon_that_is_gone_is_no_good_news(tmp_path: Path, foreign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = attached(tmp_path, "worker")
    target.up()
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
        lost = DockerDriver()
        with pytest.raises(EnvironmentProblem, match="daemon doesn't answer"):
            lost.instances()
        with pytest.raises(EnvironmentProblem, match="daemon doesn't answer"):
            lost.remembered("foreign").undo(
                Undo(driver="docker", instance="foreign", point=pause("worker"), injected="paused", restore="running")
            )
    target.down()


def ours(tmp_path: Path, instance: str, text: str, **ready: object) -> DockerTarget:
    (tmp_path / "compose.yaml").write_text(text)
    spec = TargetSpec.model_validate(
        {
            "target": "own",
            "driver": "docker",
            "docker": {"compose": "compose.yaml"},
            "services": {"one": {"role": "one", "config": None, "ready": ready}},
        }
    )
    return DockerDriver().open(spec, folder=tmp_path, instance=instance, seed=1)


def nothing_left(instance: str) -> bool:
    project = compose.project_of(instance)
    kinds = (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
    label = f"label=com.docker.compose.project={project}"
    return all(engine.docker(*words, "--filter", label) == "" for words in kinds)


@pytest.mark.parametrize(
    ("command", "extra", "within", "words"),
    [
        ("[sh, -c, 'echo the last words; exit 3']", "", "60s", "dies at its start"),
        (
            "[sh, -c, 'echo the last words; sleep 600']",
            "    healthcheck: {test: [CMD, 'false'], interval: 1s}\n",
            "4s",
            "not ready within",
        ),
    ],
    ids=["dies", "unhealthy"],
)
def test_a_service_that_never_gets_ready_is_told_with_its_last_lines(
    tmp_path: Path, *, command: str, extra: str, within: str, words: str
) -> None:
    target = ours(tmp_path, "sick", SLEEPER.format(name="one", command=command) + extra, within=within)
    with pytest.raises(compose.StartProblem, match=words) as raised:
        target.up()
    assert "the last words" in raised.value.log
    assert nothing_left("sick")


def test_a_compose_file_that_can_not_come_up_is_told_in_its_words(tmp_path: Path) -> None:
    target = ours(
        tmp_path, "nonsense", "services:\n  one: {image: 'no-such-image-anywhere:1', network_mode: 'container:x'}\n"
    )
    with pytest.raises(compose.StartProblem, match="can't be brought up"):
        target.up()
    assert nothing_left("nonsense")


def test_a_project_of_the_same_name_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    project = compose.project_of("taken")
    taken = engine.docker("run", "-d", "--init", "--label", f"com.docker.compose.project={project}", engine.image(),
                          "sleep", "600")  # fmt: skip
    try:
        target = ours(tmp_path, "taken", SLEEPER.format(name="one", command="[sleep, '600']"))
        with pytest.raises(EnvironmentProblem, match="isn't ours"):
            target.up()
        target.down()
        assert engine.docker("inspect", "-f", "{{.State.Running}}", taken) == "true"
    finally:
        engine.docker("rm", "-f", taken)


def test_two_instances_side_by_side_do_not_touch_each_other(tmp_path: Path) -> None:
    text = SLEEPER.format(name="one", command="[sleep, '600']")
    left, right = ours(tmp_path, "left", text), ours(tmp_path, "right", text)
    try:
        left.up()
        right.up()
        before = states(right.project)
        left.set(pause("one"), "paused")
        assert right.process("one").state == "running"
        left.down()
        assert states(right.project) == before
        assert DockerDriver().instances() == ["right"]
    finally:
        left.down()
        right.down()
    assert nothing_left("left")
    assert nothing_left("right")


def test_no_permission_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has every permission")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{closed}/docker.sock")
    with pytest.raises(EnvironmentProblem, match="no permission"):
        attached(tmp_path, "worker").up()
