"""Points of a target that can be set, and how to put them back, as data.

A *point* is a place in the target with one JSON value: an alias, a configuration key, a toxic on a link, a limit of a
service, a process's state. Faults set points; undos restore them. Because an undo is data and not a closure, a process
that knows nothing of the run (the reaper, `drill heal` next week) can apply it. Rejected: pickled callables, shell
snippets, undo by re-running the fault's own code.

Always true: an undo restores only where the injected value still stands, so it never overwrites a repair.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict of these."""


class PointKind(StrEnum):
    """The closed list of settable points. Which of them a driver has follows from its capabilities."""

    PROCESS = "process"
    """where = service; value: "running" | "paused" | "down" | "killed" (killed: once, the supervisor may restart it)."""
    CPU = "cpu"
    """where = service; value: share of the time that the process group may run, (0, 1], or null for no limit."""
    MEMORY = "memory"
    """where = service; value: limit in bytes, or null for no limit. Where swap is limited apart from it, a driver tells
    {"bytes", "swap"}, and takes it back exactly so."""
    TOXIC = "toxic"
    """where = "link/name"; value: {"type", "stream", "toxicity", "attributes"} or null for none."""
    LINK_UP = "link-up"
    """where = link; value: true or false (down: connections are refused)."""
    TAP = "tap"
    """where = "link/name"; value: a tap's definition or null for none."""
    ALIAS = "alias"
    """where = "model/alias"; value: version."""
    CONFIG = "config"
    """where = "service/key"; value: the setting."""
    NETWORK = "network"
    """where = "service/network"; value: how it is joined ({"aliases": [...]}), or null for not at all."""
    PARTITION = "partition"
    """where = "service|service"; value: the networks that join the two ({network: {"aliases": [...]}}), or null for none."""
    DISK = "disk"
    """where = "service/path", a volume of limited size; value: bytes that we have filled it with, 0 for none."""
    IMAGE = "image"
    """where = service; value: the image that it runs."""
    ENV = "env"
    """where = "service/VARIABLE"; value: text, or null where it isn't set."""
    STRESS = "stress"
    """where = service; value: what runs beside it and takes {"cpu": workers}, {"memory": bytes} or {"io": workers}, with
    "seconds" after which it ends by itself; null for nothing."""


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One settable place of a target."""

    kind: PointKind
    where: str


class Undo(msgspec.Struct, frozen=True):
    """How to take one injected value back. Written to the ledger and synced before the value is injected.

    `driver` and `instance` find the target again; `deadline_s` is how long restoring may take.
    """

    driver: str
    instance: str
    point: Point
    injected: Json
    restore: Json
    deadline_s: float = 10.0


class UndoOutcome(StrEnum):
    """What applying an undo came to."""

    RESTORED = "restored"
    ALREADY = "already"
    """The value to restore stood already."""
    REPAIRED = "repaired"
    """Another value than the injected one stood: somebody's repair, left alone."""
    GONE = "gone"
    """The instance is no longer there, so there is nothing to heal."""
    FAILED = "failed"
