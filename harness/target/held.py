"""An instance on this machine, whatever keeps it: its name, its files written in one step, and who may use it.

Two locks in the instance's folder: `lock`, held by the one run that uses it, and `start.lock`, held while somebody starts or
stops it. Always true: a lock goes with the process that held it, so none is ever stale.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, NotWritableError, TargetBusyError, UsageError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOCK_TRIES = 20
LOCK_PAUSE_S = 0.01
START_LOCK_S_MAX = 30.0


def require_name(instance: str) -> None:
    """Raises `UsageError` for what is no name of an instance."""
    if not NAME.fullmatch(instance):
        raise UsageError(
            f"'{instance[:80]}' is no name of an instance: lower case letters, digits, dot, dash, underscore; at most 64"
        )


def write(path: Path, content: bytes) -> None:
    """Writes a file of an instance in one step. Raises `NotWritableError`."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise NotWritableError(f"{path} can't be written: {error.strerror}") from None


class Lock:
    """The one lock of an instance; held by a run through this process."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._path = folder / "lock"
        self._instance = instance
        self._held: int | None = None

    def acquire(self, run: str) -> None:
        """Raises `TargetBusyError` naming the run and process that hold it."""
        if self._held is not None:
            raise TargetBusyError("this run holds the instance already")
        descriptor = self._open()
        for _ in range(LOCK_TRIES):  # somebody may be looking for an instant, see `free`
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, msgspec.json.encode({"run": run, "pid": os.getpid()}), 0)
                self._held = descriptor
                return
            time.sleep(LOCK_PAUSE_S)
        os.close(descriptor)
        raise self._busy()

    def release(self) -> None:
        """Gives it up; no error if it isn't held."""
        if self._held is not None:
            os.ftruncate(self._held, 0)
            os.close(self._held)
            self._held = None

    def require_free(self) -> None:
        """Raises `TargetBusyError` when another run holds it."""
        if self._held is not None or not self._path.exists():
            return
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        finally:
            os.close(descriptor)

    def holder(self) -> dict[str, Json] | None:
        """`{"run", "pid"}` of the run that holds it, or None."""
        try:
            self.require_free()
        except TargetBusyError:
            return self._words()
        return self._words() if self._held is not None else None

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotWritableError(f"{self._path} can't be written: {error.strerror}") from None

    def _words(self) -> dict[str, Json]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Json])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _busy(self) -> TargetBusyError:
        words = self._words()
        return TargetBusyError(
            f"instance '{self._instance}' is in use by run {words.get('run', '?')} (pid {words.get('pid', '?')})",
            hint="Wait for it, stop it, or use another instance with --instance NAME",
        )


@contextlib.contextmanager
def starting(folder: Path, instance: str) -> Iterator[None]:
    """Held while an instance is started or stopped, so that two shells don't do both at once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + START_LOCK_S_MAX
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EnvironmentProblem(
                        f"instance '{instance}' has been starting or stopping for {START_LOCK_S_MAX:g} s elsewhere"
                    ) from None
                time.sleep(LOCK_PAUSE_S)
        yield
    finally:
        os.close(descriptor)
