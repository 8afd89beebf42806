"""The run's end of the reaper: starts it, waits until it is ready, and says farewell at a good end, and only then."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from harness.errors import EnvironmentProblem
from harness.run.ledger import Ledger
from harness.run.reaper import FAREWELL

READY_S = 15.0
LEAVE_S = 30.0
"""How long it may heal after its run failed."""
LOOK_S = 0.25


@contextlib.contextmanager
def reaper(ledger: Ledger) -> Iterator[Callable[[], None]]:
    """Gives what waits until the reaper is ready. Leaving by an exception has it heal whatever still stands open."""
    pipe_read, pipe_write = os.pipe()
    ready_read, ready_write = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "harness.run.reaper", str(ledger.path), str(pipe_read), str(ready_write)],
            pass_fds=(pipe_read, ready_write),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except OSError as error:
        os.close(pipe_write)
        os.close(ready_read)
        raise EnvironmentProblem(f"the reaper can't be started: {error.strerror}") from error
    finally:
        os.close(pipe_read)
        os.close(ready_write)
    left = threading.Event()
    try:
        yield lambda: _wait_until_ready(child, ready_read, left)
        with contextlib.suppress(OSError):  # it was killed: then there is nobody to tell
            os.write(pipe_write, FAREWELL)
    finally:
        left.set()
        os.close(pipe_write)
        _wait_until_gone(child)
        os.close(ready_read)


def _wait_until_ready(child: subprocess.Popen[bytes], ready: int, left: threading.Event) -> None:
    """Called by the thread that sets the target up, which may outlive the run: then it reads no descriptor any more."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and not left.is_set():
        readable, _, _ = select.select([ready], [], [], LOOK_S)
        if readable and os.read(ready, 1) == b"1":
            return
        if child.poll() is not None:
            break
    raise EnvironmentProblem("the reaper did not get ready, so nothing may be injected")


def _wait_until_gone(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(timeout=LEAVE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
