"""Makes embedded instances and finds them again; what `drill up`, `down` and `status` call.

Inventory is pure: planning learns what could be done without anything being started.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.contract.words import Capability
from harness.errors import EnvironmentProblem, HarnessError
from harness.plugin import Inventory
from harness.proxy.client import Kind
from harness.spec.target import TargetSpec
from harness.state import instances_dir
from harness.target import borrowed
from harness.target.embedded import launch, record, startup
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.memory import proportional_bytes
from harness.target.held import Lock
from harness.target.instances import Finding, InstanceStatus, ServiceStatus
from harness.target.inventory import digest, inventory_of

CAN = frozenset(
    {
        Capability.KILL,
        Capability.PAUSE,
        Capability.RESTART,
        Capability.LIMIT_CPU,
        Capability.LIMIT_MEMORY,
        Capability.LINK,
        Capability.TAP,
        Capability.MODEL,
        Capability.CONFIG,
    }
)


class EmbeddedDriver:
    """Child processes of a supervisor on this host; no root, no containers."""

    name = "embedded"

    def inventory(self, spec: TargetSpec) -> Inventory:
        """Raises `UnsupportedError` when the description wants what this driver hasn't got."""
        where = borrowed.of(spec)
        if where is None:
            return inventory_of(spec, driver=self.name, can=CAN)
        ways = {name: borrowed.way_of(f"proxy.api {where.api}") for name in spec.links}
        found = inventory_of(spec, driver=self.name, can=CAN - {Capability.TAP})
        return msgspec.structs.replace(found, ways=ways)

    def open(self, spec: TargetSpec, *, folder: Path, instance: str, seed: int) -> EmbeddedTarget:
        """The instance, running or not; starts nothing."""
        return EmbeddedTarget(spec, instance=instance, digest=digest(spec), folder=folder.resolve(), seed=seed)

    def attach(self, instance: str) -> EmbeddedTarget:
        """The running instance of this name. Raises `EnvironmentProblem` when there is none."""
        found = record.load(record.folder_of(instance))
        if found is None or not found.runs:
            names = ", ".join(self.instances()) or "none"
            raise EnvironmentProblem(f"there is no running instance '{instance}'. Running: {names}", hint="drill up")
        return self._of(found)

    def remembered(self, instance: str) -> EmbeddedTarget:
        """The instance of this name as it was last started, running or not: for `down`, which also clears up after a crash."""
        return self._of(self._record(instance))

    def _record(self, instance: str) -> record.Record:
        found = record.load(record.folder_of(instance))
        if found is None:
            names = ", ".join(self.known()) or "none"
            raise EnvironmentProblem(f"there is no instance '{instance}'. Known: {names}", hint="drill status --all")
        return found

    def _of(self, found: record.Record) -> EmbeddedTarget:
        spec = TargetSpec.model_validate(found.spec)
        return EmbeddedTarget(
            spec, instance=found.instance, digest=found.digest, folder=Path(found.folder), seed=found.seed
        )

    def warm(self) -> None:
        """Loads what is otherwise loaded at the first call, for whoever must heal without delay (the reaper)."""
        for module in ("requests", "toxiproxy.api", "toxiproxy.exceptions"):
            importlib.import_module(module)

    def instances(self) -> Sequence[str]:
        """Names of the running ones."""
        return [name for name in self.known() if _runs(name)]

    def known(self) -> Sequence[str]:
        """Names of all instances of this user, running or not."""
        return sorted(entry.name for entry in instances_dir().iterdir() if (entry / record.RECORD).exists())

    def examine(self) -> Sequence[Finding]:
        """Of each running instance behind a Toxiproxy of others: what answers there, and what stands in it that no run holds."""
        return [looked for name in self.instances() if (looked := self._examined(self._of(self._record(name))))]

    def _examined(self, target: EmbeddedTarget) -> Finding | None:
        if borrowed.of(target.spec) is None or not target.spec.links:
            return None
        check, client = f"proxy of '{target.instance}'", target.proxy
        try:
            version, kind = client.version(), client.kind()
            standing = borrowed.left(client, startup.proxy_names(target.spec, target.instance).values())
        except HarnessError as error:
            return Finding(check, ok=False, says=error.message)
        leases = (
            "no leases: only its run, the reaper or `drill heal` takes back what is set"
            if kind is Kind.TOXIPROXY
            else "leases"
        )
        says = f"{kind} {version} at {client.address}, {leases}"
        held = target.lock.holder() is not None
        if standing and not held:
            return Finding(check, ok=False, says=f"{says}; left there: {', '.join(standing)}", left=standing)
        return Finding(check, ok=True, says=says)

    def sweep(self, instance: str) -> Sequence[str]:
        """Nothing outlives the memory of an instance here."""
        return ()

    def describe(self, instance: str) -> InstanceStatus:
        """Raises `EnvironmentProblem` when there is no such instance."""
        found = self._record(instance)
        services: dict[str, ServiceStatus] = {}
        problem, running = "", found.runs
        if running:
            try:
                status = self._of(found).status()
            except EnvironmentProblem as error:
                problem = error.message
            else:
                problem = status.problem
                services = {name: _shown(found, name, one) for name, one in status.services.items()}
        return InstanceStatus(
            driver=self.name,
            instance=instance,
            target=str(found.spec.get("target", "")),
            running=running,
            folder=found.folder,
            seed=found.seed,
            runs_as=f"supervisor {found.supervisor_pid}" if running else "",
            held_by=Lock(record.folder_of(instance), instance).holder(),
            services=services,
            problem=problem,
        )


def _shown(found: record.Record, name: str, one: launch.ServiceStatus) -> ServiceStatus:
    return ServiceStatus(
        state=one.state if one.pid else "down",
        pid=one.pid,
        port=found.ports["proxy" if name.startswith("@") else f"service/{name}"],
        restarts=one.restarts,
        memory_bytes=proportional_bytes(one.pid) if one.pid else None,
        limits={key: value for key, value in (("cpu", one.cpu), ("memory", one.memory)) if value is not None},
    )


def _runs(instance: str) -> bool:
    found = record.load(record.folder_of(instance))
    return found is not None and found.runs
