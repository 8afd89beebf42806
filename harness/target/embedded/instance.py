"""A live embedded instance: the Target protocol over supervisor, proxy and the pipeline's own calls.

Holds no state of its own but the lock: everything is asked of those who have it, so that two processes with the
same instance (a run and `drill heal`) never disagree. Every call has a time limit and raises `EnvironmentProblem`
when it can't be done.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from harness.contract.probe import PLAIN, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, Undo, UndoOutcome
from harness.errors import EnvironmentProblem
from harness.history.events import Snapshot
from harness.plugin import ProcessReading
from harness.proxy.client import ProxyClient
from harness.spec.target import TargetSpec
from harness.target import borrowed, calls, snapshots
from harness.target.declared import CALL_S
from harness.target.described import DescribedTarget
from harness.target.embedded import looks, operator, record, startup
from harness.target.embedded.control import Client
from harness.target.embedded.launch import Baseline, Exit, Exits, Renew, StatusAnswer
from harness.target.embedded.points import Points
from harness.target.held import starting


class EmbeddedTarget(DescribedTarget):
    """One instance, by name. `folder` is where target.yaml stands."""

    def __init__(self, spec: TargetSpec, *, instance: str, digest: str, folder: Path, seed: int) -> None:
        super().__init__(
            spec,
            instance=instance,
            folder=folder,
            home=record.folder_of(instance),
            act=partial(operator.act, self),
            observe=partial(operator.observe, self),
        )
        self._digest, self._seed = digest, seed
        self._record = record.load(self.home)
        self.control = Client(self.home)
        self._points: Points | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its supervisor lives."""
        self._record = record.load(self.home)
        return self._record is not None and self._record.runs

    def up(self) -> None:
        """Starts what isn't running; an instance of the same pipeline with another seed or description starts afresh."""
        with starting(self.home, self.instance):
            fresh = not self._as_wanted()
            if fresh:
                self._take_down()
                self._record = startup.start(
                    self._spec, instance=self._instance, digest=self._digest, folder=self.folder, seed=self._seed
                )
                self._points = None
        try:
            if self._borrows:
                startup.stand_links(self.proxy, self._spec, self._present())
            startup.wait_ready(self._spec, self._present())
        except EnvironmentProblem:
            if fresh:
                self.down()
            raise

    def _as_wanted(self) -> bool:
        if not self.running or self._record is None:
            return False
        if self._record.spec.get("target") != self._spec.target:
            raise EnvironmentProblem(
                f"instance '{self._instance}' runs another target, '{self._record.spec.get('target')}'",
                hint=f"drill down --instance {self._instance}, or use another with --instance NAME",
            )
        same = (self._digest, self._seed, str(self.folder)) == (
            self._record.digest,
            self._record.seed,
            self._record.folder,
        )
        return same and self._answers()

    @property
    def _borrows(self) -> bool:
        return bool(self._spec.links) and self._spec.proxy is not None

    def _answers(self) -> bool:
        try:
            self.status()
        except EnvironmentProblem:
            return False
        return True

    def reset(self) -> None:
        """Back to the baseline: nothing injected, every service running, then the pipeline's own reset calls."""
        self.lock.require_free()
        found = self._present()
        if not self._spec.reset:
            self.down()
            self.up()
            return
        self.control.ask(Baseline(), within_s=CALL_S)
        startup.wait_left(found)
        if self._borrows:
            startup.stand_links(self.proxy, self._spec, found)
        elif self._spec.links:
            self.proxy.wait_ready(within_s=startup.SUPERVISOR_S_MAX)
            self.proxy.reset()
        startup.wait_ready(self._spec, found)
        for index, call in enumerate(self._spec.reset):
            calls.call_http(call, self.names(), where=f"reset[{index}]")
        startup.wait_ready(self._spec, found)

    def down(self) -> None:
        """No process is left. Raises `TargetBusyError` while a run of another process uses it."""
        with starting(self.home, self.instance):
            self._take_down()

    def _take_down(self) -> None:
        self.lock.require_free()
        found = record.load(self.home)
        if found is not None:
            startup.stop(found)
            self._leave_proxy()

    def _leave_proxy(self) -> None:
        """A proxy that isn't ours is left without our links; one that is gone has none."""
        if self._borrows and borrowed.answers(self.proxy):
            borrowed.remove(self.proxy, startup.proxy_names(self._spec, self._instance).values())

    def wait_left(self) -> None:
        """Returns when no process is on its way out any more."""
        startup.wait_left(self._present())

    def status(self) -> StatusAnswer:
        """What the supervisor says. Raises `EnvironmentProblem`."""
        return startup.status(self._present())

    def _present(self) -> record.Record:
        if self._record is None:
            self._record = record.load(self.home)
        if self._record is None:
            raise EnvironmentProblem(f"instance '{self._instance}' is not up", hint="drill up")
        return self._record

    # --- points -------------------------------------------------------------------------------------------------------

    def proxy_client(self) -> ProxyClient:
        return self.proxy

    def proxy_name(self, link: str) -> str:
        return startup.proxy_names(self._spec, self._instance)[link]

    @property
    def proxy(self) -> ProxyClient:
        return ProxyClient(startup.proxy_address(self._spec, self._present()), timeout_s=CALL_S)

    @property
    def points(self) -> Points:
        if self._points is None:
            self._points = Points(
                self._spec, instance=self._instance, control=self.control, proxy=self.proxy, own=self.declared
            )
        return self._points

    def get(self, point: Point) -> Json:
        return self.points.get(point)

    def set(self, point: Point, value: Json) -> None:
        self.points.set(point, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands; an instance that is no longer there needs no healing."""
        if not self.running:
            self._leave_proxy()
            return UndoOutcome.GONE
        return self.points.undo(undo)

    def renew(self) -> None:
        self.control.ask(Renew())
        if self._spec.links:
            self.points.renew()

    # --- readings -----------------------------------------------------------------------------------------------------

    def ready_url(self, service: str) -> str:
        path = self._spec.services[service].ready.http
        return f"{self.names()[f'service.{service}.url']}/{path.lstrip('/')}"

    def process(self, service: str) -> ProcessReading:
        self.operations.require_service(service)
        return looks.look(self.status().services[service], ready_url=self.ready_url(service))

    def probe(self, link: str, *, ask: ProbeAsk = PLAIN) -> ProbeReading:
        return self.probe_from_here(link, ask=ask)

    def snapshot(self) -> Snapshot:
        found = self.status().services
        identities = {
            name: f"{found[name].pid}:{found[name].start}" if found[name].pid else "" for name in self._spec.services
        }
        limits: dict[str, Json] = {f"{name}/limit-memory": found[name].memory for name in self._spec.services}
        limits |= {f"{name}/limit-cpu": found[name].cpu for name in self._spec.services}
        return snapshots.take(
            self._spec,
            self.names(),
            services=identities,
            limits=limits,
            config=self.config,
            alias=self.alias,
            served=self.served_version,
            page=lambda reading, after: self.read(reading, after=after),
        )

    def exits(self, *, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        answer = self.control.ask(Exits(after=after))
        ended = msgspec.convert(answer["exits"], list[Exit])
        return [(one.t_ns, one.service, one.reason, one.code, one.asked) for one in ended], answer["next"]

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]:
        return startup.tail(self._present(), service, lines)

    # --- names --------------------------------------------------------------------------------------------------------

    def names(self) -> dict[str, Json]:
        """What `${...}` may name."""
        return startup.names_of(self._present())
