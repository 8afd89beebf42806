"""Where a user's durable state lies, and what happens where it can't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import state
from harness.errors import NotWritableError, UsageError
from harness.target.embedded import record


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state.state_dir() == tmp_path / "xdg" / "mldrill" or os.environ.get("MLDRILL_STATE")
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "own"))
    assert state.state_dir() == tmp_path / "own"
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700


def test_without_variables_it_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLDRILL_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state.ledger_dir() == tmp_path / ".local" / "state" / "mldrill" / "ledger"


def test_a_place_that_can_not_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "file" / "below"))
    with pytest.raises(NotWritableError, match="can't be made"):
        state.state_dir()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "x" * 65, ".hidden", "a b"])
def test_an_instance_s_name_can_not_lead_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str
) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    with pytest.raises(UsageError, match="no name of an instance"):
        record.folder_of(name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"instance": 3}', b"\xff"])
def test_a_damaged_record_is_no_record(tmp_path: Path, *, content: bytes) -> None:
    (tmp_path / record.RECORD).write_bytes(content)
    assert record.load(tmp_path) is None


@pytest.mark.parametrize(
    ("variable", "other"), [("MLDRILL_STATE", "XDG_STATE_HOME"), ("XDG_STATE_HOME", "MLDRILL_STATE")]
)
def test_a_relative_folder_would_be_another_one_from_elsewhere(
    variable: str, other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, "state")
    with pytest.raises(NotWritableError, match="relative"):
        state.state_dir()
    assert not list(tmp_path.iterdir())
