"""What the operating system says of processes, read from /proc.

A pid alone names nobody: it may have been given to another process since. Everywhere here a process is (pid, start
time), and a signal goes through a pidfd, which can't be reused. Rejected: psutil for this, which costs 20 ms to
import in each supervisor and reads whole files where we poll one field.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
MEMBERS_MAX = 256


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that we use. `state` is the kernel's letter: R S D T Z ..."""

    state: str
    parent: int
    session: int
    start: int


def stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return Stat(state=fields[0], parent=int(fields[1]), session=int(fields[3]), start=int(fields[19]))


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None when there is none, or only its remains (a zombie)."""
    found = stat(pid)
    return None if found is None or found.state in "ZX" else found.start


def alive(pid: int, start: int) -> bool:
    """Whether exactly this process still runs."""
    return start_time(pid) == start


def open_pidfd(pid: int, start: int) -> int | None:
    """A descriptor of exactly this process; None when it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    found = stat(pid)  # asked after opening: the descriptor then holds what was asked about
    if found is None or found.start != start:
        os.close(descriptor)
        return None
    return descriptor


def send(pid: int, start: int, number: signal.Signals) -> bool:
    """Signals exactly this process; False when it is gone."""
    descriptor = open_pidfd(pid, start)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def family(pid: int) -> list[int]:
    """The process and its descendants, as far as /proc tells; at most `MEMBERS_MAX`."""
    found, todo = [pid], [pid]
    while todo and len(found) < MEMBERS_MAX:
        children = _children(todo.pop())
        found += children
        todo += children
    return found[:MEMBERS_MAX]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    return children


def labelled(variable: str, value: str) -> Iterator[tuple[int, int]]:
    """(pid, start time) of this user's processes that were started with `variable=value` in their environment."""
    wanted = f"{variable}={value}".encode()
    me = os.getpid()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        pid = int(entry.name)
        start = start_time(pid)
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if start is not None and wanted in environment:
            yield pid, start
