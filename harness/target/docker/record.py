"""What is remembered of a Docker instance on disk, so that any process finds it again: `docker.json`, the lock and the log
of deaths, in a folder of the instance's own beside those of embedded ones.

The baseline stands here: what each container was limited to and joined to when the instance came up. "No limit of ours" is
taken back to exactly that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from harness.contract.undo import Json
from harness.state import instances_dir
from harness.target import held

RECORD = "docker.json"
PREFIX = "docker-"


class Limits(msgspec.Struct, frozen=True):
    """A container's own limits, as the API writes them: 0 is none."""

    nano_cpus: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory: int = 0
    swap: int = 0


class Record(msgspec.Struct, frozen=True):
    """An instance as `up` left it. `ports`: reserved on this host, by name; `limits`: by service."""

    instance: str
    spec: dict[str, Json]
    digest: str
    folder: str
    seed: int
    project: str
    ours: bool
    """Whether we brought the project up; else it was there before, and stays."""
    ports: dict[str, int] = {}
    limits: dict[str, Limits] = {}
    networks: dict[str, dict[str, Json]] = {}
    """By service: network -> how it is joined."""


def folder_of(instance: str) -> Path:
    """The instance's folder, which need not exist. Raises `UsageError` for a name that is none."""
    held.require_name(instance)
    return instances_dir() / f"{PREFIX}{instance}"


def load(instance: str) -> Record | None:
    """None when there is no such instance, or none that can be read."""
    try:
        return msgspec.json.decode((folder_of(instance) / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def save(record: Record) -> None:
    """Old or new, never half of it. Raises `NotWritableError`."""
    held.write(folder_of(record.instance) / RECORD, msgspec.json.encode(record))


def forget(instance: str) -> None:
    """No error where there is none."""
    (folder_of(instance) / RECORD).unlink(missing_ok=True)


def known() -> list[str]:
    """Names of all Docker instances of this user, running or not."""
    return sorted(
        entry.name.removeprefix(PREFIX)
        for entry in instances_dir().iterdir()
        if entry.name.startswith(PREFIX) and (entry / RECORD).exists()
    )


def limits_of(host: dict[str, Any]) -> Limits:
    """Of a container's `HostConfig`."""
    return Limits(
        nano_cpus=int(host.get("NanoCpus") or 0),
        cpu_quota=int(host.get("CpuQuota") or 0),
        cpu_period=int(host.get("CpuPeriod") or 0),
        memory=int(host.get("Memory") or 0),
        swap=int(host.get("MemorySwap") or 0),
    )
