"""What `drill validate`, `plan` and `run` say of a scenario that can be read and can't be run: where it stands in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import Exit

SCENARIO = """\
scenario: mine
kind: fault
title: A link is slow
incident: latency-spike
faults:
  - fault: link.latency
    link: gateway-features
    latency: 300ms
expect:
  mitigate: {within: 8s}
budget: 20s
"""


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    return path


def test_a_scenario_without_playbook_is_valid(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", scenario) == Exit.PASS
    assert capsys.readouterr().err == "1 file, 0 problems\n"


def test_the_playbook_responder_needs_a_playbook(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", scenario) == Exit.USAGE
    words = capsys.readouterr().err
    assert f"{scenario}:1:1: this scenario names no playbook" in words
    assert "--responder none" in words
    assert run("plan", scenario, "--responder", "none") == Exit.PASS


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("fault: link.latency", "fault: link.latencyy", "6:5", "Did you mean 'link.latency'?"),
        ("link: gateway-features", "link: gateway-feature", "7:5", "Did you mean 'gateway-features'?"),
        ("latency: 300ms", "latency: 300", "8:5", "300 is no duration"),
        ("latency: 300ms", "latency: 300ms\n    jiter: 1ms", "9:5", "Did you mean 'jitter'?"),
        ("budget: 20s", "budget: 20s\nload: stedy", "12:1", "Did you mean 'steady'?"),
        ("budget: 20s", "budget: 20s\nallow: [{changed: confg}]", "12:9", "Did you mean 'config'?"),
    ],
)
def test_what_cannot_be_planned_has_a_place(
    scenario: Path, capsys: pytest.CaptureFixture[str], *, old: str, new: str, place: str, words: str
) -> None:
    scenario.write_text(SCENARIO.replace(old, new))
    assert run("validate", scenario) == Exit.USAGE
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"{scenario}:{place}: ")
    assert words in told[0]


def test_all_problems_come_at_once_and_none_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SCENARIO.replace("gateway-features", "nowhere").replace("300ms", "300")
    (tmp_path / "mine.yaml").write_text(wrong)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "workflow.yaml").write_text("on: push\n")
    assert run("validate", tmp_path, tmp_path / "mine.yaml") == Exit.USAGE
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_empty_folder_selects_nothing(tmp_path: Path) -> None:
    assert run("validate", tmp_path) == Exit.NOTHING_SELECTED


def test_without_paths_all_that_comes_with_it_is_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Path] = []
    monkeypatch.setattr("harness.cli.validate_._check", lambda file, _: checked.append(file))
    assert run("validate") == Exit.PASS
    folders = {path.parent.name for path in checked}
    assert {"playbooks", "pipeline", "drift"} <= folders
    assert capsys.readouterr().err == f"{len(checked)} files, 0 problems\n"


def test_a_target_with_one_key_mistyped_is_still_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("target: mine\ndrver: embedded\nservices: {}\n")
    assert run("validate", path) == Exit.USAGE
    told = capsys.readouterr().out
    assert f"{path}:2:1: unknown key 'drver'. Did you mean 'driver'?" in told
    assert "budget" not in told


NEEDS_A_CONTAINER = SCENARIO.replace(
    "  - fault: link.latency\n    link: gateway-features\n    latency: 300ms\n",
    "  - fault: disk.fill\n    service: ingest\n    path: /state\n    free: 1MiB\n",
)


def test_a_scenario_that_needs_containers_is_valid_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(NEEDS_A_CONTAINER)
    assert run("validate", path) == Exit.PASS
    assert capsys.readouterr().err == f"{path}: only with --target docker\n1 file, 0 problems\n"
    assert run("validate", path, "--target", "docker") == Exit.PASS
    assert "only with" not in capsys.readouterr().err
    assert run("validate", path, "--target", "embedded") == Exit.USAGE
    assert "fill-disk" in capsys.readouterr().out


def test_the_list_marks_what_needs_containers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(SCENARIO.replace("scenario: mine", "scenario: processes-do"))
    (tmp_path / "other.yaml").write_text(NEEDS_A_CONTAINER)
    assert run("list", tmp_path) == Exit.PASS
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("(containers)") for line in lines if "A link is slow" in line] == [
        False,
        True,
    ]  # in the order of the files


DAMAGED = SCENARIO.replace(
    """  - fault: link.latency
    link: gateway-features
    latency: 300ms
""",
    """  - fault: data.corrupt
    link: merchant-gateway
    columns: [amount]
    damage:
      type: scale
      factor: 100
    mechanism: {kind: where, column: country, equals: AT}
""",
)


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("type: scale", "type: scal", "10:7", "Did you mean 'scale'?"),
        ("factor: 100", "factr: 100", "11:7", "Did you mean 'factor'? Known: factor, type"),
        ("column: country", "colum: country", "12:30", "Did you mean 'column'?"),
        ("      factor: 100\n", "", "9:5", "damage.factor: missing"),
    ],
)
def test_a_mistake_within_a_damage_has_the_place_of_its_own_key(
    scenario: Path, capsys: pytest.CaptureFixture[str], *, old: str, new: str, place: str, words: str
) -> None:
    scenario.write_text(DAMAGED.replace(old, new))
    assert run("validate", scenario) == Exit.USAGE
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith(f"{scenario}:{place}: ")
    assert words in told


def test_a_playbook_that_is_not_there_has_a_place_and_hides_no_other_mistake(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.write_text(SCENARIO + "playbook: unit-chang\n")
    assert run("validate", scenario) == Exit.USAGE
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith(
        f"{scenario}:12:1: playbook: no playbook is called 'unit-chang'. Did you mean 'unit-change'?"
    )
    scenario.write_text(SCENARIO.replace("gateway-features", "gateway-feature") + "playbook: unit-chang\n")
    assert run("validate", scenario) == Exit.USAGE
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{scenario}:7:5: ")
    assert second.startswith(f"{scenario}:12:1: ")
