"""What a target does by its description alone: actions, observations, models. The same for every driver.

A driver gives its names and what it does for `builtin: true`; arguments are checked here before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.contract.undo import Json
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import Argument, ModelSpec, Operation, TargetSpec
from harness.target import builtins, calls
from harness.target.declared import version_in

SERVED_S = 1.0


class Operations:
    """`names` gives what `${...}` may name; `act` and `observe` carry built-in operations out, arguments checked."""

    def __init__(
        self,
        spec: TargetSpec,
        *,
        folder: Path,
        names: Callable[[], Mapping[str, Json]],
        act: Callable[[Action, Mapping[str, Json]], dict[str, Json]],
        observe: Callable[[Observation, Mapping[str, Json]], dict[str, Json]],
    ) -> None:
        self._spec, self._folder, self._names = spec, folder, names
        self._act, self._observe = act, observe

    def models_of(self, service: str) -> tuple[str, ...]:
        """The models of which this service is a replica."""
        role = self._spec.services[service].role
        return tuple(name for name, model in self._spec.models.items() if model.served.role == role)

    def served_version(self, service: str, model: str) -> str | None:
        """The version that this replica really answers with; None where it doesn't answer."""
        self.require_service(service)
        served = self.require_model(model).served
        names = dict(self._names()) | {"replica.url": self._names()[f"service.{service}.url"]}
        try:
            answer = calls.call_http(served.call, names, where=f"models.{model}.served", timeout_s=SERVED_S)
        except EnvironmentProblem:
            return None
        return str(version_in(answer, served.version_field, where=f"models.{model}.served"))

    def make_variant(self, model: str, variant: str) -> str:
        """Has the registry get such a version, not promoted; gives its version."""
        variants = self.require_model(model).variants
        if variant not in variants:
            raise UsageError(f"unknown variant '{variant}' of model '{model}'. Known: {', '.join(variants) or 'none'}")
        made = calls.call_http(variants[variant].make, self._names(), where=f"models.{model}.variants.{variant}")
        return str(version_in(made, variants[variant].version_field, where=f"models.{model}.variants.{variant}"))

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Raises `UsageError` for what isn't declared, `EnvironmentProblem` with the target's words when it is refused."""
        operation = self._declared(self._spec.actions, action, "action")
        filled = self._checked(
            operation, arguments, builtins.ACTIONS.get(action), what=action, valued=action in builtins.VALUED
        )
        if operation.builtin:
            return self._act(action, filled)
        return self._call(operation, filled, where=f"actions.{action}")

    def observe(self, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Raises as `act`."""
        operation = self._declared(self._spec.observations, observation, "observation")
        filled = self._checked(
            operation, arguments, builtins.OBSERVATIONS.get(observation), what=observation, valued=False
        )
        if operation.builtin:
            return self._observe(observation, filled)
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
        names = dict(self._names()) | {f"arg.{name}": value for name, value in arguments.items()}
        if operation.http is not None:
            return calls.call_http(operation.http, names, where=where, timeout_s=operation.timeout)
        assert operation.exec is not None
        return calls.call_exec(operation.exec, names, folder=self._folder, where=where, timeout_s=operation.timeout)

    def require_service(self, service: str) -> None:
        """Raises `UsageError` for one that isn't declared."""
        if service not in self._spec.services:
            raise UsageError(f"unknown service '{service}'. Known: {', '.join(self._spec.services)}")

    def require_model(self, model: str) -> ModelSpec:
        """Raises `UsageError` for one that isn't declared."""
        if model not in self._spec.models:
            raise UsageError(f"unknown model '{model}'. Known: {', '.join(self._spec.models) or 'none'}")
        return self._spec.models[model]
