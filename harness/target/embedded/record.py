"""What is remembered of an instance on disk, so that any process finds it again: `instance.json`, its lock, its
folders.

    instances/<name>/instance.json   description, folder, seed, ports, supervisor     written by `up`
                     launch.json     what the supervisor starts
                     lock            held (flock) by the one run that uses the instance
                     start.lock      held while somebody starts or stops it
                     control.sock    the supervisor's, mode 0600
                     exits.jsonl     deaths, as the pipeline's own monitoring may read them
                     logs/  state/   one per service
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.contract.undo import Json
from harness.state import instances_dir
from harness.target import held
from harness.target.embedded import processes

RECORD = "instance.json"


class Record(msgspec.Struct, frozen=True):
    """An instance as `up` left it. `ports`: "service/NAME", "link/NAME", "port/NAME" and "proxy" -> number."""

    instance: str
    spec: dict[str, Json]
    digest: str
    folder: str
    seed: int
    label: str
    ports: dict[str, int]
    supervisor_pid: int = 0
    supervisor_start: int = 0

    @property
    def runs(self) -> bool:
        """Whether its supervisor is alive."""
        return self.supervisor_pid > 0 and processes.alive(self.supervisor_pid, self.supervisor_start)


def folder_of(instance: str) -> Path:
    """The instance's folder, which need not exist. Raises `UsageError` for a name that is none."""
    held.require_name(instance)
    return instances_dir() / instance


def load(folder: Path) -> Record | None:
    """None when there is no such instance, or none that can be read."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def save(folder: Path, record: Record) -> None:
    """Old or new, never half of it. Raises `NotWritableError`."""
    held.write(folder / RECORD, msgspec.json.encode(record))
