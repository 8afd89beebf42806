"""The settable points of an embedded instance: how each kind is read, set and taken back.

Process, CPU and memory are the supervisor's; toxics, links and taps the fault proxy's; aliases and configuration
the pipeline's own, by its declared calls. What supervisor and proxy hold is under lease. Always true: taking back
compares first, in one step where the holder can (the supervisor), and touches nothing that isn't the injected value
any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.proxy.client import ProxyClient, ProxyInfo, ToxicInfo
from harness.spec.target import TargetSpec
from harness.target import http
from harness.target.calls import call_http
from harness.target.embedded.control import Client
from harness.target.embedded.launch import LEASE_S, Get, Inject, Restore

RETRY_S = 0.1
CALL_S = 3.0
SUPERVISED = (PointKind.PROCESS, PointKind.CPU, PointKind.MEMORY)


class Points:
    """All points of one instance. `names` gives what `${...}` may name."""

    def __init__(
        self,
        spec: TargetSpec,
        *,
        instance: str,
        control: Client,
        proxy: ProxyClient,
        names: Callable[[], Mapping[str, Json]],
    ) -> None:
        self._spec, self._control, self._proxy, self._names = spec, control, proxy, names
        self._lease = f"mldrill-{instance}"

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there, `EnvironmentProblem` when it can't be read."""
        match point.kind:
            case PointKind.PROCESS | PointKind.CPU | PointKind.MEMORY:
                return self._control.ask(Get(kind=point.kind, service=self._service(point.where)))
            case PointKind.TOXIC:
                return self._toxic(*self._on_link(point))
            case PointKind.LINK_UP:
                return self._link(self._link_name(point.where)).enabled
            case PointKind.TAP:
                return self._tap(*self._on_link(point))
            case PointKind.ALIAS:
                return self._alias(point.where)
            case PointKind.CONFIG:
                return self._config(point.where)
        raise UsageError(f"the embedded driver has no point of kind '{point.kind}'")

    def set(self, point: Point, value: Json) -> None:
        """Idempotent."""
        match point.kind:
            case PointKind.PROCESS | PointKind.CPU | PointKind.MEMORY:
                self._control.ask(Inject(kind=point.kind, service=self._service(point.where), value=value))
            case PointKind.TOXIC:
                self._set_toxic(*self._on_link(point), value)
            case PointKind.LINK_UP:
                self._set_link(self._link_name(point.where), bool(value))
            case PointKind.TAP:
                self._set_tap(*self._on_link(point), value)
            case PointKind.ALIAS:
                self._set_alias(point.where, value)
            case PointKind.CONFIG:
                self._set_config(point.where, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands. A place that can't be read is tried again until the deadline."""
        if undo.point.kind in SUPERVISED:
            answer = self._control.ask(
                Restore(
                    kind=undo.point.kind,
                    service=self._service(undo.point.where),
                    injected=undo.injected,
                    restore=undo.restore,
                )
            )
            return UndoOutcome(answer)
        deadline = time.monotonic() + undo.deadline_s
        while True:
            try:
                return self._compare_and_restore(undo)
            except UsageError:
                raise
            except HarnessError:  # its holder may be restarting: a killed service comes back with its configuration
                if time.monotonic() + RETRY_S > deadline:
                    raise
                time.sleep(RETRY_S)

    def _compare_and_restore(self, undo: Undo) -> UndoOutcome:
        kind = undo.point.kind
        now = _normal(kind, self.get(undo.point))
        if now == _normal(kind, undo.restore):
            return UndoOutcome.ALREADY
        if now != _normal(kind, undo.injected):
            return UndoOutcome.REPAIRED
        self.set(undo.point, undo.restore)
        return UndoOutcome.RESTORED

    def renew(self) -> None:
        """Renews the proxy's lease."""
        self._proxy.renew_lease(self._lease, ttl_ms=int(LEASE_S * 1000))

    # --- places -------------------------------------------------------------------------------------------------------

    def _service(self, where: str) -> str:
        if where not in self._spec.services:
            raise UsageError(f"unknown service '{where}'. Known: {', '.join(self._spec.services)}")
        return where

    def _link_name(self, where: str) -> str:
        if where not in self._spec.links:
            raise UsageError(f"unknown link '{where}'. Known: {', '.join(self._spec.links) or 'none'}")
        return where

    def _on_link(self, point: Point) -> tuple[str, str]:
        link, slash, name = point.where.partition("/")
        if not (slash and name):
            raise UsageError(f"'{point.where}' is no place of a {point.kind}: write link/name")
        return self._link_name(link), name

    # --- links --------------------------------------------------------------------------------------------------------

    def _link(self, link: str) -> ProxyInfo:
        return self._proxy.proxy(link)

    def _toxic(self, link: str, name: str) -> Json:
        for toxic in self._link(link).toxics:
            if toxic.name == name:
                return _shown(toxic)
        return None

    def _set_toxic(self, link: str, name: str, value: Json) -> None:
        if self._toxic(link, name) is not None:
            if value is not None and _normal(PointKind.TOXIC, self._toxic(link, name)) == _normal(
                PointKind.TOXIC, value
            ):
                return
            self._proxy.remove_toxic(link, name)
        if value is not None:
            self.renew()
            self._proxy.add_toxic(
                link,
                name=name,
                type=value["type"],
                stream=value.get("stream", "downstream"),
                toxicity=value.get("toxicity", 1.0),
                attributes=value.get("attributes") or {},
                lease=self._lease,
            )

    def _set_link(self, link: str, up: bool) -> None:
        if self._link(link).enabled == up:
            return
        if not up:
            self.renew()
        self._proxy.set_enabled(link, up, lease="" if up else self._lease)

    def _tap(self, link: str, name: str) -> Json:
        url = f"http://{self._proxy.address}/proxies/{link}/taps"
        taps = http.ask("GET", url, timeout_s=CALL_S)
        for tap in taps:
            if tap["name"] == name:
                return {key: item for key, item in tap.items() if key not in ("name", "counters", "lease")}
        return None

    def _set_tap(self, link: str, name: str, value: Json) -> None:
        present = self._tap(link, name)
        if present is not None:
            if value is not None and _normal(PointKind.TAP, present) == _normal(PointKind.TAP, value):
                return
            self._proxy.remove_tap(link, name)
        if value is not None:
            self.renew()
            tap = _normal(PointKind.TAP, value)
            self._proxy.add_tap(
                link,
                name=name,
                corrupt=tap["corrupt"],
                stream=tap["stream"],
                method=tap["match"]["method"],
                path=tap["match"]["path"],
                record=tap["record"],
                id=tap["id"],
                lease=self._lease,
            )

    # --- the pipeline's own -------------------------------------------------------------------------------------------

    def _alias(self, where: str) -> Json:
        model, _ = self._model_alias(where)
        field = self._spec.models[model].access.version_field
        return str(version_in(self.alias_answer(model), field, where=f"models.{model}"))

    def alias_answer(self, model: str) -> dict[str, Json]:
        """What the model's declared call tells of its alias."""
        found = self._spec.models[model]
        names = dict(self._names()) | {"arg.alias": found.alias}
        return call_http(found.access.get, names, where=f"models.{model}")

    def _set_alias(self, where: str, value: Json) -> None:
        model, alias = self._model_alias(where)
        names = dict(self._names()) | {"arg.alias": alias, "arg.version": str(value)}
        call_http(self._spec.models[model].access.set, names, where=f"models.{model}")

    def _model_alias(self, where: str) -> tuple[str, str]:
        model, _, alias = where.partition("/")
        if model not in self._spec.models:
            raise UsageError(f"unknown model '{model}'. Known: {', '.join(self._spec.models) or 'none'}")
        declared = self._spec.models[model].alias
        if alias not in ("", declared):
            raise UsageError(f"unknown alias '{alias}' of model '{model}'. Known: {declared}")
        return model, declared

    def config_url(self, service: str) -> str:
        """Where a service's settings are read and changed. Raises `UsageError` when it has none."""
        path = self._spec.services[self._service(service)].config
        if path is None:
            raise UsageError(f"service '{service}' declares no settings (`config: null`)")
        return f"{self._names()[f'service.{service}.url']}{path}"

    def _config(self, where: str) -> Json:
        service, _, key = where.partition("/")
        settings = http.ask("GET", self.config_url(service), timeout_s=CALL_S)
        if not isinstance(settings, dict) or key not in settings:
            known = ", ".join(sorted(settings)) if isinstance(settings, dict) else "none"
            raise UsageError(f"service '{service}' has no setting '{key}'. Known: {known}")
        return settings[key]

    def _set_config(self, where: str, value: Json) -> None:
        service, _, key = where.partition("/")
        http.ask("PATCH", self.config_url(service), body={key: value}, timeout_s=CALL_S, ok=(200, 204))


def version_in(answer: Json, field: str, *, where: str) -> Json:
    """The version in an answer. Raises `EnvironmentProblem` when there is none."""
    try:
        return http.dig(answer, field)
    except KeyError:
        raise EnvironmentProblem(f"{where}: no field '{field}' in {str(answer)[: http.SHOWN_MAX]}") from None


def _shown(toxic: ToxicInfo) -> dict[str, Json]:
    return {
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": float(toxic.toxicity),
        "attributes": dict(toxic.attributes),
    }


def _normal(kind: PointKind, value: Json) -> Any:
    """A value in the one form in which two are compared: defaults filled in, versions as text, 1 the same as 1.0."""
    if value is None:
        return None
    match kind:
        case PointKind.TOXIC:
            return {
                "type": value.get("type"),
                "stream": value.get("stream", "downstream"),
                "toxicity": float(value.get("toxicity", 1.0)),
                "attributes": {key: item for key, item in (value.get("attributes") or {}).items() if item != 0},
            }
        case PointKind.TAP:
            match = value.get("match") or {}
            return {
                "stream": value.get("stream", "downstream"),
                "match": {
                    "method": match.get("method", value.get("method", "")),
                    "path": match.get("path", value.get("path", "")),
                },
                "record": value.get("record", "$"),
                "id": value.get("id", "id"),
                "corrupt": value.get("corrupt"),
            }
        case PointKind.ALIAS:
            return str(value)
    return value
