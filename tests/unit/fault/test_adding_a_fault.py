"""The page for who adds a fault is true: its example, taken from the page itself, passes the suite that it tells to run."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from harness.contract.words import Arm
from harness.fault.conformance import CHECKS, Case
from harness.plan import make_plan
from harness.plugin import Fault
from harness.spec.scenario import Scenario
from tests.doubles.stub_target import StubTarget, inventory

PAGE = Path(__file__).parents[3] / "docs/adding-a-fault.md"
DOWN, PIPELINE, TESTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def module(name: str, source: str) -> ModuleType:
    made = ModuleType(name)
    exec(compile(source, f"{PAGE.name}:{name}", "exec"), made.__dict__)
    return made


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the page, as if they were installed."""
    made = {"mydrill": ModuleType("mydrill")}
    for name, source in (("mydrill.down", DOWN), ("mydrill.pipeline", PIPELINE), ("mydrill.tests", TESTS)):
        for installed, known in made.items():
            monkeypatch.setitem(sys.modules, installed, known)
        made[name] = module(name, source)
    return made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_passes_the_suite(pages: dict[str, ModuleType], *, check: Callable[[Case], None]) -> None:
    case: Case = pages["mydrill.tests"].CASE
    on_stub = dataclasses.replace(case, target=StubTarget, wait=lambda target, seconds: target.advance(seconds))  # type: ignore[attr-defined]  # the stub's own
    check(on_stub)


def test_the_example_satisfies_the_protocol_and_can_be_planned(pages: dict[str, ModuleType]) -> None:
    down = pages["mydrill.down"].DOWN
    assert isinstance(down, Fault)
    written = {
        "scenario": "mine",
        "kind": "fault",
        "title": "Mine",
        "incident": "pipeline-failure",
        "faults": [{"fault": "service.down", "service": "features"}],
        "budget": "30s",
    }
    made = make_plan(
        Scenario.model_validate(written),
        scenario_digest="",
        target_spec=StubTarget().spec,
        inventory=inventory(),
        playbook=None,
        arm=Arm.FAULT,
        seed=1,
        responder="none",
        responder_arguments={},
        faults=lambda _: down,
        target_digest="",
    )
    assert made.faults[0].components[0].name == "features"


def test_the_entry_point_of_the_page_names_what_is_there(pages: dict[str, ModuleType]) -> None:
    found = re.search(r'"(\S+)" = "(\S+):(\w+)"', PAGE.read_text())
    assert found is not None
    assert getattr(pages[found[2]], found[3]).declaration.name == found[1]
