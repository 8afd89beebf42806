"""What ships: scenarios, playbooks, schemas and catalogue agree with each other and with the reference target."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.contract.words import Incident, Kind, Severity
from harness.errors import UsageError
from harness.spec import find
from harness.spec.catalogue import rows, table
from harness.spec.find import (
    all_scenarios,
    data_root,
    find_playbook,
    find_scenario,
    find_target,
    reference_target,
    scenarios_folder,
)
from harness.spec.load import load_playbook, load_scenario, load_target
from harness.spec.playbook import Cell
from harness.spec.schema import SCHEMAS, schema_text
from harness.spec.target import TargetSpec
from harness.spec.yaml_nodes import parse_yaml
from harness.target import builtins
from tests.admissible.__main__ import wrong
from tests.admissible.expectations import one_of_each_fault, trials_of
from tests.admissible.harm import harmful

SCENARIOS = all_scenarios()
LAZY = sorted((Path(__file__).parents[2] / "admissible" / "playbooks").glob("*.md"))
PLAYBOOKS = [*sorted((scenarios_folder() / "playbooks").glob("*.md")), *LAZY]
HOW = "python -c 'from harness.spec.schema import *; print(schema_text(NAME), end=str())'"


@pytest.fixture(scope="module")
def target() -> TargetSpec:
    return load_target(reference_target()).spec


# --- schemas and catalogue --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_checked_in_schema_is_fresh(name: str) -> None:
    assert (scenarios_folder() / f"{name}.schema.json").read_text() == schema_text(name), f"write it anew: {HOW}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_explains_every_key(name: str) -> None:
    schema = SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = {**schema["$defs"], name: schema}
    silent = [
        f"{part}.{key}" for part in parts for key, sub in parts[part].get("properties", {}).items() if not told(sub)
    ]
    assert silent == []


def told(sub: dict[str, Any]) -> bool:
    return bool(sub.get("description"))


def values(path: Path) -> Any:
    place, problems = parse_yaml(path.read_text())
    assert place is not None
    assert problems == []
    return place.value


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_editors_accept_our_scenarios(path: Path) -> None:
    jsonschema.validate(values(path), SCHEMAS["scenario"]())


def test_editors_accept_our_target() -> None:
    jsonschema.validate(values(reference_target()), SCHEMAS["target"]())
    jsonschema.validate(values(find_target("docker")), SCHEMAS["target"]())


@pytest.mark.parametrize(
    "wrong", [{"budget": 30}, {"kind": "fualt"}, {"bugdet": "30s"}, {"faults": []}, {"abort": [{"sli": "latency"}]}]
)
def test_editors_underline_what_the_loader_refuses(wrong: dict[str, Any]) -> None:
    scenario = values(find_scenario("bad-model-version"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**scenario, **wrong}, SCHEMAS["scenario"]())


def test_a_default_duration_is_shown_as_people_write_it() -> None:
    hold = SCHEMAS["scenario"]()["$defs"]["WithinExpectation"]["properties"]["hold"]
    assert hold["default"] == "3s"
    assert re.match(hold["pattern"], hold["default"])


def test_the_catalogue_in_the_readme_is_fresh() -> None:
    folder = scenarios_folder()
    assert table(rows(SCENARIOS), beside=folder) in (folder / "README.md").read_text()


def test_the_catalogue_says_of_each_scenario_who_what_and_what_not() -> None:
    assert [row.path.name for row in rows(SCENARIOS) if not (row.notice and row.response and row.harmful)] == []


# --- scenarios --------------------------------------------------------------------------------------------------------


def test_every_incident_type_has_a_scenario_and_there_is_a_decoy() -> None:
    loaded = [load_scenario(path).scenario for path in SCENARIOS]
    assert {scenario.incident for scenario in loaded} == set(Incident)
    assert {scenario.kind for scenario in loaded} == set(Kind)
    assert len({scenario.scenario for scenario in loaded}) == len(loaded) > 8


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_stands_where_it_says(path: Path) -> None:
    scenario = load_scenario(path).scenario
    assert (scenario.scenario, scenario.incident) == (path.stem, path.parent.name)
    assert path.read_text().startswith("# yaml-language-server: $schema=../scenario.schema.json\n")
    assert scenario.tags
    assert scenario.playbook is not None
    head = load_playbook(find_playbook(scenario.playbook, near=path)).playbook.head
    assert (head.id, head.incident) == (scenario.playbook, scenario.incident)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_fits_the_reference_target(path: Path, target: TargetSpec) -> None:
    scenario = load_scenario(path).scenario
    assert scenario.load in target.load
    assert {rule.sli for rule in scenario.abort} <= target.slis.keys()
    detect = scenario.expect.detect
    pages = {rule.layer for rule in target.alerts.rules.values() if rule.severity is Severity.PAGE}
    assert detect is None or detect.layer in pages
    assert scenario.kind is Kind.DECOY or detect is not None
    names = {"link": target.links, "service": target.services, "model": target.models}
    for fault in scenario.faults:
        for key, known in names.items():
            assert fault.arguments().get(key) in (None, *known)


# --- playbooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_asks_for_what_the_reference_target_has(path: Path, target: TargetSpec) -> None:
    playbook = load_playbook(path).playbook
    assert playbook.head.id == path.stem
    assert [wrong for _, cell in playbook.cells for wrong in misfits(cell, target)] == []


def misfits(cell: Cell, target: TargetSpec) -> list[str]:
    """What a cell names and the target doesn't have."""
    wrong = [
        f"{cell.id}: {word}"
        for word, known in (
            (cell.do, target.actions),
            (cell.observe, target.observations),
            (cell.verify_by, target.observations),
        )
        if word is not None and word not in known
    ]
    if wrong:
        return wrong
    if cell.do is not None:
        legal = {*target.actions[cell.do].arguments, *builtins.ACTIONS.get(cell.do, {})}
        legal |= {"value"} if cell.do in builtins.VALUED else set()
        wrong += [f"{cell.id}: {cell.do} has no argument {name}" for name in cell.with_ if name not in legal]
    for looked, given in ((cell.observe, cell.with_), (cell.verify_by, cell.verify_with)):
        if looked is not None:
            legal = {*target.observations[looked].arguments, *builtins.OBSERVATIONS.get(looked, {})}
            wrong += [f"{cell.id}: {looked} has no argument {name}" for name in given if name not in legal]
    for key, known in (("service", target.services), ("link", target.links), ("model", target.models)):
        wrong += [f"{cell.id}: {key}"] if cell.with_.get(key, next(iter(known))) not in known else []
    return wrong


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_acknowledges_first_and_claims_last(path: Path) -> None:
    cells = [cell for _, cell in load_playbook(path).playbook.cells]
    assert cells[0].report == "ack"
    assert cells[-1].report == "resolve"


@pytest.mark.parametrize("path", [path for path in PLAYBOOKS if path not in LAZY], ids=lambda path: path.stem)
def test_a_playbook_looks_before_it_changes_and_checks_before_it_claims(path: Path) -> None:
    cells = [cell for _, cell in load_playbook(path).playbook.cells]
    changes = [i for i, cell in enumerate(cells) if cell.do is not None and cell.do != "annotate"]
    guards = [i for i, cell in enumerate(cells) if cell.guard]
    checks = [i for i, cell in enumerate(cells) if cell.observe is not None and cell.verify is not None]
    checks += [i for i, cell in enumerate(cells) if cell.do is not None and cell.verify is not None]  # it checks itself
    assert not changes or (guards and guards[0] < changes[0] <= changes[-1] <= max(checks))
    assert any(cell.report == "diagnose" for cell in cells[: (changes or [len(cells)])[0]])


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_gauge_that_a_playbook_asks_for_exists(path: Path) -> None:
    monitor = "".join(p.read_text() for p in (data_root() / "fixtures" / "pipeline" / "monitor").glob("*.py"))
    for name in re.findall(r"name: '?(monitor_\w+)", path.read_text()):
        given = f"={name}}}" in path.read_text()  # by a setting that the playbook looks at
        assert given or f'"{name}"' in monitor


def test_the_hardest_limits_leave_room_for_their_hold() -> None:
    for path in SCENARIOS:
        scenario = load_scenario(path).scenario
        for limit in (scenario.expect.mitigate, scenario.expect.recover):
            assert limit is None or limit.within + limit.hold <= scenario.budget
        head = load_playbook(find_playbook(scenario.playbook or "", near=path)).playbook.head
        for name in ("mitigate", "recover"):
            target_s = getattr(head.targets, name)
            assert target_s is None or getattr(scenario.expect, name).within == target_s


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_name_is_found_and_a_path_is_itself(tmp_path: Path) -> None:
    assert find_scenario("unit-change") == scenarios_folder() / "data-issue" / "unit-change.yaml"
    assert find_scenario(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    assert find_scenario("mine.yaml") == Path("mine.yaml")


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(
        UsageError, match=r"'unit-chang'\. Did you mean 'unit-change'\? Known: bad-model-version, benign"
    ):
        find_scenario("unit-chang")
    with pytest.raises(UsageError, match=r"no playbook is called 'failed-jb'\. Did you mean 'failed-job'\?"):
        find_playbook("failed-jb")


def test_a_playbook_beside_or_above_the_scenario_comes_first(tmp_path: Path) -> None:
    scenario = tmp_path / "drift" / "mine.yaml"
    for folder in (tmp_path, tmp_path / "drift"):
        (folder / "playbooks").mkdir(parents=True)
        (folder / "playbooks" / "failed-job.md").touch()
    assert find_playbook("failed-job", near=scenario) == tmp_path / "drift" / "playbooks" / "failed-job.md"
    (tmp_path / "drift" / "playbooks" / "failed-job.md").unlink()
    assert find_playbook("failed-job", near=scenario) == tmp_path / "playbooks" / "failed-job.md"
    assert find_playbook("unit-change", near=scenario).parent == scenarios_folder() / "playbooks"


def test_in_the_wheel_everything_lies_below_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "files", lambda package: tmp_path / package)
    (tmp_path / "harness" / "_data" / "scenarios" / "drift").mkdir(parents=True)
    mine = tmp_path / "harness" / "_data" / "scenarios" / "drift" / "mine.yaml"
    mine.touch()
    assert find_scenario("mine") == mine
    with pytest.raises(UsageError, match="the reference pipeline isn't installed"):
        reference_target()


def test_a_folder_of_scenarios_is_listed_without_playbooks_targets_and_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/c.yml", "playbooks/x.yaml", ".git/y.yaml", "target.yaml", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert all_scenarios(tmp_path) == (tmp_path / "a" / "c.yml", tmp_path / "b.yaml")
    with pytest.raises(UsageError, match="there is no folder"):
        all_scenarios(tmp_path / "nowhere")


# --- what admissibility is tried with ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [p for p in SCENARIOS if load_scenario(p).scenario.kind is Kind.FAULT], ids=lambda p: p.stem
)
def test_each_playbook_forbids_something_that_can_be_tried(path: Path, tmp_path: Path) -> None:
    name = load_scenario(path).scenario.playbook
    assert name is not None
    made = harmful(path, name, tmp_path)
    assert made is not None
    playbook = load_playbook(made[1]).playbook
    assert [cell.do for _, cell in playbook.cells if cell.do is not None] == [made[0]]
    assert made[0] in {rule.do for rule in playbook.head.forbidden}


def test_a_harm_that_nobody_told_is_a_complaint() -> None:
    (trial,) = [one for one in trials_of(load_scenario(SCENARIOS[0]).scenario) if one.harm]
    card: dict[str, Any] = {"verdict": "FAIL", "reasons": []}
    assert wrong(trial, card | {"conformance": {"forbidden_done": ["retrain: it is bad"]}}) == ""
    assert "forbidden" in wrong(trial, card | {"conformance": {"forbidden_done": []}})


def test_one_scenario_of_each_fault_leaves_none_out() -> None:
    few = one_of_each_fault(SCENARIOS)
    assert few
    assert {fault.fault for path in SCENARIOS for fault in load_scenario(path).scenario.faults} == {
        fault.fault for path in few for fault in load_scenario(path).scenario.faults
    }
    assert len(few) < len(SCENARIOS)
