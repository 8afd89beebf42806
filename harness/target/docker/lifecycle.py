"""The life of a Docker instance: begun, noted, healed, taken down.

Always true: the record is on disk before anything is started, so that `down` finds what a crash leaves; what was there before us
is let go as it was, and never taken down.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from harness.contract.undo import Json, Point, PointKind
from harness.errors import HarnessError
from harness.target import borrowed
from harness.target.docker import compose, life, limits, looks, record
from harness.target.docker.daemon import Missing
from harness.target.docker.record import limits_of
from harness.target.docker.selection import docker_of
from harness.target.docker.shaping import Shaping
from harness.target.interpolate import fill

if TYPE_CHECKING:
    from harness.target.docker.instance import DockerTarget

HOST = "127.0.0.1"
PROXY = "@proxy"
PROXY_S_MAX = 10.0


def complete(target: DockerTarget) -> bool:
    """Whether it came up whole: what it was like was noted, and every service has its container, which runs."""
    if target.record is None or not target.spec.services.keys() <= target.record.limits.keys():
        return False  # whoever began it died before the end
    try:
        listed = target.selection.all()
        return all(target.selection.find(name, among=listed).state == "running" for name in target.spec.services)
    except Missing:
        return False


def begin(target: DockerTarget) -> None:
    """Starts or finds the project; waits for nothing. Raises `EnvironmentProblem`, and leaves nothing behind then."""
    docker = docker_of(target.spec)
    target.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.record = record.Record(
        instance=target.instance,
        spec=target.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
        digest=target.digest,
        folder=str(target.folder),
        seed=target.seed,
        project=target.project,
        ours=docker.compose is not None,
        ports={name: free_port() for name in target.spec.ports},
    )
    if docker.compose is not None:
        compose.require_ours(target.daemon, project=target.project, instance=target.instance)
        record.save(target.record)  # before anything starts, so that `down` finds what a crash leaves
        target.deaths.begin()
        try:
            _compose_up(target, docker.compose, target.record)
        except BaseException:
            take_down(target, target.record)
            raise
    else:
        _require_all_there(target)
        record.save(target.record)
        target.deaths.begin()
    target.addresses.stale()


def _compose_up(target: DockerTarget, file: str, found: record.Record) -> None:
    docker = docker_of(target.spec)
    names: dict[str, Json] = {"instance": found.instance, "seed": found.seed}
    names |= {f"port.{name}": port for name, port in found.ports.items()}
    environment = {"MLDRILL_INSTANCE": found.instance, "MLDRILL_SEED": str(found.seed)}
    environment |= {key: fill(text, names, where=f"docker.env.{key}") for key, text in docker.env.items()}
    compose.up(
        (target.folder / file).resolve(),
        project=target.project,
        instance=target.instance,
        home=target.home,
        environment=environment,
        within_s=docker.within,
    )


def _require_all_there(target: DockerTarget) -> None:
    listed = target.selection.all()
    for name in target.spec.services:
        target.selection.find(name, among=listed)


def note_baseline(target: DockerTarget) -> None:
    """What each container is limited to and made of, before anything of ours."""
    assert target.record is not None
    found = {name: target.daemon.inspect(target.selection.find(name).id) for name in target.spec.services}
    target.record = msgspec.structs.replace(
        target.record,
        limits={name: limits_of(one["HostConfig"]) for name, one in found.items()},
        networks={name: target.points.networks.all_of(one["Id"]) for name, one in found.items()},
    )
    record.save(target.record)


def heal_all(target: DockerTarget) -> None:
    """Every point that is a container's, as it was when the instance came up; and a proxy with nothing in it."""
    found = target.present()
    target.points.networks.remove_detours()
    for name in target.spec.services:
        if not target.selection.allowed(target.selection.find(name)):
            continue
        target.points.remake.put_back(name)
        container = target.selection.touch(name).id
        for network, how in found.networks.get(name, {}).items():
            target.points.networks.join(f"{name}/{network}", how)
        now, before = limits_of(target.daemon.inspect(container)["HostConfig"]), found.limits[name]
        if limits.cpu_of(now, before) is not None:
            target.set(Point(PointKind.CPU, name), None)
        if limits.memory_of(now) != limits.memory_of(before):
            target.set(Point(PointKind.MEMORY, name), limits.memory_of(before))
        target.set(Point(PointKind.PROCESS, name), life.RUNNING)
        target.set(Point(PointKind.STRESS, name), None)
    if isinstance(target.points.links, Shaping):
        target.points.links.clear()
    elif target.spec.links and target.addresses.has_proxy():
        proxy = target.addresses.proxy()
        proxy.wait_ready(within_s=PROXY_S_MAX)
        if borrowed.of(target.spec) is not None:
            borrowed.clear(proxy, borrowed.names_of(target.spec).values())
        else:
            proxy.reset()


def take_down(target: DockerTarget, found: record.Record | None) -> None:
    """Raises `TargetBusyError` while a run of another process uses it."""
    target.lock.require_free()
    if found is None:
        return
    if found.ours:
        target.points.networks.remove_detours()
        compose.down(target.daemon, project=found.project, instance=found.instance)
    elif found.limits:
        with contextlib.suppress(Missing):
            heal_all(target)
    record.forget(target.instance)
    target.record = None
    target.addresses.stale()


def wait_for_proxy(target: DockerTarget) -> None:
    """Returns when it answers. Raises `StartProblem` with its last log lines."""
    if not (target.spec.links and target.addresses.has_proxy()):
        return
    try:
        proxy = target.addresses.proxy()
        proxy.wait_ready(within_s=PROXY_S_MAX)
        borrowed.require_kind(proxy, target.spec.proxy)
    except HarnessError as error:
        raise compose.StartProblem(
            f"the fault proxy is not ready: {error.message}", log=target.log_tail(PROXY), hint=error.hint
        ) from None


def why_not_ready(target: DockerTarget, service: str) -> tuple[str, dict[str, Any]]:
    """Empty when it is ready; and its inspection."""
    inspected = target.daemon.inspect(target.selection.find(service).id)
    if life.state_of(inspected) != life.RUNNING:
        return f"its container is {inspected['State'].get('Status')}", inspected
    url = target.ready_url(service)
    if looks.is_ready(inspected, url):
        return "", inspected
    health = (inspected["State"].get("Health") or {}).get("Status", "none")
    return (f"{url} doesn't answer 2xx" if url else f"its health check says {health}"), inspected


def free_port() -> int:
    """A port of this host that is free now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])
