"""The wheel carries scenarios and reference pipeline below the package, and nothing that isn't meant to ship.

It is built from a copy of what git has or would add, so that nobody's caches matter and the build leaves no
trace in the checkout. Rubbish that .gitignore names is planted in the copy first: shipping it would show.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
PLACES = {
    "harness/": "harness/",
    "scenarios/": "harness/_data/scenarios/",
    "fixtures/": "harness/_data/fixtures/",
}
"""Where a folder of the checkout stands in the wheel; no other folder is in it."""

RUBBISH = ("harness/__pycache__/old.cpython-311.pyc", "fixtures/build/model.onnx")


class Wheel(NamedTuple):
    names: frozenset[str]
    distribution: Distribution

    @property
    def payload(self) -> frozenset[str]:
        return frozenset(name for name in self.names if ".dist-info/" not in name)


@pytest.fixture(scope="session")
def wheel(sources: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    scratch = tmp_path_factory.mktemp("wheel")
    copy = scratch / "copy"
    for name in sources:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, copy / name)
    for name in RUBBISH:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("rubbish")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(scratch), str(copy)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = scratch.glob("*.whl")
    (distribution,) = distributions(path=[str(path)])
    return Wheel(frozenset(zipfile.ZipFile(path).namelist()), distribution)


def test_each_file_is_in_its_place_and_no_other_is_there(wheel: Wheel, sources: tuple[str, ...]) -> None:
    expected = {
        there + name.removeprefix(here) for name in sources for here, there in PLACES.items() if name.startswith(here)
    }
    assert wheel.payload == expected


def test_the_reference_pipeline_is_there(wheel: Wheel) -> None:
    assert any(name.startswith("harness/_data/fixtures/pipeline/") for name in wheel.payload)


def test_one_name_stands_in_site_packages(wheel: Wheel) -> None:
    assert {name.split("/")[0] for name in wheel.payload} == {"harness"}


def test_the_licence_ships(wheel: Wheel) -> None:
    assert [name for name in wheel.names if name.endswith(".dist-info/licenses/LICENSE")]


def test_entry_points_are_those_of_the_project(wheel: Wheel) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {"console_scripts": project["scripts"], **project["entry-points"]}
    assert {(point.group, point.name, point.value) for point in wheel.distribution.entry_points} == {
        (group, name, value) for group, points in declared.items() for name, value in points.items()
    }


@pytest.mark.skipif(not (REPOSITORY / "harness/cli/__init__.py").is_file(), reason="harness/cli isn't there yet")
def test_every_entry_point_names_a_module_that_ships(wheel: Wheel) -> None:
    stems = {point.module.replace(".", "/") for point in wheel.distribution.entry_points}
    missing = [stem for stem in stems if not wheel.payload & {f"{stem}.py", f"{stem}/__init__.py"}]
    assert missing == []


def test_no_dependency_is_an_address(wheel: Wheel) -> None:
    dependencies = wheel.distribution.requires or []
    assert "click" in dependencies
    assert [dependency for dependency in dependencies if "@" in dependency or "://" in dependency] == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {
        canonical(re.split(r"[<>=~!;\[ ]", dependency)[0])
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for dependency in group
    }
    pins = (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert wanted - {canonical(pin.split("==")[0]) for pin in pins if "==" in pin} == set()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
