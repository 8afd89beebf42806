"""What the tests of the docker driver need: an engine, an image with a Python, and the throw-away project.

They are asked for as all tests on containers are (see tests/e2e/docker/conftest.py): MLDRILL_DOCKER=1, or `required`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem
from harness.spec.load import load_target
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget

HERE = Path(__file__).parent
IMAGES = ("mldrill/base:bookworm", "python:3.12-slim", "python:3.11-slim")


@cache
def lacking() -> str:
    """Why no container can be started here; empty when one can."""
    daemon = Daemon()
    try:
        daemon.containers({"dev.mldrill.none": "none"})
        image()
    except EnvironmentProblem as problem:
        return problem.message
    return ""


@cache
def image() -> str:
    """An image with a Python that the engine has."""
    daemon = Daemon()
    for name in (os.environ.get("MLDRILL_TEST_IMAGE", ""), *IMAGES):
        try:
            if name:
                with asking(f"find image {name}"):
                    daemon.api.inspect_image(name)
                return name
        except Missing:
            continue
    raise EnvironmentProblem(f"none of the images {', '.join(IMAGES)} is there; .ci/base-image makes one")


def require() -> None:
    """Skips the test with its reason, or fails it where containers are required."""
    asked = os.environ.get("MLDRILL_DOCKER")
    if not asked:
        pytest.skip("tests on containers are asked for with MLDRILL_DOCKER=1")
    if why := lacking():
        if asked == "required":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)


@contextlib.contextmanager
def running(instance: str, state: Path) -> Iterator[DockerTarget]:
    """The throw-away project, up, with a state directory of its own; nothing of it is left afterwards."""
    require()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(state))
        for name, value in environment().items():
            patch.setenv(name, value)
        target = opened(instance)
        try:
            target.up()
            yield target
        finally:
            target.down()
            left = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={target.project}")
            assert left == "", "containers are left"


def environment() -> dict[str, str]:
    """Variables of compose.yaml."""
    return {"TINY_IMAGE": image(), "TINY_SITE": sysconfig.get_paths()["platlib"], "MLDRILL_SEED": "7"}


def opened(instance: str) -> DockerTarget:
    """The throw-away project as an instance of our own, not yet up."""
    loaded = load_target(HERE / "target.yaml")
    return DockerDriver().open(loaded.spec, folder=loaded.folder, instance=instance, seed=7)


def docker(*words: str) -> str:
    """The command line, to look at the engine past the driver."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=120).stdout.strip()
