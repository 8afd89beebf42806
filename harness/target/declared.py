"""The points that are the pipeline's own, reached by the calls that target.yaml declares: aliases and settings. The same
for every driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.contract.undo import Json, Point, PointKind
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import TargetSpec
from harness.target import http
from harness.target.calls import call_http

CALL_S = 3.0
KINDS = frozenset({PointKind.ALIAS, PointKind.CONFIG})


class DeclaredPoints:
    """`names` gives what `${...}` may name."""

    def __init__(self, spec: TargetSpec, *, names: Callable[[], Mapping[str, Json]]) -> None:
        self._spec, self._names = spec, names

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there, `EnvironmentProblem` when it can't be read."""
        return self._alias(point.where) if point.kind is PointKind.ALIAS else self._config(point.where)

    def set(self, point: Point, value: Json) -> None:
        """Idempotent."""
        if point.kind is PointKind.ALIAS:
            self._set_alias(point.where, value)
        else:
            self._set_config(point.where, value)

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
        if service not in self._spec.services:
            raise UsageError(f"unknown service '{service}'. Known: {', '.join(self._spec.services)}")
        path = self._spec.services[service].config
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
