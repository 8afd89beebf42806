"""The docker driver against the suite that any driver's author runs; on the throw-away pipeline in containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.plugin import load
from harness.target import conformance
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget
from tests.fixtures_compose import engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerTarget]:
    with engine.running("conformance", tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_the_driver_conforms(target: DockerTarget, *, check: conformance.Check) -> None:
    assert conformance.run(check, target, DockerDriver().inventory(target.spec))


def test_it_is_found_by_its_name() -> None:
    assert load("target", "docker").name == "docker"
