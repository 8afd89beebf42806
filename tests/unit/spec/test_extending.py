"""A target that extends another says only what differs, and its mistakes are told in its own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidFileError, UsageError
from harness.spec.find import find_target, reference_target
from harness.spec.load import load_target

BASE = """\
target: tiny
driver: embedded
ports: [pager]
services:
  front: {role: front, start: {command: [a]}, env: {ONE: "1", TWO: "2"}}
  back: {role: serving, start: {command: [b]}}
links:
  users-front: {from: outside, to: front}
alerts: {sink_port: pager, evaluation: 500ms, rules: {Down: {layer: latency}}}
"""


@pytest.fixture
def over(tmp_path: Path) -> Path:
    (tmp_path / "target.yaml").write_text(BASE)
    return tmp_path / "containers.yaml"


def test_mappings_are_joined_lists_replaced_and_null_takes_away(over: Path) -> None:
    over.write_text(
        "extends: target.yaml\n"
        "driver: docker\n"
        "docker: {compose: compose.yaml}\n"
        "ports: [pager, other]\n"
        "services: {front: {env: {TWO: null, THREE: '3'}}, more: {role: metrics, config: null}}\n"
        "alerts: {evaluation: 1s}\n"
    )
    spec = load_target(over).spec
    assert spec.target == "tiny"
    assert spec.driver == "docker"
    assert spec.ports == ("pager", "other")
    assert spec.services["front"].env == {"ONE": "1", "THREE": "3"}
    assert set(spec.services) == {"front", "back", "more"}
    assert spec.services["more"].config is None
    assert (spec.alerts.evaluation, spec.alerts.sink_port, set(spec.alerts.rules)) == (1.0, "pager", {"Down"})


def test_the_digest_moves_with_either_file(over: Path) -> None:
    over.write_text("extends: target.yaml\ndriver: docker\ndocker: {compose: compose.yaml}\n")
    first = load_target(over).digest
    over.write_text("extends: target.yaml\ndriver: docker\ndocker: {compose: other.yaml}\n")
    second = load_target(over).digest
    (over.parent / "target.yaml").write_text(BASE.replace("500ms", "700ms"))
    assert len({first, second, load_target(over).digest}) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends: target.yml\n", "containers.yaml:1:10: there is no file 'target.yml'. Did you mean 'target.yaml'?"),
        ("driver: docker\nextends: ../x.yaml\n", "containers.yaml:2:10: '../x.yaml' leads out of the folder"),
        ("extends: 3\n", "containers.yaml:1:10: `extends` is 3, and the name of a target file"),
        ("extends: containers.yaml\n", "containers.yaml:1:10: containers.yaml extends a file itself"),
        ("extends: target.yaml\ndrivr: docker\n", "containers.yaml:2:1: unknown key 'drivr'. Did you mean 'driver'?"),
        ("extends: target.yaml\nports: []\n", "containers.yaml:1:1: unknown port 'pager'"),
        ("extends: target.yaml\nservices: {back: null}\ngraph: {edges: [[front, back]]}\n", "3:25: unknown component"),
    ],
)
def test_a_mistake_is_told_where_it_was_made(over: Path, *, text: str, told: str) -> None:
    over.write_text(text)
    with pytest.raises(InvalidFileError) as refused:
        load_target(over)
    assert told in refused.value.problems[0]


def test_a_mistake_in_the_base_is_told_as_the_bases(over: Path) -> None:
    (over.parent / "target.yaml").write_text(BASE.replace("{command: [b]}", "{comand: [b]}"))
    over.write_text("extends: target.yaml\ndriver: docker\ndocker: {compose: compose.yaml}\n")
    with pytest.raises(InvalidFileError) as refused:
        load_target(over)
    assert "target.yaml:6:33: unknown key 'comand'" in refused.value.problems[0]


def test_the_reference_pipeline_has_two_forms() -> None:
    assert find_target(None) == find_target("embedded") == reference_target()
    embedded, docker = load_target(find_target("embedded")).spec, load_target(find_target("docker")).spec
    assert (embedded.driver, docker.driver) == ("embedded", "docker")
    assert set(docker.services) - set(embedded.services) == {"prometheus", "alertmanager"}
    assert all(docker.services[name].role == service.role for name, service in embedded.services.items())
    assert (docker.links, docker.slis, docker.actions) == (embedded.links, embedded.slis, embedded.actions)
    assert docker.alerts.rules == embedded.alerts.rules


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no target is called .dokcer.\. Did you mean .docker."):
        find_target("dokcer")
    assert find_target("./mine.yaml") == Path("mine.yaml")
