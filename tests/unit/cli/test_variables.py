"""Options are also taken from the environment, by the name under which they are typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from harness.cli import VERBS, main
from harness.errors import Exit

GOLDEN = Path(__file__).parents[3] / "fixtures" / "golden"
PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def variables(verb: str) -> dict[str, str]:
    """`--act-at` -> its variable, of every option of a verb."""
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {option: str(parameter.envvar) for parameter in options for option in parameter.opts}


def score(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["score", str(GOLDEN / "control.jsonl"), *words])
    assert ended.value.code == Exit.PASS
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_a_variable_is_named_like_its_option(verb: str) -> None:
    found = variables(verb)
    assert found["--json"] == f"MLDRILL_{verb.upper()}_JSON"
    assert found == {option: f"MLDRILL_{verb}_{option[2:]}".upper().replace("-", "_") for option in found}


def test_an_option_is_taken_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = score(capsys=capsys)
    monkeypatch.setenv("MLDRILL_SCORE_AS_JSON", "1")
    assert score(capsys=capsys) == words
    for off in ("", "0"):
        monkeypatch.setenv("MLDRILL_SCORE_JSON", off)
        assert score(capsys=capsys) == words
    monkeypatch.setenv("MLDRILL_SCORE_JSON", "1")
    assert json.loads(score(capsys=capsys))["verdict"] == "PASS"


def test_the_variables_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"MLDRILL_[A-Z]+_[A-Z_]+", PAGE.read_text()))
    there = {variable for verb in VERBS for variable in variables(verb).values()}
    assert named
    assert named <= there
