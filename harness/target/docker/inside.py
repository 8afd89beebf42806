"""What a container finds inside itself: room on its disks, its commands, the environment and the writes of its processes.

Asked by the commands of its own image, as its own user, for that is whose writes fail. The daemon's record of the container
would say what was asked for when it was made, whatever became of it since. A container that has no such command, or doesn't
run, can't be read: that is an error, never a number.
"""

from __future__ import annotations

from harness.errors import EnvironmentProblem
from harness.target.docker.daemon import Daemon

KIB = 1024
AVAILABLE = 3
"""The column of `df -P` that says what is available to others than the superuser."""


def free_bytes(daemon: Daemon, container: str, path: str) -> int:
    """To the kibibyte, as `df` tells it."""
    out = _run(daemon, container, ["df", "-P", "-k", path])
    columns = out.splitlines()[-1].split() if out else []
    if len(columns) <= AVAILABLE or not columns[AVAILABLE].isdigit():
        raise EnvironmentProblem(f"docker: in {container[:12]}: df of {path} says {out.strip()[:200]!r}")
    return int(columns[AVAILABLE]) * KIB


def environment(daemon: Daemon, container: str, variable: str) -> str | None:
    """Of the container's first process, as the kernel has it from its start."""
    entries = _run(daemon, container, ["cat", "/proc/1/environ"]).split("\0")
    if entries == [""]:
        raise EnvironmentProblem(f"docker: in {container[:12]}: the first process shows no environment")
    found = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return found.get(variable)


def carries(daemon: Daemon, container: str, command: str) -> bool:
    """Whether its shell finds the command; a container without a shell carries nothing."""
    code, _ = daemon.run(container, ["sh", "-c", 'command -v "$1"', "sh", command])
    return code == 0


def written_bytes(daemon: Daemon, container: str) -> int:
    """Of the processes of the container's own user, as the kernel counts each: only its own counters tell of writes to layered
    file systems, which those of the control group of version 1 leave out."""
    out = _run(daemon, container, ["sh", "-c", "cat /proc/[0-9]*/io 2>/dev/null || :"])
    lines = (line.split() for line in out.splitlines())
    return sum(int(words[1]) for words in lines if len(words) == 2 and words[0] == "write_bytes:")


def _run(daemon: Daemon, container: str, command: list[str]) -> str:
    code, out = daemon.run(container, command)
    if code != 0:
        raise EnvironmentProblem(
            f"docker: in {container[:12]}: {command[0]}: {out.strip()[:200] or f'exit code {code}'}"
        )
    return out
