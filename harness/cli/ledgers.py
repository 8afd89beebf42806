"""The ledgers of runs that ended without closing them, for `drill heal` and `drill doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from harness.contract.undo import Undo, UndoOutcome
from harness.plugin import Driver, load
from harness.run.ledger import Closed, Ledger, Opened, heal, standing
from harness.state import ledger_dir


@dataclass(frozen=True)
class Healing:
    """What healing one ledger came to."""

    run: str
    instance: str
    undone: int
    failures: tuple[str, ...]
    alive: bool = False

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "run": self.run,
            "instance": self.instance,
            "undone": self.undone,
            "failures": list(self.failures),
            "alive": self.alive,
        }

    def sentence(self) -> str:
        """For people."""
        if self.alive:
            return f"run {self.run}: is still running and heals itself; left alone"
        if self.failures:
            return f"run {self.run} on '{self.instance}': NOT healed: " + "; ".join(self.failures)
        return f"run {self.run} on '{self.instance}': healed, {self.undone} faults undone"


def open_ledgers(run: str | None = None) -> list[Ledger]:
    """Ledgers with something standing open, oldest first; only that of `run` where it is named."""
    found = []
    for path in sorted(ledger_dir().glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        if run is not None and path.stem != run:
            continue
        ledger = Ledger(path)
        stands = standing(ledger.entries())
        if stands.open or not stands.closed:
            found.append(ledger)
    return found


def heal_ledger(ledger: Ledger) -> Healing:
    """Heals one; a ledger that is clean afterwards is closed and removed."""
    stands = standing(ledger.entries())
    opened = stands.opened
    if opened is None:
        ledger.path.unlink()
        return Healing(run=ledger.path.stem, instance="", undone=0, failures=())
    if alive(opened):
        return Healing(run=opened.run, instance=opened.instance, undone=0, failures=(), alive=True)
    driver: Driver = load("target", opened.driver)
    running = opened.instance in driver.instances()

    def undo(item: Undo) -> UndoOutcome:
        return driver.attach(opened.instance).undo(item) if running else UndoOutcome.GONE

    failures = tuple(heal(ledger, undo, by="drill heal"))
    if not failures:
        ledger.append(Closed(by="drill heal"))
        ledger.path.unlink()
    return Healing(run=opened.run, instance=opened.instance, undone=len(stands.open), failures=failures)


def alive(opened: Opened) -> bool:
    """Whether the run that owns a ledger still lives: its process, or its instance's lock, is held by that run."""
    try:
        os.kill(opened.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{opened.pid}/cmdline", "rb") as words:
            said = words.read()
            return any(word in said for word in (b"drill", b"harness", b"pytest"))
    except OSError:
        return False
