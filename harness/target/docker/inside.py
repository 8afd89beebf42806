"""What a container finds inside itself: room on its disks, the environment of its process.

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


def _run(daemon: Daemon, container: str, command: list[str]) -> str:
    code, out = daemon.run(container, command)
    if code != 0:
        raise EnvironmentProblem(
            f"docker: in {container[:12]}: {command[0]}: {out.strip()[:200] or f'exit code {code}'}"
        )
    return out
