"""What an operator may do to and see of an embedded instance without the pipeline's help: the built-in actions and
observations.

An operator's restart is what it would be in life: a new process with the limits and the configuration as they
stand. So it ends a hang, and neither an injected limit nor an injected setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from harness.contract.undo import Json
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.spec.base import parse_size
from harness.target import alerts, http
from harness.target.embedded import looks
from harness.target.embedded.launch import Operate, ServiceStatus, StatusAnswer
from harness.target.embedded.memory import family_private_bytes
from harness.target.embedded.processes import stat
from harness.target.snapshots import ASK_S, together

if TYPE_CHECKING:
    from harness.target.embedded.instance import EmbeddedTarget

ACT_S = 5.0
LOG_LINES_MAX = 500


def act(target: EmbeddedTarget, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in action. Raises `UsageError`, `EnvironmentProblem`."""
    match action:
        case Action.RESTART | Action.STOP | Action.START:
            target.control.ask(Operate(what=action, service=arguments["service"]), within_s=ACT_S)
            return {"service": arguments["service"], "done": action}
        case Action.SET_FLAG:
            service, key, value = arguments["service"], arguments["key"], arguments["value"]
            http.ask("PATCH", target.points.config_url(service), body={key: value}, timeout_s=ACT_S, ok=(200, 204))
            return {"service": service, "key": key, "value": value}
        case Action.SET_LIMIT:
            value = _limit(arguments["resource"], arguments["value"])
            target.control.ask(Operate(what=arguments["resource"], service=arguments["service"], value=value))
            return {"service": arguments["service"], "resource": arguments["resource"], "value": value}
        case Action.REROUTE | Action.ANNOTATE:
            return {"ok": True, **{key: value for key, value in arguments.items() if value is not None}}
    raise UsageError(f"the embedded driver has no built-in action '{action}'")


def _limit(resource: str, value: Json) -> Json:
    if resource == "memory" and isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise UsageError(f"set-limit: {error}") from None
    return value


def observe(target: EmbeddedTarget, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in observation. Raises `UsageError`, `EnvironmentProblem`."""
    match observation:
        case Observation.SERVICES:
            return _services(target)
        case Observation.RESOURCES:
            return {name: _resources(status) for name, status in _own(target, target.status()).items()}
        case Observation.ALERTS:
            return alerts.summary(alerts.active(target.spec.alerts, target.names(), timeout_s=ASK_S * 4))
        case Observation.VERSIONS:
            return _versions(target)
        case Observation.CONFIG:
            return _config(target, arguments.get("service"))
        case Observation.LOGS:
            count = min(max(int(arguments["lines"] or 0), 1), LOG_LINES_MAX)
            lines = target.log_tail(arguments["service"], count)
            return {"service": arguments["service"], "lines": len(lines), "text": "\n".join(lines)}
    raise UsageError(f"the embedded driver has no built-in observation '{observation}'")


def _own(target: EmbeddedTarget, status: StatusAnswer) -> dict[str, ServiceStatus]:
    """Without the proxy, which is the harness's and not the pipeline's."""
    return {name: status.services[name] for name in target.spec.services}


def _services(target: EmbeddedTarget) -> dict[str, Json]:
    """state (as /proc has it), restarts, ready, and the version served where it is a replica of a model."""
    found = _own(target, target.status())
    asks: dict[str, Callable[[], Json]] = {}
    for name in found:
        asks[f"ready/{name}"] = partial(looks.is_ready, target.ready_url(name), timeout_s=ASK_S)
        for model in target.models_of(name):
            asks[f"version/{name}"] = partial(target.served_version, name, model)
    answers = together(asks, within_s=ASK_S * 4)
    rows: dict[str, Json] = {}
    for name, status in found.items():
        seen = stat(status.pid) if status.pid else None
        alive = seen is not None and seen.start == status.start and seen.state not in "ZX"
        state = "down" if not alive or seen is None else "paused" if seen.state in "Tt" else "running"
        row: dict[str, Json] = {
            "state": state,
            "restarts": status.restarts,
            "ready": bool(answers.get(f"ready/{name}")),
        }
        if target.models_of(name):
            row["version"] = answers.get(f"version/{name}")
        rows[name] = row
    return rows


def _resources(status: ServiceStatus) -> dict[str, Json]:
    return {
        "memory_bytes": family_private_bytes(status.pid) if status.pid else None,
        "memory_limit": status.memory,
        "memory_kills": status.memory_kills,
        "cpu_limit": status.cpu,
        "restarts": status.restarts,
    }


def _versions(target: EmbeddedTarget) -> dict[str, Json]:
    """`<model>`: the alias's version; `<service>`: what each replica really serves."""
    asks: dict[str, Callable[[], Json]] = {}
    for model in target.spec.models:
        asks[model] = partial(target.alias, model)
    for name in target.spec.services:
        for model in target.models_of(name):
            asks[name] = partial(target.served_version, name, model)
    return together(asks, within_s=ASK_S * 4)


def _config(target: EmbeddedTarget, service: str | None) -> dict[str, Json]:
    if service is not None:
        return target.config(service)
    wanted = [name for name, found in target.spec.services.items() if found.config is not None]
    answers = together({name: partial(target.config, name) for name in wanted}, within_s=ASK_S * 4)
    if wanted and not answers:
        raise EnvironmentProblem("no service tells its settings")
    return answers
