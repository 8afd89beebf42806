"""A name that nothing bears is told as such, with those that there are, and never taken for "all is well"."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import Exit
from harness.run.ledger import Closed, Ledger
from harness.state import ledger_dir
from harness.target.embedded.record import RECORD


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    return tmp_path


def drill(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_a_run_that_left_no_ledger_can_not_be_healed(capsys: pytest.CaptureFixture[str]) -> None:
    for run in ("9f3a61", "07bc12"):
        Ledger(ledger_dir() / f"{run}.jsonl").append(Closed(by="a test"))
    code, out, err = drill("heal", "9f3a16", "--json", capsys=capsys)
    assert (code, out) == (Exit.USAGE, "")
    assert "unknown run '9f3a16'. Did you mean '9f3a61'? Known: 07bc12, 9f3a61" in err


def test_nothing_to_heal_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert drill("heal", capsys=capsys) == (Exit.PASS, "", "nothing to heal\n")
    Ledger(ledger_dir() / "9f3a61.jsonl").append(Closed(by="a test"))
    assert drill("heal", "9f3a61", capsys=capsys) == (Exit.PASS, "", "nothing to heal\n")


@pytest.mark.parametrize("words", [("down", "--instance", "defualt"), ("status", "--instance", "defualt")])
def test_of_an_instance_that_is_not_there_those_are_told_that_are(
    words: tuple[str, ...], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "instances" / "default").mkdir(parents=True)
    (state / "instances" / "default" / RECORD).write_text("")
    code, _, err = drill(*words, capsys=capsys)
    assert (code, "Known: default" in err, "hint: drill status --all" in err) == (Exit.ENVIRONMENT, True, True)
