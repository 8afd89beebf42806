"""The reaper: heals from the ledger when its run dies, however it dies.

A child in its own session that holds the read end of a pipe. The write end is open in the run's process alone (close on
exec elsewhere), so the kernel closes it even on SIGKILL. Everything the reaper needs is loaded before it says that it is
ready, and it never loads the conductor: what killed the run must not kill its healing. A run that ended well says so
on the pipe, and the reaper leaves without a trace.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from harness.contract.undo import Undo, UndoOutcome
from harness.errors import EnvironmentProblem
from harness.plugin import Driver, Target, load
from harness.run.ledger import Closed, Ledger, Opened, heal, standing

FAREWELL = b"done"
TRIES = 3


def serve(ledger_path: Path, pipe: int, ready: int) -> int:
    """Waits for the pipe to close; then heals. Gives the process's exit code."""
    ledger = Ledger(ledger_path)
    opened = standing(ledger.entries()).opened
    if opened is None:
        return 2
    driver: Driver = load("target", opened.driver)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(ready, b"1")
    os.close(ready)
    said = b""
    while chunk := os.read(pipe, 64):
        said = (said + chunk)[-64:]
    if said.endswith(FAREWELL):
        return 0
    return reap(ledger, opened, driver)


def reap(ledger: Ledger, opened: Opened, driver: Driver) -> int:
    """Heals what stands open, in up to a few tries, and takes down an instance that the dead run had brought up."""
    failures: list[str] = []
    for _ in range(TRIES):
        failures = heal(ledger, lambda undo: _undo(driver, opened.instance, undo), by="reaper")
        if not failures:
            break
    dirty = tuple(secured.fault for secured in standing(ledger.entries()).open)
    ledger.append(Closed(dirty=dirty, by="reaper"))
    if opened.owns_instance and not dirty:
        try:
            driver.attach(opened.instance).down()
        except EnvironmentProblem as error:
            print(f"mldrill reaper: {error}", file=sys.stderr)
    for failure in failures:
        print(f"mldrill reaper: {failure}", file=sys.stderr)
    return 1 if dirty else 0


def _undo(driver: Driver, instance: str, undo: Undo) -> UndoOutcome:
    target: Target
    if instance not in driver.instances():
        return UndoOutcome.GONE
    target = driver.attach(instance)
    return target.undo(undo)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
