"""Marks by folder, so that no test file has to repeat them: tests/bench is `bench`, tests/e2e is `e2e` and has longer.

Everything else that holds for all tests (time limit, import mode, strict markers) is in pyproject.toml.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

HERE = Path(__file__).parent
E2E = pytest.mark.e2e
MARKS_BY_FOLDER = {"bench": pytest.mark.bench, "e2e": E2E}
E2E_S_MAX = 300
"""Such a test waits for several things one after the other, each of which may take its time on a busy machine."""


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
        if mark is E2E and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(E2E_S_MAX))
