"""Built-in observations that no driver sees more of than the target itself tells. The same for every driver.

Answers are flat, see `builtins`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from harness.contract.undo import Json
from harness.contract.words import Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import TargetSpec
from harness.target import alerts
from harness.target.declared import DeclaredPoints, version_in
from harness.target.readings import PAGES_MAX
from harness.target.snapshots import ASK_S, together

LOG_LINES_MAX = 500


class Observed(Protocol):
    """What is asked of a target here."""

    @property
    def spec(self) -> TargetSpec: ...

    @property
    def declared(self) -> DeclaredPoints: ...

    def names(self) -> Mapping[str, Json]: ...

    def models_of(self, service: str) -> tuple[str, ...]: ...

    def served_version(self, service: str, model: str) -> str | None: ...

    def config(self, service: str) -> dict[str, Json]: ...

    def read(self, reading: str, *, after: int, limit: int = 5000) -> tuple[list[dict[str, Any]], int]: ...

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]: ...


def observe(target: Observed, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Raises `UsageError` for an observation that isn't among these."""
    match observation:
        case Observation.ALERTS:
            return alerts.summary(alerts.active(target.spec.alerts, target.names(), timeout_s=ASK_S * 4))
        case Observation.VERSIONS:
            return _versions(target)
        case Observation.PROMOTIONS | Observation.LINEAGE:
            return _newest(target, str(observation))
        case Observation.CONFIG:
            return _config(target, arguments.get("service"))
        case Observation.LOGS:
            count = min(max(int(arguments["lines"] or 0), 1), LOG_LINES_MAX)
            lines = target.log_tail(arguments["service"], count)
            return {"service": arguments["service"], "lines": len(lines), "text": "\n".join(lines)}
    raise UsageError(f"driver '{target.spec.driver}' has no built-in observation '{observation}'")


def _versions(target: Observed) -> dict[str, Json]:
    """What each replica really serves, by service; and each alias (`champion`), with whatever else its declared call tells."""
    asks: dict[str, Callable[[], Json]] = {}
    for model in target.spec.models:
        asks[f"alias/{model}"] = partial(target.declared.alias_answer, model)
    for name in target.spec.services:
        for model in target.models_of(name):
            asks[f"served/{name}"] = partial(target.served_version, name, model)
    answers = together(asks, within_s=ASK_S * 4)
    flat: dict[str, Json] = {}
    for model, found in target.spec.models.items():
        told = answers.get(f"alias/{model}")
        if told is None:
            raise EnvironmentProblem(f"the alias of model '{model}' can't be read")
        flat |= {key: value for key, value in told.items() if not isinstance(value, dict | list)}
        flat[found.alias] = str(version_in(told, found.access.version_field, where=f"models.{model}"))
    return flat | {key.partition("/")[2]: value for key, value in answers.items() if key.startswith("served/")}


def _newest(target: Observed, reading: str) -> dict[str, Json]:
    """The newest record of the reading of the same name, and how many there are."""
    after, count, newest = 0, 0, {}
    for _ in range(PAGES_MAX):
        records, cursor = target.read(reading, after=after)
        if not records:
            break
        after, count, newest = cursor, count + len(records), records[-1]
    return {"records": count, **newest}


def _config(target: Observed, service: str | None) -> dict[str, Json]:
    if service is not None:
        return target.config(service)
    wanted = [name for name, found in target.spec.services.items() if found.config is not None]
    answers = together({name: partial(target.config, name) for name in wanted}, within_s=ASK_S * 4)
    if wanted and not answers:
        raise EnvironmentProblem("no service tells its settings")
    return answers
