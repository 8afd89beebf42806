"""Makes Docker instances and finds them again. Inventory is pure: planning asks no daemon.

Always true: a daemon that can't be asked is an error wherever instances of ours are remembered, never "there are none",
because "none" would mean that nothing needs healing.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.contract.words import Capability
from harness.errors import EnvironmentProblem
from harness.plugin import Inventory, LinkWay
from harness.spec.target import TargetSpec
from harness.target import borrowed
from harness.target.docker import described, examined, record, shaping
from harness.target.docker.daemon import Daemon
from harness.target.docker.instance import DockerTarget
from harness.target.docker.selection import docker_of
from harness.target.instances import Finding, InstanceStatus
from harness.target.inventory import digest, inventory_of

CAN = frozenset(Capability) - {Capability.CLOCK}


def _by_proxy(spec: TargetSpec) -> LinkWay:
    docker = docker_of(spec)
    if borrowed.of(spec) is not None:
        return borrowed.way_of(f"Compose service '{docker.proxy}', proxy.kind")
    return LinkWay(f"the fault proxy on the link, Compose service '{docker.proxy}' (docker.links: {docker.links})")


class DockerDriver:
    """Any Compose project, attached to or brought up."""

    name = "docker"

    def __init__(self) -> None:
        self._daemon = Daemon()

    def inventory(self, spec: TargetSpec) -> Inventory:
        """Raises `UnsupportedError` when the description narrows to what this driver hasn't got."""
        by_tc = docker_of(spec).links == "tc"
        can = CAN - {Capability.TAP} if by_tc or borrowed.of(spec) is not None else CAN
        ways = {name: shaping.way_of(spec, name) if by_tc else _by_proxy(spec) for name in spec.links}
        return msgspec.structs.replace(inventory_of(spec, driver=self.name, can=can), ways=ways)

    def open(self, spec: TargetSpec, *, folder: Path, instance: str, seed: int) -> DockerTarget:
        """The instance, running or not; starts nothing."""
        return DockerTarget(
            spec, instance=instance, digest=digest(spec), folder=folder.resolve(), seed=seed, daemon=self._daemon
        )

    def attach(self, instance: str) -> DockerTarget:
        """The running instance of this name. Raises `EnvironmentProblem` when there is none."""
        found = record.load(instance)
        if found is None or not self._of(found).running:
            names = ", ".join(self.instances()) or "none"
            raise EnvironmentProblem(f"there is no running instance '{instance}'. Running: {names}", hint="drill up")
        return self._of(found)

    def remembered(self, instance: str) -> DockerTarget:
        """The instance of this name as it was last started, running or not: for `down`, which also clears up after a crash."""
        return self._of(self._record(instance))

    def _record(self, instance: str) -> record.Record:
        found = record.load(instance)
        if found is None:
            names = ", ".join(self.known()) or "none"
            raise EnvironmentProblem(f"there is no instance '{instance}'. Known: {names}", hint="drill status --all")
        return found

    def _of(self, found: record.Record) -> DockerTarget:
        return DockerTarget(
            TargetSpec.model_validate(found.spec),
            instance=found.instance,
            digest=found.digest,
            folder=Path(found.folder),
            seed=found.seed,
            daemon=self._daemon,
        )

    def warm(self) -> None:
        """Loads what is otherwise loaded at the first call, for whoever must heal without delay (the reaper)."""
        for module in ("requests", "docker", "toxiproxy.api", "toxiproxy.exceptions"):
            importlib.import_module(module)

    def instances(self) -> Sequence[str]:
        """Names of those that are there. Raises `EnvironmentProblem` where some are remembered and the daemon can't be asked."""
        return [name for name in self.known() if self._runs(name)]

    def known(self) -> Sequence[str]:
        """Names of all instances of this user, running or not; asks no daemon."""
        return record.known()

    def describe(self, instance: str) -> InstanceStatus:
        """Raises `EnvironmentProblem` when there is no such instance. That the daemon can't be asked is its `problem`."""
        found = self._record(instance)
        return described.status_of(self._of(found), found, driver=self.name)

    def examine(self) -> Sequence[Finding]:
        """Whether containers can be had here, and what is left of instances that nobody remembers."""
        return examined.examine(self._daemon)

    def sweep(self, instance: str) -> Sequence[str]:
        """Removes what is left of an instance that nobody remembers; gives what it was."""
        return examined.sweep(self._daemon, instance)

    def _runs(self, instance: str) -> bool:
        found = record.load(instance)
        return found is not None and self._of(found).running
