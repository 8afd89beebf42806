"""The reaper's healing: twice, under the lock, until it worked; and the ledger goes only when nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.errors import EnvironmentProblem, TargetBusyError
from harness.run.ledger import Ledger, Opened, Secured
from harness.run.reaper import TRIES, reap


class Target:
    """One point; `refuses` so many undos first. Also its own driver."""

    name = "stub"

    def __init__(self, *, refuses: int = 0, busy: int = 0) -> None:
        self.value = "broken"
        self.refuses, self.busy = refuses, busy
        self.held = False
        self.up = True
        self.undone = 0

    def instances(self) -> list[str]:
        return ["one"] if self.up else []

    def attach(self, instance: str) -> Target:
        return self

    def acquire(self, run: str) -> None:
        if self.busy:
            self.busy -= 1
            raise TargetBusyError("in use by another run")
        assert not self.held
        self.held = True

    def release(self) -> None:
        self.held = False

    def undo(self, undo: Undo) -> UndoOutcome:
        assert self.held, "another run's fault must not be taken for this one's"
        if self.refuses:
            self.refuses -= 1
            raise EnvironmentProblem("no answer")
        self.undone += 1
        if self.value == undo.restore:
            return UndoOutcome.ALREADY
        self.value = undo.restore
        return UndoOutcome.RESTORED

    def down(self) -> None:
        assert not self.held
        self.up = False


def dead(tmp_path: Path, *, owns: bool = False) -> tuple[Ledger, Opened]:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    opened = Opened(run="r1", pid=1, driver="stub", instance="one", run_dir=str(run_dir), wall_ns=0, owns_instance=owns)
    ledger = Ledger.create(tmp_path / "r1.jsonl", opened)
    undo = Undo(driver="stub", instance="one", point=Point(PointKind.CONFIG, "a/x"), injected="broken", restore="fine")
    ledger.append(Secured(fault=0, name="stub", undos=(undo,)))
    return ledger, opened


@pytest.mark.parametrize("trouble", [{}, {"refuses": 2}, {"busy": 2}, {"refuses": TRIES}], ids=str)
def test_it_heals_and_leaves_no_ledger(trouble: dict[str, int], *, tmp_path: Path) -> None:
    ledger, opened = dead(tmp_path)
    target = Target(**trouble)
    assert reap(ledger, opened, target, pause=lambda _: None) == 0
    assert (target.value, target.up, target.held) == ("fine", True, False)
    assert not ledger.path.exists()
    assert (tmp_path / "run" / "ledger.jsonl").exists()


def test_an_injection_that_lands_late_is_undone_too(tmp_path: Path) -> None:
    ledger, opened = dead(tmp_path)
    target = Target()
    target.value = "fine"

    def lands(_: float) -> None:
        target.value = "broken"

    assert reap(ledger, opened, target, pause=lands) == 0
    assert (target.value, target.undone) == ("fine", 2)


def test_an_instance_that_the_run_had_brought_up_is_taken_down(tmp_path: Path) -> None:
    ledger, opened = dead(tmp_path, owns=True)
    target = Target()
    assert reap(ledger, opened, target, pause=lambda _: None) == 0
    assert not target.up


@pytest.mark.parametrize("trouble", [{"refuses": 100}, {"busy": 100}], ids=str)
def test_what_cant_be_healed_stays_for_drill_heal(trouble: dict[str, int], *, tmp_path: Path) -> None:
    ledger, opened = dead(tmp_path, owns=True)
    target = Target(**trouble)
    assert reap(ledger, opened, target, pause=lambda _: None) == 1
    assert target.up, "a broken instance is not thrown away before somebody has looked"
    assert ledger.path.exists()
    assert not ledger.settled


def test_an_instance_that_is_gone_needs_no_healing(tmp_path: Path) -> None:
    ledger, opened = dead(tmp_path, owns=True)
    target = Target()
    target.up = False
    assert reap(ledger, opened, target, pause=lambda _: None) == 0
    assert target.undone == 0
    assert not ledger.path.exists()
