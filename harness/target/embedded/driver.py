"""Makes embedded instances and finds them again; what `drill up`, `down` and `status` call.

Inventory is pure: planning learns what could be done without anything being started.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.contract.undo import Json
from harness.contract.words import Capability
from harness.errors import EnvironmentProblem, UnsupportedError
from harness.plugin import Inventory
from harness.spec.target import TargetSpec
from harness.state import instances_dir
from harness.target.embedded import record
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.memory import proportional_bytes

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
        """Raises `UnsupportedError` when the description narrows to what this driver hasn't got."""
        wanted = frozenset(spec.capabilities) if spec.capabilities is not None else CAN
        if wanted - CAN:
            raise UnsupportedError(
                f"target '{spec.target}': the embedded driver has no {', '.join(sorted(wanted - CAN))};"
                f" it can {', '.join(sorted(CAN))}"
            )
        lacking = set()
        if not spec.links:
            lacking |= {Capability.LINK, Capability.TAP}
        if not spec.models:
            lacking.add(Capability.MODEL)
        if all(service.config is None for service in spec.services.values()):
            lacking.add(Capability.CONFIG)
        return Inventory(
            driver=self.name,
            capabilities=wanted - lacking,
            services={name: service.role for name, service in spec.services.items()},
            links={name: (link.from_, link.to) for name, link in spec.links.items()},
            models={name: tuple(model.variants) for name, model in spec.models.items()},
            actions=frozenset(spec.actions),
            observations=frozenset(spec.observations),
            digest=digest(spec),
        )

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
        found = record.load(record.folder_of(instance))
        if found is None:
            raise _no_such(instance)
        return self._of(found)

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
        return [name for name in known() if _runs(name)]


def known() -> list[str]:
    """Names of all instances of this user, running or not."""
    return sorted(entry.name for entry in instances_dir().iterdir() if (entry / record.RECORD).exists())


def _no_such(instance: str) -> EnvironmentProblem:
    names = ", ".join(known()) or "none"
    return EnvironmentProblem(f"there is no instance '{instance}'. Known: {names}", hint="drill status --all")


def _runs(instance: str) -> bool:
    found = record.load(record.folder_of(instance))
    return found is not None and found.runs


def digest(spec: TargetSpec) -> str:
    """SHA-256 of what the description says, the same for any order of keys."""
    written = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return hashlib.sha256(msgspec.json.encode(written, order="sorted")).hexdigest()


class InstanceStatus(msgspec.Struct, frozen=True):
    """What `drill status` shows of one instance. `services`: name -> state, pid, port, restarts, limits, PSS."""

    instance: str
    target: str
    running: bool
    folder: str
    seed: int
    supervisor: int
    held_by: dict[str, Json] | None
    services: dict[str, dict[str, Json]]
    problem: str = ""


def describe(instance: str) -> InstanceStatus:
    """Raises `EnvironmentProblem` when there is no such instance."""
    found = record.load(record.folder_of(instance))
    if found is None:
        raise _no_such(instance)
    services: dict[str, dict[str, Json]] = {}
    problem, running = "", found.runs
    if running:
        try:
            status = EmbeddedDriver().attach(instance).status()
        except EnvironmentProblem as error:
            problem = error.message
        else:
            problem = status.problem
            services = {
                name: {
                    "state": one.state if one.pid else "down",
                    "pid": one.pid,
                    "port": found.ports["proxy" if name.startswith("@") else f"service/{name}"],
                    "restarts": one.restarts,
                    "cpu": one.cpu,
                    "memory": one.memory,
                    "pss_bytes": proportional_bytes(one.pid) if one.pid else None,
                }
                for name, one in status.services.items()
            }
    return InstanceStatus(
        instance=instance,
        target=str(found.spec.get("target", "")),
        running=running,
        folder=found.folder,
        seed=found.seed,
        supervisor=found.supervisor_pid if running else 0,
        held_by=record.Lock(record.folder_of(instance)).holder(),
        services=services,
        problem=problem,
    )
