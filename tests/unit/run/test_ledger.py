"""The ledger: what it says stands open, also after a crash, a full disk and a fault that nobody saw healed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.errors import NotWritableError
from harness.run.ledger import Closed, Healed, Ledger, Opened, Secured, heal, standing
from harness.target.embedded.processes import start_time


def opened(**changes: object) -> Opened:
    fields = {"run": "r1", "pid": 1, "driver": "stub", "instance": "one", "run_dir": "", "wall_ns": 0}
    return Opened(**{**fields, **changes})  # type: ignore[arg-type] # the fields are the type's own


def undo(where: str) -> Undo:
    return Undo(driver="stub", instance="one", point=Point(PointKind.CONFIG, where), injected="broken", restore="fine")


def secured(fault: int, *where: str) -> Secured:
    return Secured(fault=fault, name=f"fault {fault}", undos=tuple(map(undo, where)))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "ledger" / "r1.jsonl", opened())


def faults(ledger: Ledger) -> list[int]:
    return [one.fault for one in standing(ledger.entries()).open]


def test_last_in_first_out(ledger: Ledger) -> None:
    ledger.append(secured(0, "a/x", "a/y"))
    ledger.append(secured(1, "b/x"))
    applied: list[str] = []

    def note(one: Undo) -> UndoOutcome:
        applied.append(one.point.where)
        return UndoOutcome.RESTORED

    assert heal(ledger, note, by="test") == []
    assert applied == ["b/x", "a/y", "a/x"]
    assert faults(ledger) == []


def test_what_could_not_be_undone_stays_open_and_keeps_no_other(ledger: Ledger) -> None:
    ledger.append(secured(0, "a/x"))
    ledger.append(secured(1, "b/x"))

    def stubborn(one: Undo) -> UndoOutcome:
        if one.point.where == "b/x":
            raise OSError("no route")
        return UndoOutcome.RESTORED

    assert heal(ledger, stubborn, by="test") == ["fault 1: config:b/x: no route"]
    assert faults(ledger) == [1]


def test_a_fault_that_nobody_saw_healed_is_open_again(ledger: Ledger) -> None:
    ledger.append(secured(0, "a/x"))
    ledger.append(Healed(fault=0, by="run", outcomes=()))
    ledger.append(Closed(dirty=(0,)))
    stands = standing(ledger.entries())
    assert ([one.fault for one in stands.open], stands.closed) == ([0], False)
    assert not ledger.settled


def test_again_applies_what_was_applied_before(ledger: Ledger) -> None:
    """An injection that was under way may land after its undo."""
    ledger.append(secured(0, "a/x"))
    heal(ledger, lambda _: UndoOutcome.ALREADY, by="test")
    late: list[str] = []

    def note(one: Undo) -> UndoOutcome:
        late.append(one.point.where)
        return UndoOutcome.RESTORED

    heal(ledger, note, by="test")
    assert late == []
    heal(ledger, note, by="test", again=True)
    assert late == ["a/x"]


def test_a_torn_line_is_left_out_and_swallows_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a line: the next line, when there is room again, is whole."""
    real = os.write

    def half(handle: int, data: bytes) -> int:
        real(handle, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            ledger.append(secured(0, "a/x"))
    ledger.append(secured(1, "b/x"))
    assert faults(ledger) == [1]
    with ledger.path.open("ab") as torn:
        torn.write(b'{"kind":"secured","fa')
    assert faults(ledger) == [1]


def test_healing_goes_on_where_it_cant_be_noted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.append(secured(0, "a/x"))
    ledger.append(secured(1, "b/x"))
    applied: list[str] = []

    def note(one: Undo) -> UndoOutcome:
        applied.append(one.point.where)
        return UndoOutcome.RESTORED

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert heal(ledger, note, by="test") == []
    assert applied == ["b/x", "a/x"]


def test_a_place_that_cant_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError):
        Ledger.create(tmp_path / "file" / "r1.jsonl", opened())

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritableError, match="No space"):
        Ledger.create(tmp_path / "ledger" / "r1.jsonl", opened())
    assert list((tmp_path / "ledger").iterdir()) == []


def test_a_pid_given_to_another_process_is_not_the_run() -> None:
    me = os.getpid()
    assert opened(pid=me, pid_start=start_time(me)).alive
    assert not opened(pid=me, pid_start=1).alive
    assert not opened(pid=me).alive
    assert not opened(pid=2**22 + 1, pid_start=1).alive


def test_a_closed_ledger_goes_into_the_runs_folder(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(Closed())
    assert ledger.settled
    ledger.close(tmp_path)
    assert not ledger.path.exists()
    assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 2
    assert ledger.entries() == []
    assert not ledger.settled
    ledger.close(tmp_path / "nowhere")
