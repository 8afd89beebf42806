"""What the kernel counts for a container: time used and held back, memory held.

Read from the control group's own files where the daemon is on this host: microseconds, where the API's one sample takes up
to a second. That a path is the container's is seen by its id in it. Elsewhere the API is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.plugin import UsageReading
from harness.target.docker.daemon import Daemon
from harness.target.docker.record import limits_of

GROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
NS_OF_US = 1000
PERIOD_US = 100_000
NS_OF_S = 1e9
STRESSOR = "stress-ng"
ENDED = "Z"


def read(daemon: Daemon, inspected: dict[str, Any]) -> tuple[int, int | None]:
    """(nanoseconds that its threads were held back, bytes held without pages of files or None).

    Pages of files can be dropped, also those used of late: a fresh container holds a lot of its image that way, and gives it up
    as soon as somebody needs the room.
    """
    paths = groups_of(inspected)
    try:
        if {"cpu", "memory"} <= set(paths):
            return _first_version(paths["cpu"], paths["memory"])
        if "" in paths:
            return _second_version(paths[""])
    except (OSError, ValueError, KeyError):  # it has just ended, or this kernel counts otherwise
        pass
    stats = daemon.stats(inspected["Id"])
    return int(((stats.get("cpu_stats") or {}).get("throttling_data") or {}).get("throttled_time", 0)), held_bytes(
        stats
    )


def usage(daemon: Daemon, inspected: dict[str, Any]) -> UsageReading:
    """Raises `EnvironmentProblem` where it doesn't run."""
    own = limits_of(inspected["HostConfig"])
    limited = own.nano_cpus / NS_OF_S or max(0, own.cpu_quota) / (own.cpu_period or PERIOD_US)
    running = daemon.top(inspected["Id"])
    return UsageReading(
        cpu_s=_used_ns(daemon, inspected) / NS_OF_S,
        cpus=limited or daemon.processors,
        memory_bytes=read(daemon, inspected)[1],
        memory_limit=own.memory or None,
        stressors=sum(_is_stressor(command) for state, command in running if not state.startswith(ENDED)),
    )


def _is_stressor(command: str) -> bool:
    return Path(command.split(" ", 1)[0]).name == STRESSOR


def _used_ns(daemon: Daemon, inspected: dict[str, Any]) -> int:
    paths = groups_of(inspected)
    try:
        if "cpuacct" in paths:
            return int((paths["cpuacct"] / "cpuacct.usage").read_text())
        if "" in paths:
            return _numbers(paths[""] / "cpu.stat")["usage_usec"] * NS_OF_US
    except (OSError, ValueError, KeyError):
        pass
    return int(((daemon.stats(inspected["Id"]).get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage", 0))


def groups_of(inspected: dict[str, Any]) -> dict[str, Path]:
    """Controller -> folder, "" for version 2; empty where they can't be this container's on this host."""
    try:
        lines = (PROCESSES / str(inspected["State"].get("Pid", 0)) / "cgroup").read_text().splitlines()
    except OSError:
        return {}
    found: dict[str, Path] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if inspected["Id"] not in path:
            continue
        for name in controllers.split(","):
            found[name] = GROUPS / name / path.lstrip("/") if name else GROUPS / path.lstrip("/")
    return found


def held_bytes(stats: dict[str, Any]) -> int | None:
    """Of a sample of the API; None where it isn't counted."""
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    counters = memory.get("stats") or {}
    return max(0, int(memory["usage"]) - _of_files(counters))


def _first_version(cpu: Path, memory: Path) -> tuple[int, int | None]:
    held = int((memory / "memory.usage_in_bytes").read_text())
    files = _of_files(_numbers(memory / "memory.stat"))
    return _numbers(cpu / "cpu.stat").get("throttled_time", 0), max(0, held - files)


def _second_version(folder: Path) -> tuple[int, int | None]:
    held = int((folder / "memory.current").read_text())
    files = _of_files(_numbers(folder / "memory.stat"))
    return _numbers(folder / "cpu.stat").get("throttled_usec", 0) * NS_OF_US, max(0, held - files)


def _of_files(counters: Mapping[str, Any]) -> int:
    """Bytes of files' pages, by the counters of either version; what lies in memory for good (tmpfs) isn't among them."""
    kinds = ("active_file", "inactive_file")
    return sum(int(counters.get(f"total_{kind}", counters.get(kind, 0))) for kind in kinds)


def _numbers(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
