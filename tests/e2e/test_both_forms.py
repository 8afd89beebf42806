"""Scenarios give the same verdict on both forms of the reference pipeline, from the same files: a fault that its playbook
answers passes, and so does a decoy that nobody answers. What a form can't do it refuses when it plans, by the capability's name.

One scenario of each fault stands for the others here; `make admissible` runs them all. Planning is tried with all.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contract.words import Capability
from harness.plugin import Driver, load
from harness.spec.find import all_scenarios, find_target
from harness.spec.load import load_scenario, load_target
from tests.admissible.__main__ import DRILL, RUN_S_MAX, drill, lacking, wrong
from tests.admissible.expectations import one_of_each_fault, trials_of
from tests.fixtures_compose import engine

RIGHT = ("fault, by the playbook", "decoy, nobody acts")
FORMS = [
    pytest.param("embedded", marks=pytest.mark.e2e),
    pytest.param("docker", marks=pytest.mark.docker),
]


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One instance for all scenarios, reset between them; nothing of this user's is touched."""
    if request.param == "docker":
        engine.require()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        yield request.param
        down = [*DRILL, "down", "--driver", request.param, "--instance", "forms"]
        done = subprocess.run(down, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 or "no instance" in done.stderr, done.stderr


def able(form: str) -> frozenset[Capability]:
    """What can be done to the reference pipeline in this form."""
    spec = load_target(find_target(form)).spec
    driver: Driver = load("target", spec.driver)
    return driver.inventory(spec).capabilities


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda path: path.stem)
def test_what_a_form_can_not_do_it_refuses_by_name(form: str, scenario: Path) -> None:
    refused = lacking(scenario, form)
    if refused:
        assert form != "docker", refused
        assert any(str(capability) in refused for capability in able("docker") - able(form)), refused
        assert lacking(scenario, "docker") == ""


@pytest.mark.parametrize("scenario", one_of_each_fault(all_scenarios()), ids=lambda path: path.stem)
@pytest.mark.timeout(2 * RUN_S_MAX)
def test_a_scenario_passes_when_answered_rightly(form: str, scenario: Path, tmp_path: Path) -> None:
    if lacking(scenario, form):
        return  # told by the test above
    (trial,) = [one for one in trials_of(load_scenario(scenario).scenario) if one.label in RIGHT]
    card = drill(scenario, trial, target=form, instance="forms", reports=tmp_path, seed=None)
    if "first" in card:
        warnings.warn(f"{scenario.stem} was asked again: {card['first']}", stacklevel=1)
    assert wrong(trial, card) == ""
