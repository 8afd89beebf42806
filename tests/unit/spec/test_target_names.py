"""A target file that uses a name which it doesn't define is refused when it is read, at the place where the name stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidFileError
from harness.spec.find import reference_target
from harness.spec.load import load_target

TARGET = """\
target: tiny
driver: embedded
ports: [pager]
services:
  front: {role: front, start: {command: [a]}, needs: [back], env: {PEER: "${service.back.url}"}}
  back: {role: serving, start: {command: [b]}, env: {HOOK: "http://127.0.0.1:${port.pager}/"}}
links:
  users-front: {from: outside, to: front}
  front-back: {from: front, to: back, variable: BACK_URL}
golden: {file: golden.json, link: users-front}
load:
  steady: {file: load.py, rate: 1, link: users-front}
readings:
  decisions: {http: "${service.front.url}/decisions"}
  truth: {http: "${link.front-back.url}/truth"}
quality: {decisions: decisions, truth: truth}
alerts: {sink_port: pager}
graph: {datasets: [rows], edges: [[rows, back]]}
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "golden.json").write_text("[]")
    (tmp_path / "load.py").write_text("")
    path = tmp_path / "target.yaml"
    path.write_text(TARGET)
    return path


def test_defined_names_are_fine(target: Path) -> None:
    load_target(target)
    load_target(reference_target())


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("needs: [back]", "needs: [bakc]", "bakc", "Did you mean 'back'?"),
        ("${service.back.url}", "${service.back.uri}", '"${service.back.uri', "Did you mean 'service.back.url'?"),
        ("${port.pager}", "${port.pagers}", '"http://127.0.0.1:${port', "Did you mean 'port.pager'?"),
        ("from: outside", "from: outsid", "outsid,", "Did you mean 'outside'?"),
        ("to: back", "to: bakc", "bakc", "Did you mean 'back'?"),
        (
            "golden.json, link: users-front",
            "golden.json, link: user-front",
            "user-front",
            "Did you mean 'users-front'?",
        ),
        ("rate: 1, link: users-front", "rate: 1, link: fronts", "fronts", "unknown link 'fronts'"),
        ("${link.front-back.url}", "${link.front.url}", '"${link.front.url', "Defined here: link.front-back.url"),
        ("truth: truth}", "truth: truths}", "truths}", "Did you mean 'truth'?"),
        ("sink_port: pager", "sink_port: pagers", "pagers", "Did you mean 'pager'?"),
        ("[[rows, back]]", "[[row, back]]", "row, back", "Did you mean 'rows'?"),
    ],
)
def test_an_undefined_name_is_told_where_it_stands(target: Path, *, old: str, new: str, at: str, words: str) -> None:
    text = TARGET.replace(old, new)
    target.write_text(text)
    before = text[: text.index(at)]
    with pytest.raises(InvalidFileError) as refused:
        load_target(target)
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"{target}:{place}: unknown ")
    assert words in refused.value.problems[0]


def test_a_pager_without_port_is_told(target: Path) -> None:
    text = TARGET.replace("ports: [pager]\n", "").replace(', env: {HOOK: "http://127.0.0.1:${port.pager}/"}', "")
    target.write_text(text.replace("alerts: {sink_port: pager}\n", ""))
    with pytest.raises(InvalidFileError, match="unknown port 'pager'"):
        load_target(target)


def test_all_of_them_at_once(target: Path) -> None:
    target.write_text(TARGET.replace("to: front}", "to: fornt}").replace("to: back", "to: bakc"))
    with pytest.raises(InvalidFileError) as refused:
        load_target(target)
    assert len(refused.value.problems) == 2
