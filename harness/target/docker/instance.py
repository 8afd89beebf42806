"""A live Docker instance: the Target protocol over the daemon, the fault proxy and the pipeline's own calls.

Holds no state of its own but the lock: everything is asked of those who have it. Containers have no supervisor of ours, so what
is injected stays until the run, the reaper or `drill heal` takes it back; only what the proxy holds is under lease.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from harness.contract.probe import PLAIN, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, Undo, UndoOutcome
from harness.contract.words import Action
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.history.events import Snapshot
from harness.plugin import ProcessReading, UsageReading
from harness.proxy.client import ProxyClient
from harness.spec.target import TargetSpec
from harness.target import borrowed, calls, links, probing, snapshots
from harness.target.described import PROBE_S, DescribedTarget
from harness.target.docker import compose, counters, inside, life, lifecycle, limits, looks, neighbour, operator, record
from harness.target.docker.addresses import Addresses
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.deaths import Deaths
from harness.target.docker.points import Points
from harness.target.docker.record import Limits, limits_of
from harness.target.docker.selection import Selection, docker_of
from harness.target.docker.shaping import Shaping
from harness.target.held import starting

LEASE_S = 5.0
OUTSIDE = "outside"


class DockerTarget(DescribedTarget):
    """One instance, by name. `folder` is where target.yaml stands."""

    def __init__(
        self, spec: TargetSpec, *, instance: str, digest: str, folder: Path, seed: int, daemon: Daemon
    ) -> None:
        super().__init__(
            spec,
            instance=instance,
            folder=folder,
            home=record.folder_of(instance),
            act=partial(operator.act, self),
            observe=partial(operator.observe, self),
        )
        self.digest, self.seed, self.daemon = digest, seed, daemon
        self.project = docker_of(spec).project or compose.project_of(instance)
        self.selection = Selection(spec, daemon, instance=instance, project=self.project)
        self.addresses = Addresses(spec, daemon, self.selection)
        self.deaths = Deaths(self.home, daemon, project=self.project, service_of=self._service_of)
        self.points = Points(
            spec,
            daemon=daemon,
            selection=self.selection,
            deaths=self.deaths,
            instance=instance,
            baseline=self.baseline,
            proxied=self.addresses.proxied,
            link_points=self._link_points(),
            own=self.declared,
        )
        self.record = record.load(instance)
        self._throttling = looks.Throttling()
        self._tools: dict[str, str] = {}

    def _link_points(self) -> links.LinkPoints | Shaping:
        if docker_of(self._spec).links == "tc":
            return Shaping(self._spec, daemon=self.daemon, selection=self.selection, instance=self._instance)
        lease = f"mldrill-{self._instance}"
        names = borrowed.names_of(self._spec)
        return links.LinkPoints(self._spec, proxy=self.addresses.proxy, lease=lease, lease_s=LEASE_S, names=names)

    # --- life ---------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it came up and any of its containers is still there. Raises where the daemon can't be asked."""
        self.record = record.load(self._instance)
        return self.record is not None and bool(self.selection.all())

    def up(self) -> None:
        """Brings the Compose file up, or attaches to the project; returns when all is ready."""
        with starting(self.home, self.instance):
            fresh = not self._as_wanted()
            if fresh:
                lifecycle.begin(self)
        try:
            self.wait_ready()
            if fresh:
                lifecycle.note_baseline(self)
        except BaseException:
            if fresh:
                self.down()
            raise

    def _as_wanted(self) -> bool:
        self.record = found = record.load(self._instance)
        if found is None:
            return False
        if found.spec.get("target") != self._spec.target:
            raise EnvironmentProblem(
                f"instance '{self._instance}' runs another target, '{found.spec.get('target')}'",
                hint=f"drill down --driver docker --instance {self._instance}, or use another with --instance NAME",
            )
        same = (self.digest, self.seed, str(self.folder)) == (found.digest, found.seed, found.folder)
        if same and lifecycle.complete(self):
            return True
        lifecycle.take_down(self, found)
        return False

    def baseline(self, service: str) -> Limits:
        """The limits that its container came with."""
        found = self.present().limits
        if service not in found:
            raise UsageError(f"unknown service '{service}'. Known: {', '.join(self._spec.services)}")
        return found[service]

    def reset(self) -> None:
        """Back to the baseline: nothing injected, every service running, then the pipeline's own reset calls."""
        self.lock.require_free()
        found = self.present()
        if not self._spec.reset and found.ours:
            self.down()
            self.up()
            return
        lifecycle.heal_all(self)
        self.wait_ready()
        if not self._spec.reset:
            for name in self._spec.services:
                operator.act(self, Action.RESTART, {"service": name})
        for index, call in enumerate(self._spec.reset):
            calls.call_http(call, self.names(), where=f"reset[{index}]")
        self.wait_ready()

    def down(self) -> None:
        """What we brought up is gone; what we attached to is let go as it was. Raises `TargetBusyError` while it is in use."""
        with starting(self.home, self.instance):
            lifecycle.take_down(self, record.load(self._instance))

    def wait_ready(self) -> None:
        """Returns when every service is. Raises `StartProblem` with the last log lines of one that isn't."""
        self.addresses.stale()
        pending = {name: service.ready.within for name, service in self._spec.services.items()}
        compose.wait_ready(pending, look=partial(lifecycle.why_not_ready, self), log=self.log_tail)
        lifecycle.wait_for_proxy(self)

    def present(self) -> record.Record:
        """What is remembered of it. Raises `EnvironmentProblem` where it isn't up."""
        if self.record is None:
            self.record = record.load(self._instance)
        if self.record is None:
            raise EnvironmentProblem(f"instance '{self._instance}' is not up", hint="drill up")
        return self.record

    # --- points -------------------------------------------------------------------------------------------------------

    def get(self, point: Point) -> Json:
        return self.points.get(point)

    def set(self, point: Point, value: Json) -> None:
        try:
            self.points.set(point, value)
        finally:
            self.addresses.stale()

    def require(self, point: Point, value: Json) -> None:
        self.points.require(point, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands; an instance that is no longer there needs no healing."""
        if not self.running:
            return UndoOutcome.GONE
        try:
            return self.points.undo(undo)
        finally:
            self.addresses.stale()

    def renew(self) -> None:
        if isinstance(self.points.links, links.LinkPoints) and self._spec.links and self.addresses.has_proxy():
            self.points.links.renew()

    # --- readings -----------------------------------------------------------------------------------------------------

    def ready_url(self, service: str) -> str | None:
        """Where it says that it is ready; None where it has no address, and its health check must do."""
        if not self.addresses.known(service):
            return None
        path = self._spec.services[service].ready.http
        return f"{self.names()[f'service.{service}.url']}/{path.lstrip('/')}"

    def process(self, service: str) -> ProcessReading:
        self.operations.require_service(service)
        try:
            inspected = self.daemon.inspect(self.selection.find(service, among=self.addresses.listed()).id)
        except Missing:
            return ProcessReading(state="gone", ready=False)
        self.deaths.seen(inspected)
        return looks.look(
            self.daemon,
            inspected,
            throttling=self._throttling,
            memory_kills=self.deaths.memory_kills(service),
            ready_url=self.ready_url(service),
        )

    def probe(self, link: str, *, ask: ProbeAsk = PLAIN) -> ProbeReading:
        """From inside the service that calls, where that can run anything; else from this host."""
        self.require_link(link)
        caller = self._spec.links[link].from_
        told = self._probe_inside(link, caller, ask) if caller != OUTSIDE else None
        return told if told is not None else self.probe_from_here(link, ask=ask)

    def _probe_inside(self, link: str, caller: str, ask: ProbeAsk) -> ProbeReading | None:
        try:
            container = self.selection.find(caller, among=self.addresses.listed())
            if container.state != "running" or not self.selection.allowed(container):
                return None
            url = self._called_url(link, container.id)
        except HarnessError:
            return None
        if url is None:
            return None
        request = probing.request_of(self._spec.links[link], ask)
        return neighbour.ask(self.daemon, container.id, url, request, within_s=PROBE_S, tools=self._tools)

    def _called_url(self, link: str, container: str) -> str | None:
        """What the caller's own environment says, else the proxy's listener, else nothing."""
        found = self._spec.links[link]
        if found.variable is not None:
            for entry in self.daemon.inspect(container)["Config"].get("Env") or ():
                name, _, value = entry.partition("=")
                if name == found.variable and value.startswith(("http://", "redis://")):
                    return str(value).rstrip("/")
        port = self.addresses.listens().get(link)
        return None if port is None else f"http://{docker_of(self._spec).proxy}:{port}"

    def free_bytes(self, service: str, path: str) -> int:
        return inside.free_bytes(self.daemon, self.selection.find(service).id, path)

    def environment(self, service: str, variable: str) -> str | None:
        return inside.environment(self.daemon, self.selection.find(service).id, variable)

    def networks(self, service: str) -> tuple[str, ...]:
        return self.points.networks.names_of(service)

    def image_id(self, image: str) -> str:
        with asking(f"find image {image}"):
            return str(self.daemon.api.inspect_image(image)["Id"])

    def carries(self, service: str, command: str) -> bool:
        return inside.carries(self.daemon, self.selection.find(service).id, command)

    def usage(self, service: str) -> UsageReading:
        return counters.usage(self.daemon, self.daemon.inspect(self.selection.find(service).id))

    def written_bytes(self, service: str) -> int:
        return inside.written_bytes(self.daemon, self.selection.find(service).id)

    def snapshot(self) -> Snapshot:
        listed = self.selection.all()
        asks: dict[str, snapshots.Ask] = {}
        for name in self._spec.services:
            with contextlib.suppress(Missing):
                asks[name] = partial(self.daemon.inspect, self.selection.find(name, among=listed).id)
        found = snapshots.together(asks, within_s=snapshots.SNAPSHOT_S_MAX)
        own: dict[str, Json] = {}
        for name, one in found.items():
            now = limits_of(one["HostConfig"])
            own[f"{name}/limit-memory"] = limits.memory_of(now)
            own[f"{name}/limit-cpu"] = limits.cpu_of(now, self.baseline(name))
            own[f"{name}/image"] = one["Config"]["Image"]
        return snapshots.take(
            self._spec,
            self.names(),
            services={name: life.identity_of(found[name]) if name in found else "" for name in self._spec.services},
            limits=own,
            config=self.config,
            alias=self.alias,
            served=self.served_version,
            page=lambda reading, after: self.read(reading, after=after),
        )

    def exits(self, *, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        return self.deaths.since(after)

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]:
        if service == lifecycle.PROXY:
            return self.daemon.log_tail(self.addresses.proxy_container().id, lines)
        return self.daemon.log_tail(self.selection.find(service).id, lines)

    def _service_of(self, compose_service: str, number: str) -> str | None:
        docker = docker_of(self._spec)
        for name in self._spec.services:
            wanted, _, wanted_number = docker.containers.get(name, name).partition("/")
            if wanted == compose_service and wanted_number in ("", number):
                return name
        return lifecycle.PROXY if compose_service == docker.proxy else None

    # --- operations ---------------------------------------------------------------------------------------------------

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        try:
            return super().act(action, arguments)
        finally:
            self.addresses.stale()

    # --- names --------------------------------------------------------------------------------------------------------

    def names(self) -> Mapping[str, Json]:
        """What `${...}` may name."""
        return self.addresses.names(self.present(), folder=str(self.folder), state_dir=str(self.home))

    def proxy_client(self) -> ProxyClient:
        return self.addresses.proxy()
