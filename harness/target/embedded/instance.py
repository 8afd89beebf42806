"""A live embedded instance: the Target protocol over supervisor, proxy and the pipeline's own calls.

Holds no state of its own but the lock: everything is asked of those who have it, so that two processes with the
same instance (a run and `drill heal`) never disagree. Every call has a time limit and raises `EnvironmentProblem`
when it can't be done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.history.events import Snapshot
from harness.plugin import ProbeReading, ProcessReading
from harness.proxy.client import ProxyClient
from harness.spec.target import Argument, ModelSpec, Operation, TargetSpec
from harness.target import builtins, calls, http, readings, snapshots
from harness.target.embedded import looks, operator, record, startup
from harness.target.embedded.control import Client
from harness.target.embedded.launch import Baseline, Exit, Exits, Renew, StatusAnswer
from harness.target.embedded.points import CALL_S, Points, version_in
from harness.target.interpolate import fill, fill_url

PROBE_S = 2.0
SERVED_S = 1.0


class EmbeddedTarget:
    """One instance, by name. `folder` is where target.yaml stands."""

    def __init__(self, spec: TargetSpec, *, instance: str, digest: str, folder: Path, seed: int) -> None:
        self._spec, self._instance = spec, instance
        self._digest, self.folder, self._seed = digest, folder, seed
        self.home = record.folder_of(instance)
        self._record = record.load(self.home)
        self.lock = record.Lock(self.home)
        self.control = Client(self.home)
        self._points: Points | None = None

    @property
    def spec(self) -> TargetSpec:
        return self._spec

    @property
    def instance(self) -> str:
        return self._instance

    # --- life ---------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its supervisor lives."""
        self._record = record.load(self.home)
        return self._record is not None and self._record.runs

    def acquire(self, run: str) -> None:
        """Takes the instance for one run. Raises `TargetBusyError` naming the run that has it."""
        self.lock.acquire(run)

    def release(self) -> None:
        """Lets the next run have it."""
        self.lock.release()

    def up(self) -> None:
        """Starts what isn't running; an instance of the same pipeline with another seed or description starts afresh."""
        with record.starting(self.home):
            fresh = not self._as_wanted()
            if fresh:
                self._take_down()
                self._record = startup.start(
                    self._spec, instance=self._instance, digest=self._digest, folder=self.folder, seed=self._seed
                )
                self._points = None
        try:
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
        if self._spec.links:
            self.proxy.wait_ready(within_s=startup.SUPERVISOR_S_MAX)
            self.proxy.reset()
        startup.wait_ready(self._spec, found)
        for index, call in enumerate(self._spec.reset):
            calls.call_http(call, self.names(), where=f"reset[{index}]")
        startup.wait_ready(self._spec, found)

    def down(self) -> None:
        """No process is left. Raises `TargetBusyError` while a run of another process uses it."""
        with record.starting(self.home):
            self._take_down()

    def _take_down(self) -> None:
        self.lock.require_free()
        found = record.load(self.home)
        if found is not None:
            startup.stop(found)

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

    @property
    def proxy(self) -> ProxyClient:
        return ProxyClient(f"{startup.HOST}:{self._present().ports['proxy']}", timeout_s=CALL_S)

    @property
    def points(self) -> Points:
        if self._points is None:
            self._points = Points(
                self._spec, instance=self._instance, control=self.control, proxy=self.proxy, names=self.names
            )
        return self._points

    def get(self, point: Point) -> Json:
        return self.points.get(point)

    def set(self, point: Point, value: Json) -> None:
        self.points.set(point, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands; an instance that is no longer there needs no healing."""
        if not self.running:
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
        self._require_service(service)
        return looks.look(self.status().services[service], ready_url=self.ready_url(service))

    def probe(self, link: str) -> ProbeReading:
        if link not in self._spec.links:
            raise UsageError(f"unknown link '{link}'. Known: {', '.join(self._spec.links) or 'none'}")
        url = f"{self.names()[f'link.{link}.url']}/{self._spec.links[link].probe.lstrip('/')}"
        began = time.perf_counter()
        try:
            answer = http.request("GET", url, timeout_s=PROBE_S)
        except (OSError, http.HTTP_PROBLEM) as error:
            return ProbeReading(answered=False, seconds=time.perf_counter() - began, error=http.reason(error))
        return ProbeReading(answered=True, seconds=time.perf_counter() - began, status=answer.status)

    def models_of(self, service: str) -> tuple[str, ...]:
        """The models of which this service is a replica."""
        role = self._spec.services[service].role
        return tuple(name for name, model in self._spec.models.items() if model.served.role == role)

    def served_version(self, service: str, model: str) -> str | None:
        self._require_service(service)
        served = self._require_model(model).served
        names = dict(self.names()) | {"replica.url": self.names()[f"service.{service}.url"]}
        try:
            answer = calls.call_http(served.call, names, where=f"models.{model}.served", timeout_s=SERVED_S)
        except EnvironmentProblem:
            return None
        return str(version_in(answer, served.version_field, where=f"models.{model}.served"))

    def alias(self, model: str) -> str:
        """The version that the model's alias names."""
        return str(self.points.get(Point(kind=PointKind.ALIAS, where=f"{model}/{self._require_model(model).alias}")))

    def make_variant(self, model: str, variant: str) -> str:
        variants = self._require_model(model).variants
        if variant not in variants:
            raise UsageError(f"unknown variant '{variant}' of model '{model}'. Known: {', '.join(variants) or 'none'}")
        made = calls.call_http(variants[variant].make, self.names(), where=f"models.{model}.variants.{variant}")
        return str(version_in(made, variants[variant].version_field, where=f"models.{model}.variants.{variant}"))

    def read(self, reading: str, *, after: int, limit: int = 5000) -> tuple[list[dict[str, Any]], int]:
        return readings.read(self._spec.readings, reading, self.names(), after=after, limit=limit)

    def damage_mask(self, link: str, tap: str, *, after: int) -> tuple[list[tuple[str, list[str]]], int]:
        page = self.proxy.tap_mask(link, tap, after=after)
        return [(str(hit.id), list(hit.columns)) for hit in page.records if hit.id is not None], page.next

    def config(self, service: str) -> dict[str, Json]:
        """A service's settings."""
        return calls.as_object(http.ask("GET", self.points.config_url(service), timeout_s=snapshots.ASK_S))

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

    # --- operations ---------------------------------------------------------------------------------------------------

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        operation = self._declared(self._spec.actions, action, "action")
        filled = self._checked(
            operation, arguments, builtins.ACTIONS.get(action), what=action, valued=action in builtins.VALUED
        )
        if operation.builtin:
            return operator.act(self, action, filled)
        return self._call(operation, filled, where=f"actions.{action}")

    def observe(self, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
        operation = self._declared(self._spec.observations, observation, "observation")
        filled = self._checked(
            operation, arguments, builtins.OBSERVATIONS.get(observation), what=observation, valued=False
        )
        if operation.builtin:
            return operator.observe(self, observation, filled)
        return self._call(operation, filled, where=f"observations.{observation}")

    def _declared(self, declared: Mapping[Any, Operation], name: str, kind: str) -> Operation:
        if name not in declared:
            raise UsageError(
                f"target '{self._spec.target}' has no {kind} '{name}'. Known: {', '.join(declared) or 'none'}"
            )
        return declared[name]

    def _checked(
        self,
        operation: Operation,
        arguments: Mapping[str, Json],
        own: Mapping[str, Argument] | None,
        *,
        what: str,
        valued: bool,
    ) -> dict[str, Json]:
        """With `builtin`, the arguments are the driver's; a `value` of any type goes where the action takes one."""
        declared = (own or {}) if operation.builtin else operation.arguments
        given = dict(arguments)
        free = {}
        if operation.builtin and valued:
            if "value" not in given:
                raise UsageError(f"{what}: argument 'value' is required")
            free["value"] = given.pop("value")
        checked = calls.checked(given, declared, what=what, services=self._spec.services, links=self._spec.links)
        return checked | free

    def _call(self, operation: Operation, arguments: Mapping[str, Json], *, where: str) -> dict[str, Json]:
        names = dict(self.names()) | {f"arg.{name}": value for name, value in arguments.items()}
        if operation.http is not None:
            return calls.call_http(operation.http, names, where=where, timeout_s=operation.timeout)
        assert operation.exec is not None
        return calls.call_exec(operation.exec, names, folder=self.folder, where=where, timeout_s=operation.timeout)

    # --- names --------------------------------------------------------------------------------------------------------

    def names(self) -> dict[str, Json]:
        """What `${...}` may name."""
        return startup.names_of(self._present())

    def endpoint(self, text: str) -> str:
        return fill_url(text, self.names()) if "://" in text else fill(text, self.names())

    def redacted(self) -> dict[str, Json]:
        return calls.redacted(self._spec)

    def _require_service(self, service: str) -> None:
        if service not in self._spec.services:
            raise UsageError(f"unknown service '{service}'. Known: {', '.join(self._spec.services)}")

    def _require_model(self, model: str) -> ModelSpec:
        if model not in self._spec.models:
            raise UsageError(f"unknown model '{model}'. Known: {', '.join(self._spec.models) or 'none'}")
        return self._spec.models[model]
