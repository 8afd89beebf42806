"""The reaper: heals from the ledger when its run dies, however it dies.

A child in its own session that holds the read end of a pipe. The write end is open in the run's process alone (close on
exec elsewhere), so the kernel closes it even on SIGKILL. Everything the reaper needs is loaded before it says that it is
ready, and it never loads the conductor: what killed the run must not kill its healing. A run that ended well says so
on the pipe, and the reaper leaves without a trace.

It heals twice: at once, and again a moment later, because a request of the dead run may still have been on its way. It takes
the instance's lock while it heals; where another run has the instance by now, it leaves the ledger to `drill heal`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.contract.undo import Undo, UndoOutcome
from harness.errors import HarnessError
from harness.plugin import Driver, Target, load
from harness.run.ledger import Closed, Ledger, Opened, heal, standing
from harness.run.lock import Lockable

FAREWELL = b"done"
TRIES = 4
PAUSE_S = 0.5
"""Between two tries, and before the second healing."""


def serve(ledger_path: Path, pipe: int, ready: int) -> int:
    """Waits for the pipe to close; then heals. Gives the process's exit code."""
    ledger = Ledger(ledger_path)
    opened = standing(ledger.entries()).opened
    if opened is None:
        return 2
    driver: Driver = load("target", opened.driver)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the run is dead already: then there is nobody to tell, and maybe much to heal
        os.write(ready, b"1")
    os.close(ready)
    said = b""
    while chunk := os.read(pipe, 64):
        said = (said + chunk)[-64:]
    if said.endswith(FAREWELL) or standing(ledger.entries()).closed:
        return 0
    return reap(ledger, opened, driver, pause=time.sleep)


def reap(ledger: Ledger, opened: Opened, driver: Driver, *, pause: Callable[[float], None]) -> int:
    """Heals what stands open, in up to a few tries, and takes down an instance that the dead run had brought up."""
    _healed(ledger, opened, driver, again=False, pause=pause)
    pause(PAUSE_S)
    failures = _healed(ledger, opened, driver, again=True, pause=pause)
    if not failures:
        failures = take_down(opened, driver)
    for failure in failures:
        print(f"mldrill reaper: run {opened.run}: {failure}", file=sys.stderr)
    if failures:
        return 1
    with contextlib.suppress(OSError):
        ledger.append(Closed(by="reaper"))
    ledger.close(Path(opened.run_dir))
    return 0


def take_down(opened: Opened, driver: Driver) -> list[str]:
    """Takes down an instance that the dead run had brought up; gives what failed."""
    if not opened.owns_instance or opened.instance not in driver.instances():
        return []
    try:
        driver.attach(opened.instance).down()
    except HarnessError as error:
        return [error.message]
    return []


def _healed(
    ledger: Ledger, opened: Opened, driver: Driver, *, again: bool, pause: Callable[[float], None]
) -> list[str]:
    """One healing under the instance's lock. What fails is tried again a few times."""
    failures: list[str] = []
    for tried in range(TRIES):
        if tried:
            pause(PAUSE_S)
        try:
            failures = heal_locked(ledger, opened, driver, by="reaper", again=again)
        except HarnessError as error:
            failures = [error.message]
        if not failures:
            break
    return failures


def heal_locked(ledger: Ledger, opened: Opened, driver: Driver, *, by: str, again: bool = False) -> list[str]:
    """Heals while holding the instance, so that no other run's fault is taken for this one's. Raises `TargetBusyError`."""
    if opened.instance not in driver.instances():
        return heal(ledger, _gone, by=by, again=again)
    target: Target = driver.attach(opened.instance)
    if not isinstance(target, Lockable):
        return heal(ledger, target.undo, by=by, again=again)
    target.acquire(f"{opened.run} ({by})")
    try:
        return heal(ledger, target.undo, by=by, again=again)
    finally:
        target.release()


def _gone(_: Undo) -> UndoOutcome:
    """Whatever was injected went with the instance."""
    return UndoOutcome.GONE


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
