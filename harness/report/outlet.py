"""Where the live view writes: a terminal, a pipe or a file, which may be slow, stopped or gone, while a drill must go on.

The view is called between two events of a run, so a write that waits (a terminal stopped with Ctrl-S, a pipe that nobody
reads) would hold up the injection's undo. Terminals and pipes are therefore opened anew without blocking, in a description of
their own: setting O_NONBLOCK on the inherited one would change it for every program that shares the terminal. Rejected: a
thread that writes, which only moves the wait to the end of the run. What always holds: nothing here blocks on a terminal or a
pipe, nothing raises; what can't be written at once waits in a bounded backlog, and beyond that is dropped.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, TextIO

BACKLOG_BYTES_MAX = 64 * 1024


class Outlet:
    """A text stream of which only `write`, `flush` and `isatty` are needed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._backlog = b""
        self._gone = False
        self.tty = _is_tty(stream)
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._fd = _own_description(stream)

    @property
    def stuck(self) -> bool:
        """Whether there is no use in drawing now: gone, or still full of what was drawn before."""
        return self._gone or bool(self._backlog)

    def isatty(self) -> bool:
        return self.tty

    def size(self) -> os.terminal_size:
        """Columns and lines; zero where it can't be told."""
        try:
            return os.get_terminal_size(self._fd if self._fd is not None else self._stream.fileno())
        except (OSError, ValueError, AttributeError):
            return os.terminal_size((0, 0))

    def write(self, text: str) -> int:
        """Writes what can be written at once."""
        if self._gone:
            return len(text)
        if self._fd is None:
            self._write_through(text)
        elif len(self._backlog) <= BACKLOG_BYTES_MAX:
            self._backlog += text.encode(self.encoding, "replace")
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Tries again what waits."""
        while self._backlog and self._fd is not None and not self._gone:
            try:
                done = os.write(self._fd, self._backlog)
            except BlockingIOError:
                return
            except OSError:
                self._gone = True
                return
            self._backlog = self._backlog[done:]

    def close(self) -> None:
        """Gives its own description back; the stream stays its owner's."""
        self.flush()
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None
        self._gone = True

    def _write_through(self, text: str) -> None:
        """For files and what is no file at all: those don't wait for a reader."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._gone = True


def _is_tty(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (OSError, ValueError, AttributeError):
        return False


def _own_description(stream: Any) -> int | None:
    """A descriptor of a terminal or pipe that doesn't block; None where the stream itself must do."""
    try:
        number = stream.fileno()
        mode = os.fstat(number).st_mode
        if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            return None
        path = os.ttyname(number) if os.isatty(number) else f"/dev/fd/{number}"
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError, AttributeError):
        return None
