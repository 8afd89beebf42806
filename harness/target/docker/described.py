"""A Docker instance as `drill status` shows it. An engine that can't be asked is the instance's problem, and told as such."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem
from harness.target.docker import counters, life
from harness.target.docker.lifecycle import PROXY
from harness.target.docker.record import Record, limits_of
from harness.target.docker.selection import Found
from harness.target.instances import InstanceStatus, ServiceStatus
from harness.target.snapshots import ASK_S, together

if TYPE_CHECKING:
    from harness.target.docker.instance import DockerTarget

GONE = "gone"
NANO = 1e9


def status_of(target: DockerTarget, found: Record, *, driver: str) -> InstanceStatus:
    """Raises nothing for an engine that can't be asked: that is the status's `problem`."""
    services: dict[str, ServiceStatus] = {}
    problem, running = "", False
    try:
        listed = target.selection.all()
        running = bool(listed)
        if running:
            services = _services(target, listed)
            lost = [name for name, one in services.items() if one.state == GONE]
            problem = f"there is no container of {', '.join(lost)}" if lost else ""
    except EnvironmentProblem as error:
        problem = error.message
    return InstanceStatus(
        driver=driver,
        instance=found.instance,
        target=str(found.spec.get("target", "")),
        running=running,
        folder=found.folder,
        seed=found.seed,
        runs_as=f"project {found.project}",
        held_by=target.lock.holder(),
        services=services,
        problem=problem,
    )


def _services(target: DockerTarget, listed: list[Found]) -> dict[str, ServiceStatus]:
    places: dict[str, Found] = {}
    for name in target.spec.services:
        try:
            places[name] = target.selection.find(name, among=listed)
        except EnvironmentProblem:
            continue
    if target.spec.links and target.addresses.has_proxy():
        places[PROXY] = target.addresses.proxy_container()
    asks = {name: partial(_shown, target, place) for name, place in places.items()}
    told = together(asks, within_s=ASK_S * 4)
    return {name: told.get(name) or ServiceStatus(state=GONE) for name in (*target.spec.services, *places)}


def _shown(target: DockerTarget, place: Found) -> ServiceStatus:
    inspected = target.daemon.inspect(place.id)
    state, health = life.state_of(inspected), inspected["State"].get("Health")
    return ServiceStatus(
        state=state,
        health=str(health.get("Status")) if health else None,
        pid=int(inspected["State"].get("Pid") or 0) or None,
        port=_port(target, place),
        restarts=int(inspected.get("RestartCount") or 0),
        memory_bytes=counters.read(target.daemon, inspected)[1] if state != life.DOWN else None,
        limits=_limits(inspected["HostConfig"]),
    )


def _port(target: DockerTarget, place: Found) -> int | None:
    """The one at which it serves, on this host."""
    wanted = target.selection.docker.ports.get(place.service)
    ports = [where for inner, (_, where) in sorted(place.ports.items()) if wanted in (None, inner)]
    return ports[0] if ports else None


def _limits(host: dict[str, Any]) -> dict[str, Json]:
    """Processors and bytes; nothing where there is no limit."""
    own = limits_of(host)
    found: dict[str, Json] = {}
    if own.nano_cpus or own.cpu_quota > 0:
        found["cpu"] = own.nano_cpus / NANO if own.nano_cpus else own.cpu_quota / (own.cpu_period or 100_000)
    if own.memory:
        found["memory"] = own.memory
    return found
