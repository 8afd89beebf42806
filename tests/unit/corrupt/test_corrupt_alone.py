"""The library is one of its own: it needs numpy and Python's standard library, and nothing else that this project uses."""

from __future__ import annotations

import subprocess
import sys

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
