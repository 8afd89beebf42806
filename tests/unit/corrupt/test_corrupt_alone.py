"""The library is one of its own: it needs numpy and Python's standard library, and nothing else that this project uses."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from harness.corrupt.mechanism.base import Mechanism
from harness.corrupt.registry import DAMAGES, MECHANISMS
from harness.corrupt.types.base import Damage

ALONE = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("harness", "numpy"):
            raise ModuleNotFoundError(f"{name}: not of numpy nor of the standard library", name=name)

sys.meta_path.insert(0, Only())
import numpy as np
from harness import corrupt
from harness.corrupt.registry import DAMAGES, MECHANISMS

columns = {"amount": np.arange(1.0, 101.0), "at": np.full(100, np.datetime64("2026-01-01"))}
chain = corrupt.parse_chain([
    {"type": "outlier", "columns": "amount", "dose": 0.2},
    {"type": "missing", "columns": "amount", "mechanism": {"kind": "itself", "above_quantile": 0.5}},
    {"type": "late", "by": 3, "dose": 0.3},
])
damaged = corrupt.damage(columns, chain, reference=corrupt.Reference.of(columns))
print(damaged.hits > 0, len(DAMAGES) > 20, len(MECHANISMS) > 5)
%s
"""


def run(last: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ALONE % last], capture_output=True, text=True, timeout=60, check=False)


def test_numpy_alone_is_enough() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "True True True"


def test_what_else_would_be_imported_is_seen() -> None:
    assert "not of numpy" in run("import click").stderr


def test_whatever_is_imported_first_damage_is_the_function() -> None:
    code = (
        "import pkgutil, importlib, harness.corrupt.types.numbers, harness.corrupt\n"
        "for room in pkgutil.walk_packages(harness.corrupt.__path__, 'harness.corrupt.'):\n"
        "    importlib.import_module(room.name)\n"
        "from harness.corrupt import damage\n"
        "print(type(damage).__name__, *(name for name in harness.corrupt.__all__\n"
        "      if importlib.util.find_spec(f'harness.corrupt.{name}')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "function\n", done.stdout + done.stderr


def loaded(code: str) -> list[str]:
    """What stands in sys.modules after `code` and did not after `import numpy`."""
    told = f"import sys, numpy\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.split()


def classes(modules: list[str]) -> list[str]:
    rooms = ("harness.corrupt.types.", "harness.corrupt.mechanism.")
    return [name for name in modules if name.startswith(rooms)]


def test_importing_loads_no_type_no_mechanism_and_nothing_heavy() -> None:
    found = loaded("import harness.corrupt")
    assert classes(found) == ["harness.corrupt.mechanism.base", "harness.corrupt.types.base"]
    heavy = {"hashlib", "fractions", "decimal", "difflib", "statistics", "numpy.random", "msgspec"}
    assert not heavy & set(found)


def test_a_corruption_loads_what_it_names() -> None:
    found = loaded("from harness import corrupt\ncorrupt.parse({'type': 'drop', 'mechanism': 'at-random'})")
    assert set(classes(found)) == {
        *(f"harness.corrupt.{room}.base" for room in ("mechanism", "types")),
        "harness.corrupt.mechanism.at_random",
        "harness.corrupt.types.rows",
    }


@pytest.mark.parametrize("kinds", [DAMAGES, MECHANISMS])
def test_each_name_is_that_of_the_class_it_stands_for(kinds: Mapping[str, type[Any]]) -> None:
    assert {name: kinds[name].name for name in kinds} == {name: name for name in kinds}
    assert len(set(kinds.values())) == len(kinds)


def test_no_class_is_left_out_of_the_registry() -> None:
    for base, kinds in ((Damage, DAMAGES), (Mechanism, MECHANISMS)):
        room = importlib.import_module(base.__module__.rpartition(".")[0])
        for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
            members = vars(importlib.import_module(module.name)).values()
            written = {
                one for one in members if isinstance(one, type) and issubclass(one, base) and "name" in vars(one)
            }
            assert written <= set(kinds.values()), module.name
