"""Marks by folder, so that no test file has to repeat them: tests/bench is `bench`, tests/e2e is `e2e`.

Everything else that holds for all tests (time limit, import mode, strict markers) is in pyproject.toml.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

HERE = Path(__file__).parent
MARKS_BY_FOLDER = {"bench": pytest.mark.bench, "e2e": pytest.mark.e2e}


# How long an example takes tells of the machine: a stall of 0.2 s would fail a test that has nothing to do with time.
NO_CLOCK: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
# CI must say the same of the same commit; where people work, every run draws anew and may find something.
hypothesis.settings.register_profile("here", **NO_CLOCK)
hypothesis.settings.register_profile("ci", derandomize=True, **NO_CLOCK)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = MARKS_BY_FOLDER.get(item.path.relative_to(HERE).parts[0])
        if mark is not None:
            item.add_marker(mark)
