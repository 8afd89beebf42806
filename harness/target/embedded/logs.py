"""Files that services append to, kept within bounds.

A service writes its log itself (O_APPEND), so that no pipe of the supervisor can block it or lose its last words.
The supervisor looks once a second and, over the limit, keeps the newest part in `<name>.1` and truncates in place:
the writers' descriptors stay good. A line written in that instant may be lost; a full disk would be worse.
"""

from __future__ import annotations

import os
from pathlib import Path

LOG_BYTES_MAX = 4 * 1024 * 1024
TAIL_BYTES_MAX = 256 * 1024


def bound(path: Path, limit: int = LOG_BYTES_MAX) -> None:
    """Truncates a log over the limit, keeping its newest part beside it."""
    try:
        size = path.stat().st_size
        if size <= limit:
            return
        with path.open("r+b") as log:
            log.seek(max(0, size - limit // 2))
            path.with_name(path.name + ".1").write_bytes(log.read(limit))
            log.truncate(0)
    except OSError:
        return  # the disk is full or the log is gone: nothing that a log keeper could do


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines, reaching back into `<name>.1` when the log was just truncated."""
    if lines <= 0:
        return ()
    found: list[str] = []
    for part in (path, path.with_name(path.name + ".1")):
        found = _last(part, lines - len(found)) + found
        if len(found) >= lines:
            break
    return tuple(found)


def _last(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES_MAX))
            text = log.read(TAIL_BYTES_MAX)
    except OSError:
        return []
    return text.decode(errors="replace").splitlines()[-lines:]
