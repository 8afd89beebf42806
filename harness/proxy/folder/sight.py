"""Which files of a directory have arrived: regular ones, visible, by their pattern, that have stood still long enough.

What counts is what was seen, not what the files' own times say: a copying program may set those to any past. The order
is that of arrival: of being complete first; among those found complete at once, of the kernel's time of their last
change, which a rename sets too. (It goes by ticks, of 4 ms as a rule: within one, the order is that of the names.)

How long a file stood still is counted from after it was first seen so until before it was looked at again: a machine
that stalls in the middle of a look makes that time too short, never too long.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

UNFINISHED = (b".tmp", b".part")
SEEN_MAX = 100_000

Look = tuple[int, int, int]
"""A file as it was seen: inode, size, time of the last writing."""


@dataclass
class Seen:
    look: Look
    since_ns: int


class Sight:
    def __init__(
        self, folder: bytes, *, pattern: str, settle_ns: int, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._clock = clock
        self._folder = folder
        self._pattern = pattern
        self._settle_ns = settle_ns
        self._seen: dict[bytes, Seen] = {}

    def arrived(self) -> list[bytes]:
        """The names of files that are complete. Raises OSError when the directory can't be read."""
        began_ns = self._clock()
        seen: dict[bytes, Seen] = {}
        complete: list[tuple[int, bytes]] = []
        with os.scandir(self._folder) as found:
            for entry in found:
                if len(seen) >= SEEN_MAX:
                    break  # the rest has its turn when these are gone
                status = self._status(entry)
                if status is None:
                    continue
                look = (status.st_ino, status.st_size, status.st_mtime_ns)
                before = self._seen.get(entry.name)
                kept = before if before is not None and before.look == look else Seen(look, self._clock())
                seen[entry.name] = kept
                if max(0, began_ns - kept.since_ns) >= self._settle_ns:
                    complete.append((status.st_ctime_ns, entry.name))
        self._seen = seen
        return [name for _, name in sorted(complete)]

    def _status(self, entry: os.DirEntry[bytes]) -> os.stat_result | None:
        name = entry.name
        if name.startswith(b".") or name.endswith(UNFINISHED) or not fnmatchcase(os.fsdecode(name), self._pattern):
            return None
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None
