"""Who may import whom: the floors of the house, held by reading every import statement of the tree.

The imports are read, not run, so that those inside functions and under TYPE_CHECKING count like all others: a
layer that is crossed lazily is crossed. Rejected: import-linter, whose contracts can't say "any floor above,
but not that room". What always holds: a room that isn't in the table below is refused, so a new one must be
given its floor.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]

FLOORS = (
    ("errors", "seeds", "contract"),
    ("measure", "corrupt", "spec"),
    ("history",),
    ("plugin",),
    ("plan", "proxy", "target", "fault", "observe", "respond"),
    ("score", "run"),
    ("report",),
    ("board", "cli", "pytest_plugin"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PURE = frozenset({"contract", "measure", "corrupt", "spec", "plan", "score", "report"})
BESIDE = frozenset({"clock", "state"})
"""Modules on no floor: those from `plugin` down may use them, but none that is pure. They import errors only."""

RIGHT_OF_HISTORY = frozenset({"score", "report"})
NEXT_DOOR = (("proxy", "harness.corrupt"), ("target", "harness.proxy.client"))
"""(room, module): what a room may use although the floors alone would not let it."""

WORLD = frozenset(
    {
        *("random", "secrets", "uuid"),
        *("sched", "time"),
        *("asyncio", "gevent", "multiprocessing", "signal", "subprocess", "threading"),
        *("http", "httpx", "requests", "select", "selectors", "socket", "urllib.request"),
    }
)
"""Modules that bring in chance, a clock, other processes and threads, or the network."""

PIPELINE = ("fixtures", "pipeline")
"""The names under which the reference pipeline can be imported, in the checkout."""


NOT_THE_PIPELINE = "the harness knows the reference pipeline through target.yaml only"
NOT_THE_HARNESS = "the reference pipeline knows nothing of the harness"


class Import(NamedTuple):
    line: int
    module: str


def room_of(module: str) -> str:
    """`harness.plan.build` is in the room `plan`; `harness` itself in the room ``."""
    return module.split(".")[1] if "." in module else ""


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imports_of(tree: ast.Module, *, module: str, is_package: bool) -> Iterator[Import]:
    """Every module that the source names in an import, at any depth, with relative ones resolved.

    `from harness import plan` names `harness.plan`, so each imported name is taken for a module too.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield Import(node.lineno, name.name)
            case ast.ImportFrom(module=origin, names=names, level=level):
                stem = [*package[: len(package) - level + 1]] if level else []
                base = ".".join([*stem, *([origin] if origin else [])])
                for name in names:
                    yield Import(node.lineno, base if name.name == "*" else f"{base}.{name.name}")
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(node.lineno, name)


def complaint_about(*, module: str, imported: str) -> str:
    """Why `module` of the harness may not import `imported`, or nothing."""
    room, other = room_of(module), room_of(imported)
    if any(within(imported, name) for name in PIPELINE):
        return NOT_THE_PIPELINE
    if room in PURE and any(within(imported, name) for name in WORLD):
        return f"{room} is pure"
    if not within(imported, "harness") or other in {"", "_data", "__version__"}:
        return ""
    if (room and other == room) or other == "errors":
        return ""
    if other in BESIDE:
        return "" if room not in PURE and floor_of(room) >= FLOOR["plugin"] else f"{room} has no {other}"
    if any(room == user and within(imported, used) for user, used in NEXT_DOOR):
        return ""
    if other not in FLOOR:
        return f"the room {other} has no floor: give it one in this test"
    if other == "plugin" and room in RIGHT_OF_HISTORY:
        return f"{room} needs no plugin: the plan carries what it must know"
    if FLOOR[other] >= floor_of(room):
        return f"{room or 'harness/__init__'} stands on or above the floor of {other}"
    return ""


def floor_of(room: str) -> int:
    """The package's own __init__ and what is beside the floors stand above all: they import errors only."""
    return FLOOR.get(room, -1)


def complaints(root: Path) -> list[str]:
    """Every import below `root` that crosses a layer, as `file:line: module imports x: why not`."""
    found = []
    for path in sorted(root.glob("harness/**/*.py")):
        where = path.relative_to(root)
        if where.parts[1] == "_data":
            continue
        is_package = path.name == "__init__.py"
        module = ".".join(where.with_suffix("").parts[: -1 if is_package else None])
        if room_of(module) not in {*FLOOR, *BESIDE, ""}:
            found.append(f"{where}:1: the room {room_of(module)} has no floor: give it one in this test")
            continue
        tree = ast.parse(path.read_text(), filename=str(where))
        for line, imported in imports_of(tree, module=module, is_package=is_package):
            if why := complaint_about(module=module, imported=imported):
                found.append(f"{where}:{line}: imports {imported}: {why}")
    for path in sorted(root.glob("fixtures/**/*.py")):
        where = path.relative_to(root)
        tree = ast.parse(path.read_text(), filename=str(where))
        module = ".".join(where.with_suffix("").parts)
        for line, imported in imports_of(tree, module=module, is_package=False):
            if within(imported, "harness"):
                found.append(f"{where}:{line}: imports {imported}: {NOT_THE_HARNESS}")
    return found


def test_no_import_crosses_a_layer() -> None:
    assert complaints(REPOSITORY) == []


CROSSINGS = [
    ("harness/measure/fold.py", "from harness.spec.scenario import Scenario", "measure stands on or above"),
    ("harness/measure/fold.py", "from ..spec import scenario", "measure stands on or above"),
    ("harness/spec/load.py", "import harness.plugin", "spec stands on or above"),
    ("harness/plan/build.py", "from harness import target", "plan stands on or above"),
    ("harness/plan/build.py", "def late():\n    from harness.fault import model", "plan stands on or above"),
    ("harness/fault/model.py", "from harness.proxy.client import Client", "fault stands on or above"),
    ("harness/target/embedded.py", "from harness.proxy.server import Server", "target stands on or above"),
    (
        "harness/observe/pager.py",
        "importlib.import_module('harness.run')",
        "observe stands",
    ),
    (
        "harness/history/write.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from harness.run import live",
        "history stands on or above",
    ),
    ("harness/run/machine.py", "from harness.score import times", "run stands on or above"),
    ("harness/score/times.py", "from harness.plugin import Fault", "score needs no plugin"),
    ("harness/report/html.py", "from harness import plugin", "report needs no plugin"),
    ("harness/score/times.py", "import time", "score is pure"),
    ("harness/report/html.py", "from random import random", "report is pure"),
    ("harness/report/html.py", "from urllib import request", "report is pure"),
    ("harness/plan/build.py", "from harness.clock import now_ns", "plan has no clock"),
    ("harness/history/write.py", "from harness.clock import now_ns", "history has no clock"),
    ("harness/__init__.py", "from harness.cli import main", "harness/__init__ stands on or above"),
    ("harness/clock.py", "from harness.seeds import derive", "clock stands on or above"),
    ("harness/attic/box.py", "import json", "the room attic has no floor"),
    ("harness/run/live.py", "import harness.attic", "the room attic has no floor"),
    ("harness/run/live.py", "import pipeline.gateway", NOT_THE_PIPELINE),
    (
        "harness/run/live.py",
        "from fixtures.pipeline import gateway",
        NOT_THE_PIPELINE,
    ),
    ("fixtures/pipeline/gateway.py", "import harness.clock", NOT_THE_HARNESS),
]


@pytest.mark.parametrize(("file", "source", "why"), CROSSINGS)
def test_a_crossing_is_seen(tmp_path: Path, *, file: str, source: str, why: str) -> None:
    write(tmp_path, file=file, source=source)
    assert [why in complaint for complaint in complaints(tmp_path)] == [True]


LEGAL = [
    ("harness/contract/undo.py", "from harness.errors import HarnessError"),
    ("harness/spec/scenario.py", "from harness.contract import words\nfrom harness.spec.base import Record"),
    ("harness/spec/scenario.py", "from .base import Record"),
    ("harness/plugin.py", "from harness.clock import now_ns\nfrom harness.history import events"),
    ("harness/proxy/tap/http.py", "from harness.corrupt.columns import scale\nimport socket"),
    ("harness/target/embedded.py", "from harness.proxy.client import Client"),
    ("harness/score/times.py", "from harness.measure import onset\nfrom datetime import timedelta"),
    (
        "harness/run/live.py",
        "import threading\nfrom harness.clock import now_ns\nimport harness.plan",
    ),
    ("harness/cli/run.py", "from harness.report import html\nfrom harness.run import live"),
    ("harness/cli/run.py", "import harness\nfrom harness import __version__"),
    ("fixtures/pipeline/gateway.py", "import time\nfrom pipeline import schema"),
]


@pytest.mark.parametrize(("file", "source"), LEGAL)
def test_what_is_legal_passes(tmp_path: Path, *, file: str, source: str) -> None:
    write(tmp_path, file=file, source=source)
    assert complaints(tmp_path) == []


def write(root: Path, *, file: str, source: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
