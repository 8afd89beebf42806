"""Every problem of a file, at its place and in its words: what people see when they have mistyped something."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidFileError
from harness.spec.load import load_scenario, load_target

SCENARIO = """\
scenario: mine
kind: fault
title: Something breaks
incident: drift
faults:
  - fault: link.latency
    link: gateway-features
    latency: 600ms
expect:
  detect: {layer: latency, within: 8s}
  recover: {within: 22s, hold: 3s}
abort:
  - {sli: availability, below: 0.2, for: 15s}
budget: 30s
"""


def problems(path: Path, text: str) -> list[str]:
    """What is wrong with the scenario, without the file's name."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_scenario(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def test_the_scenario_they_start_from_is_right(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    loaded = load_scenario(path)
    assert loaded.scenario.budget == 30.0
    assert loaded.scenario.faults[0].arguments() == {"link": "gateway-features", "latency": "600ms"}
    assert loaded.where("faults", 0, "latency") == f"{path}:8:5"


WRONG = [
    (
        "kind: fault",
        "kind: fualt",
        "2:7: 'fualt' isn't legal for `kind`. Did you mean 'fault'? Legal: fault, decoy",
    ),
    ("title: Something", "titel: Something", "3:1: unknown key 'titel'. Did you mean 'title'?"),
    ("title: Something breaks\n", "", "1:1: the file lacks `title`: What happens, in a sentence"),
    ("title: Something breaks", "title: 12", "3:8: `title` is the number 12, and text is wanted"),
    ("title: Something breaks", "title:", "3:1: `title` is empty, and text is wanted"),
    (
        "incident: drift",
        "incident: drift\nincident: drift",
        "5:1: key 'incident' stands here a second time; first in line 4",
    ),
    ("scenario: mine", "scenario: My Own", "1:11: `scenario`: 'My Own' is no name: lower case letters"),
    ("- fault: link.latency\n    link", "- link", "6:5: `faults[0]` lacks `fault`: A registered fault"),
    (
        "layer: latency",
        "layer: latncy",
        "10:19: 'latncy' isn't legal for `expect.detect.layer`. Did you mean 'latency'? Legal: availability,",
    ),
    (
        "latency, within: 8s",
        "latency, witin: 8s",
        "10:28: unknown key 'witin' in `expect.detect`. Did you mean 'within'? Legal: layer, within, alert, severity",
    ),
    ("latency, within: 8s", "latency, witin: 8s", "10:3: `expect.detect` lacks `within`: From the first moment"),
    (
        "within: 22s",
        "within: 22",
        "11:21: `expect.recover.within`: 22 is no duration: write a number with its unit, such as 250ms, 8s, 5m or 2h."
        " Did you mean '22s'?",
    ),
    ("within: 22s", 'within: "22"', "11:21: `expect.recover.within`: '22' is no duration"),
    ("within: 22s", "within: 22 s", "11:21: `expect.recover.within`: '22 s' is no duration"),
    ("within: 22s", "within: 22d", "11:21: `expect.recover.within`: '22d' is no duration"),
    ("within: 22s", "within: 200h", "11:21: `expect.recover.within`: '200h' is longer than the 7 days"),
    ("below: 0.2", "below: .nan", "13:32: .nan is no number that anything can be compared with"),
    ("below: 0.2", "below: -.inf", "13:32: -.inf is no number that anything can be compared with"),
    ("below: 0.2", "below: 1e999", "13:32: 1e999 is too large for a number"),
    ("below: 0.2", "below: yes", "13:32: `abort[0].below` is the text 'yes', and a number is wanted"),
    ("below: 0.2", "below: true", "13:32: `abort[0].below` is true (true or false), and a number is wanted"),
    ("below: 0.2", "below: 0.2, above: 1", "13:5: `abort[0]`: give one of `below` and `above`"),
    (
        "sli: availability",
        "sli: availibility",
        "13:11: 'availibility' isn't legal for `abort[0].sli`. Did you mean 'availability'?",
    ),
    ("abort:\n  -", "abort:\n  x:", "12:1: `abort` is a mapping, and a list"),
    ("budget: 30s", "budget: 24s", "1:1: expect.recover: 22 s plus its hold of 3 s is beyond the budget of 24 s"),
    ("kind: fault", "kind: decoy", "1:1: a decoy has no `expect`"),
    (
        "    latency: 600ms",
        "    cure: {kind: external}",
        "1:1: expect.recover: a fault whose cure is external never ends within the budget",
    ),
    ("    latency: 600ms", "    cure: {kind: action}", "8:5: `faults[0].cure`: `action` goes with `kind: action`"),
    (
        "    latency: 600ms",
        "    cure: {kind: action, action: rollbak}",
        "8:34: 'rollbak' isn't legal for `faults[0].cure.action`. Did you mean 'rollback'?",
    ),
    ("budget: 30s", "budget: 30s\nseed: -1", "15:7: `seed`: -1 is out of range"),
    ("budget: 30s", 'budget: 30s\nseed: "7"', "15:7: `seed` is the text '7', and a whole number is wanted"),
    ("budget: 30s", "budget: 30s\nallow: [{changed: 3}]", "15:19: `allow[0].changed` is the number 3"),
    ("budget: 30s", "budget: 30s\n12:30: x", "15:1: unknown key '12:30'"),
    ("budget: 30s", "budget: 30s\n<<: {seed: 1}", "15:1: merge keys (`<<`) aren't used here"),
    ("budget: 30s", "budget: 30s\n? [a]\n: 1", "15:3: a list or mapping can't be a key"),
    ("budget: 30s", "budget: !!int 3", "14:9: tag "),
    ("budget: 30s", "budget: !!python/object:os.system x", "14:9: tag "),
    ("budget: 30s", 'budget: "30s\\u0007"', "14:9: '30s\\x07' holds a control character"),
    ("budget: 30s", "budget: 30s\n---\nscenario: other", "15:1: a second document begins here"),
    ("  - {sli", "\t- {sli", "13:1: a tab where YAML wants spaces"),
    ("title: Something", "title: Some: thing", "3:12: mapping values are not allowed here (a colon followed by"),
]


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, *, old: str, new: str, expected: str) -> None:
    assert SCENARIO.count(old) >= 1
    found = problems(tmp_path / "mine.yaml", SCENARIO.replace(old, new, 1))
    assert [line for line in found if line.startswith(expected)], found


def test_all_mistakes_of_a_file_are_told_at_once_and_in_order(tmp_path: Path) -> None:
    text = SCENARIO.replace("kind: fault", "kind: x").replace("600ms", "{}").replace("8s", "8").replace("30s", "30")
    found = problems(tmp_path / "mine.yaml", text)
    assert [line.split(":")[0] for line in found] == ["2", "10", "14"]


def test_an_invalid_item_is_not_also_called_missing(tmp_path: Path) -> None:
    found = problems(tmp_path / "mine.yaml", SCENARIO.replace("fault: link.latency", "fault: 3"))
    assert found == ["6:12: `faults[0].fault` is the number 3, and text is wanted (put quotes around it)"]


def test_places_count_from_after_comments_and_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufeff# a comment\r\n\r\n" + SCENARIO.replace("fault\n", "fualt\n", 1).replace("\n", "\r\n")
    assert problems(tmp_path / "mine.yaml", text)[0].startswith("4:7: 'fualt'")


def test_an_empty_value_is_shown_at_its_key_and_not_behind_the_comments(tmp_path: Path) -> None:
    text = SCENARIO.replace("budget: 30s", "budget: # later\n# one\n# two\nseed: 1")
    assert problems(tmp_path / "mine.yaml", text)[0].startswith("14:1: `budget`: nothing is no duration")


def test_the_digest_is_of_the_content_and_not_of_its_looks(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    first = load_scenario(path).digest
    lines = SCENARIO.replace("{layer: latency, within: 8s}", "\n    within: '8s' # soon\n    layer: latency")
    path.write_text("# why\n" + lines)
    assert load_scenario(path).digest == first
    path.write_text(SCENARIO.replace("8s", "9s"))
    assert load_scenario(path).digest != first


TARGET = """\
target: mine
driver: docker
services:
  api: {role: serving, url: "http://localhost:8000"}
golden: {file: golden.json, link: users}
load:
  steady: {file: load.py, rate: 20, link: users}
links: {users: {from: outside, to: api}}
ports: [pager]
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "golden.json").write_text("[]")
    (folder / "load.py").write_text("")
    (tmp_path / "secret.py").write_text("")
    (folder / "link.py").symlink_to(tmp_path / "secret.py")
    (folder / "loop.py").symlink_to(folder / "loop.py")
    return folder / "target.yaml"


def test_a_target_names_files_of_its_own_folder(target: Path) -> None:
    target.write_text(TARGET)
    loaded = load_target(target)
    assert loaded.folder == target.parent.resolve()
    assert loaded.spec.load["steady"].file == "load.py"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../secret.py", "'../secret.py' leads out of the folder"),
        ("a/../../secret.py", "leads out of the folder"),
        ("/etc/hostname", "'/etc/hostname' leads out of the folder"),
        ("link.py", "'link.py' leads out of the folder"),
        ("loop.py", "'loop.py'"),
        ("laod.py", "there is no file 'laod.py'. Did you mean 'load.py'? Files here: golden.json"),
        ("x" * 5000, "can't be looked at"),
        ('""', "leads out of the folder"),
        (".", "there is no file '.'"),
    ],
)
def test_a_path_that_escapes_or_leads_nowhere_is_refused(target: Path, *, name: str, expected: str) -> None:
    target.write_text(TARGET.replace("load.py", name))
    with pytest.raises(InvalidFileError) as caught:
        load_target(target)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{target}:7:18: ")
    assert expected in problem


def test_a_key_from_a_closed_list_is_told_with_the_list(target: Path) -> None:
    target.write_text(TARGET + "slis: {latncy: {objective: {max: 0.25}}}\n")
    with pytest.raises(InvalidFileError) as caught:
        load_target(target)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{target}:10:8: 'latncy' is no legal key in `slis`. Did you mean 'latency'? Legal: ")
