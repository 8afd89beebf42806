"""What a driver may tell of its instances beside what `Driver` asks for: for `drill status`, `down` and `doctor`.

Records that every driver gives alike, and two protocols that a driver from a plugin may have or leave out: without them its
instances are listed by name. Rejected: asking it of every driver, since a drill needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from harness.contract.undo import Json


class ServiceStatus(msgspec.Struct, frozen=True):
    """A service as a driver shows it to people. What a driver doesn't know stays None.

    `state`: running, paused, down, and whatever else the driver's own words are. `limits`: what it is held to, by resource.
    """

    state: str
    health: str | None = None
    pid: int | None = None
    port: int | None = None
    restarts: int | None = None
    memory_bytes: int | None = None
    limits: dict[str, Json] = {}


class InstanceStatus(msgspec.Struct, frozen=True):
    """What `drill status` shows of one instance.

    `runs_as`: what the instance is called where it runs, such as `process 4711` or `project NAME`. `held_by`: the run that
    uses it. `problem`: why it is not as it should be, empty where it is.
    """

    driver: str
    instance: str
    target: str
    running: bool
    folder: str = ""
    seed: int = 0
    runs_as: str = ""
    held_by: dict[str, Json] | None = None
    services: dict[str, ServiceStatus] = {}
    problem: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One line of `drill doctor`. `left`: names of what a dead run or instance left behind; then the machine is dirty."""

    check: str
    ok: bool
    says: str
    left: tuple[str, ...] = ()


@runtime_checkable
class Describing(Protocol):
    """What a driver may have beside `Driver`: its instances as `drill status`, `down` and `doctor` know them."""

    def known(self) -> Sequence[str]:
        """Names of all its instances that are remembered here, running or not."""
        ...

    def describe(self, instance: str) -> InstanceStatus:
        """Raises `EnvironmentProblem` when there is no such instance; one that can't be asked has a `problem`."""
        ...


@runtime_checkable
class Examining(Protocol):
    """What a driver may have beside `Driver`: whether its kind of target can be had here, and what is left of dead instances."""

    def examine(self) -> Sequence[Finding]:
        """Its lines for `drill doctor`. Changes nothing."""
        ...

    def sweep(self, instance: str) -> Sequence[str]:
        """Removes what is left of an instance that isn't remembered any more; gives what that was, empty for nothing."""
        ...
