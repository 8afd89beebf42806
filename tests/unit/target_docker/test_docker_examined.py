"""What `drill doctor` says of Docker, by what an engine says: nobody there, unusable, and what is whose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker.errors
import pytest

from harness.errors import EnvironmentProblem
from harness.target.docker import compose, examined, record, shaping
from harness.target.docker.daemon import Daemon, asking, require_api
from harness.target.docker.driver import DockerDriver
from harness.target.instances import Finding

NOBODY = docker.errors.DockerException("Error: FileNotFoundError(2, 'No such file')")
CLOSED = docker.errors.DockerException("Error: ('Connection aborted.', PermissionError(13, 'Permission denied'))")


class Engine:
    """Stands in for docker-py's client: what stands on it, and what is removed."""

    def __init__(self, *, images: bool = True, **things: list[dict[str, Any]]) -> None:
        self.images, self.things = images, things
        self.removed: list[str] = []

    def version(self) -> dict[str, str]:
        return {"Version": "20.10.24", "ApiVersion": "1.41"}

    def inspect_image(self, name: str) -> dict[str, Any]:
        if not self.images:
            raise docker.errors.ImageNotFound("x", explanation=f"No such image: {name}")
        return {}

    def _of(self, kind: str, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        wanted = [label.partition("=") for label in filters["label"]]
        return [
            one
            for one in self.things.get(kind, [])
            if all(one["Labels"].get(key) == value if bar else key in one["Labels"] for key, bar, value in wanted)
        ]

    def containers(self, *, filters: dict[str, list[str]], **_: object) -> list[dict[str, Any]]:
        return self._of("containers", filters)

    def networks(self, *, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        return self._of("networks", filters)

    def volumes(self, *, filters: dict[str, list[str]]) -> dict[str, Any]:
        return {"Volumes": self._of("volumes", filters)}

    def remove_container(self, container: str, **_: object) -> None:
        self.things["containers"] = [one for one in self.things["containers"] if one["Id"] != container]
        self.removed.append(container)

    def inspect_network(self, name: str) -> dict[str, Any]:
        return {"Containers": {}}

    def remove_network(self, name: str) -> None:
        self.things["networks"] = [one for one in self.things["networks"] if name not in (one["Id"], one["Name"])]
        self.removed.append(name)

    def remove_volume(self, name: str, **_: object) -> None:
        self.removed.append(name)


class Asked(Daemon):
    """A daemon with such an engine, or one that can't be had."""

    def __init__(self, engine: Engine | Exception) -> None:
        super().__init__()
        self.engine = engine

    @property
    def api(self) -> Any:
        if isinstance(self.engine, Exception):
            with asking("connect"):
                raise self.engine
        return self.engine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    monkeypatch.setattr(compose, "command", lambda: ["docker", "compose"])
    monkeypatch.setattr(shaping, "lacks_netem", lambda *_: "")


def remember(instance: str) -> None:
    record.folder_of(instance).mkdir()
    record.save(
        record.Record(
            instance=instance,
            spec={"target": "shop", "driver": "docker", "docker": {"project": "shop", "allow": ["web"]},
                  "services": {"web": {"role": "web"}}},
            digest="",
            folder="/",
            seed=1,
            project=compose.project_of(instance),
            ours=True,
        )
    )  # fmt: skip


def thing(name: str, *, instance: str = "", project: str = "") -> dict[str, Any]:
    labels = {examined.INSTANCE: instance} if instance else {}
    labels |= {examined.PROJECT: project} if project else {}
    return {"Id": name, "Name": name, "Names": [f"/{name}"], "Labels": labels}


def told(engine: Engine | Exception) -> dict[str, Finding]:
    return {one.check: one for one in examined.examine(Asked(engine))}


def test_where_no_engine_answers_and_none_is_needed_that_is_a_remark() -> None:
    found = told(NOBODY)
    assert list(found) == ["docker engine"]
    assert (found["docker engine"].ok, "none answers" in found["docker engine"].says) == (True, True)


@pytest.mark.parametrize("thrown", [NOBODY, CLOSED])
def test_an_engine_that_can_not_be_asked_of_a_remembered_instance_is_bad(thrown: Exception) -> None:
    remember("mine")
    found = told(thrown)["docker engine"]
    assert (found.ok, "how these instances are: mine" in found.says) == (False, True)
    driver = DockerDriver()
    driver._daemon = Asked(thrown)
    status = driver.describe("mine")
    assert (status.running, "docker: " in status.problem) == (False, True)


def test_a_socket_that_is_closed_to_us_is_bad_and_says_what_to_do() -> None:
    found = told(CLOSED)["docker engine"]
    assert (found.ok, "no permission" in found.says, "group `docker`" in found.says) == (False, True, True)


def test_an_old_engine_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem) as old:
        require_api("1.40")
    found = told(old.value)["docker engine"]
    assert (found.ok, "speaks API 1.40" in found.says, "20.10 or later" in found.says) == (False, True, True)


def test_an_engine_that_is_fit_is_told_with_its_version() -> None:
    found = told(Engine())
    assert [(one.check, one.ok) for one in found.values()] == [
        ("docker engine", True),
        ("compose", True),
        ("pipeline image", True),
        ("netem", True),
        ("docker leftovers", True),
    ]
    assert found["docker engine"].says == "20.10.24, API 1.41"


def test_an_image_that_is_not_built_yet_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDRILL_IMAGE", "ours:1")
    found = told(Engine(images=False))["pipeline image"]
    assert (found.ok, found.says) == (True, "ours:1 isn't there yet: the first start builds it")


def test_a_kernel_without_netem_is_a_remark_in_its_own_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(Engine())["netem"].says == "this kernel has it"
    monkeypatch.setattr(shaping, "lacks_netem", lambda *_: "Error: Specified qdisc kind is unknown.")
    found = told(Engine())["netem"]
    assert (found.ok, found.says.startswith("no: Error: Specified qdisc kind is unknown.")) == (True, True)


def test_netem_that_can_not_be_tried_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_image(*_: object) -> str:
        raise EnvironmentProblem("no such image")

    monkeypatch.setattr(shaping, "lacks_netem", no_image)
    assert told(Engine())["netem"] == Finding("netem", ok=True, says="not tried: no such image")


def test_without_compose_nothing_can_be_brought_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[str]:
        raise EnvironmentProblem("neither is there", hint="Install it")

    monkeypatch.setattr(compose, "command", none)
    assert told(Engine())["compose"] == Finding("compose", ok=False, says="neither is there. Install it")


def test_what_is_left_is_told_apart_by_whose_it_is() -> None:
    remember("mine")
    dead, alive = compose.project_of("dead"), compose.project_of("mine")
    engine = Engine(
        containers=[
            thing("a", instance="dead", project=dead),
            thing("b", instance="mine", project=alive),
            thing("c", instance="theirs", project="mldrill-theirs-000000"),
            thing("d", project="somebody"),
        ],
        networks=[thing("n", project=dead)],
        volumes=[thing("v", instance="dead", project=dead)],
    )
    found = told(engine)["docker leftovers"]
    assert (found.ok, found.left) == (False, ("container a", "network n", "volume v"))
    assert "drill down --driver docker --instance dead" in found.says
    assert found.says.endswith("of other users or state folders: theirs (mldrill-theirs-000000)")


def test_sweeping_takes_what_is_left_of_that_one_and_nothing_else() -> None:
    dead = compose.project_of("dead")
    engine = Engine(
        containers=[thing("a", instance="dead", project=dead), thing("c", instance="dead", project="theirs")],
        networks=[thing("n", project=dead), thing("m", project="theirs")],
        volumes=[thing("v", project=dead)],
    )
    assert examined.sweep(Asked(engine), "dead") == ["container a", "network n", "volume v"]
    assert engine.removed == ["a", "n", "v"]
    assert examined.sweep(Asked(engine), "other") == []
