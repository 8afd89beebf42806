"""Marks by folder, so that no test file has to repeat them: tests/bench is `bench`, tests/e2e is `e2e`.

Everything else that holds for all tests (time limit, import mode, strict markers) is in pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
MARKS_BY_FOLDER = {"bench": pytest.mark.bench, "e2e": pytest.mark.e2e}


@pytest.hookimpl(tryfirst=True)  # before pytest selects by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = MARKS_BY_FOLDER.get(item.path.relative_to(HERE).parts[0])
        if mark is not None:
            item.add_marker(mark)
