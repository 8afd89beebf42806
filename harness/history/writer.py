"""The one writer of a history: appends, numbers, and never leaves half a line behind a whole one.

Each line goes to the operating system as it is appended, so a killed harness loses nothing that it had recorded; only
`sync` waits for the disk, at the points where the run must not go on without it. Rejected: buffering (a crash would
take the most interesting seconds with it) and a sync per line (a slow disk would become part of the measurement).

What always holds: `seq` counts from 1 without a gap; a write that fails halfway is taken back, so that what follows it
is still readable; beyond `HISTORY_BYTES_MAX` nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from harness.errors import NotWritableError
from harness.history.events import AnyEvent
from harness.history.header import Header
from harness.history.lines import encode_line

HISTORY_BYTES_MAX = 4 * 2**30
LINE_BYTES_MAX = 64 * 2**20

E = TypeVar("E", bound=AnyEvent)


class HistoryWriter:
    """Writes one history; safe to call from several threads. Raises `NotWritableError` where it can't write."""

    def __init__(self, path: Path, header: Header, *, bytes_max: int = HISTORY_BYTES_MAX) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._seq = 0
        self._size = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error
        try:
            self._write(encode_line(header))
            self.sync()
            self._sync_folder()
        except NotWritableError:
            self.close()
            raise

    def append(self, event: E) -> E:
        """Writes the event and gives it back with its `seq`."""
        with self._lock:
            numbered = msgspec.structs.replace(event, seq=self._seq + 1)
            self._write(encode_line(numbered))
            self._seq += 1
        return numbered

    def sync(self) -> None:
        """Waits until everything appended is on the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error

    def close(self) -> None:
        """Idempotent; appending afterwards is refused."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX or self._size + len(line) > self._bytes_max:
            raise self._refusal("it has reached its largest size")
        done = 0
        try:
            while done < len(line):
                done += os.write(self._fd, line[done:] if done else line)
        except OSError as error:
            self._take_back()
            raise self._refusal(error.strerror or str(error)) from error
        self._size += len(line)

    def _take_back(self) -> None:
        """Cuts half a line off. Where even that fails, the reader reports a torn line."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)

    def _sync_folder(self) -> None:
        """The file's name must survive a crash too."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error

    def _refusal(self, why: str) -> NotWritableError:
        return NotWritableError(
            f"{self.path}: the history can't be written: {why}",
            hint="Free some space, or name a folder that can be written: --reports FOLDER",
        )
