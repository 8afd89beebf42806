"""The ledgers of runs that ended without closing them, for `drill heal` and `drill doctor`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.plugin import Driver, load, unknown
from harness.run.ledger import Closed, Ledger, standing
from harness.run.reaper import heal_locked, take_down
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
    """Ledgers with something standing open, oldest first; only that of `run` where it is named.

    Raises `UsageError` for a run that has none: that it left nothing behind can't be told from a mistyped name.
    """
    paths = sorted(ledger_dir().glob("*.jsonl"), key=_written)
    if run is not None and run not in (path.stem for path in paths):
        raise UsageError(
            unknown("run", run, (path.stem for path in paths)),
            hint="a run that ended clean has no ledger any more; without RUN, drill heal goes through all there are",
        )
    found = []
    for path in paths:
        if run is not None and path.stem != run:
            continue
        ledger = Ledger(path)
        stands = standing(ledger.entries())
        if stands.open or not stands.closed:
            found.append(ledger)
    return found


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its run ended in this very moment
        return 0.0


def heal_ledger(ledger: Ledger) -> Healing:
    """Heals one; a ledger that is clean afterwards is closed and removed."""
    stands = standing(ledger.entries())
    opened = stands.opened
    if opened is None:  # a crash before its first line was whole: nothing was done by it
        ledger.path.unlink(missing_ok=True)
        return Healing(run=ledger.path.stem, instance="", undone=0, failures=())
    if opened.alive:
        return Healing(run=opened.run, instance=opened.instance, undone=0, failures=(), alive=True)
    driver: Driver = load("target", opened.driver)
    try:
        failures = heal_locked(ledger, opened, driver, by="drill heal")
    except HarnessError as error:
        failures = [error.message]
    if not failures:
        failures = take_down(opened, driver)
    if not failures:
        with contextlib.suppress(OSError):
            ledger.append(Closed(by="drill heal"))
        ledger.close(Path(opened.run_dir))
    return Healing(run=opened.run, instance=opened.instance, undone=len(stands.open), failures=tuple(failures))
