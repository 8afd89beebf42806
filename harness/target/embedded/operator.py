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
from harness.target import acting, observed
from harness.target.embedded import looks
from harness.target.embedded.launch import Operate, ServiceStatus, StatusAnswer
from harness.target.embedded.memory import family_private_bytes
from harness.target.embedded.processes import stat
from harness.target.snapshots import ASK_S, together

if TYPE_CHECKING:
    from harness.target.embedded.instance import EmbeddedTarget


def act(target: EmbeddedTarget, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in action. Raises `UsageError`, `EnvironmentProblem`."""
    match action:
        case Action.RESTART | Action.STOP | Action.START:
            target.control.ask(Operate(what=action, service=arguments["service"]), within_s=acting.ACT_S)
            target.wait_left()  # or the old process would pass for the new one
            return {"service": arguments["service"], "done": action}
        case Action.SET_LIMIT:
            value = acting.limit_of(arguments["resource"], arguments["value"])
            target.control.ask(Operate(what=arguments["resource"], service=arguments["service"], value=value))
            return {"service": arguments["service"], "resource": arguments["resource"], "value": value}
    return acting.act(action, arguments, config_url=target.declared.config_url, driver="embedded")


def observe(target: EmbeddedTarget, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in observation. Raises `UsageError`, `EnvironmentProblem`."""
    match observation:
        case Observation.SERVICES:
            return _services(target)
        case Observation.RESOURCES:
            return _resources(_own(target, target.status()))
    return observed.observe(target, observation, arguments)


def _own(target: EmbeddedTarget, status: StatusAnswer) -> dict[str, ServiceStatus]:
    """Without the proxy, which is the harness's and not the pipeline's."""
    return {name: status.services[name] for name in target.spec.services}


def _services(target: EmbeddedTarget) -> dict[str, Json]:
    """`<service>`: ready, not-ready, paused or down, as /proc and its own readiness say; and state, restarts, version."""
    found = _own(target, target.status())
    asks: dict[str, Callable[[], Json]] = {}
    for name in found:
        asks[f"ready/{name}"] = partial(looks.is_ready, target.ready_url(name), timeout_s=ASK_S)
        for model in target.models_of(name):
            asks[f"version/{name}"] = partial(target.served_version, name, model)
    answers = together(asks, within_s=ASK_S * 4)
    flat: dict[str, Json] = {}
    for name, status in found.items():
        state, ready = _state(status), bool(answers.get(f"ready/{name}"))
        flat |= acting.service_words(name, state=state, ready=ready, restarts=status.restarts)
        if target.models_of(name):
            flat[f"{name}.version"] = answers.get(f"version/{name}")
    return flat


def _state(status: ServiceStatus) -> str:
    seen = stat(status.pid) if status.pid else None
    if seen is None or seen.start != status.start or seen.state in "ZX":
        return "down"
    return "paused" if seen.state in "Tt" else "running"


def _resources(found: Mapping[str, ServiceStatus]) -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for name, status in found.items():
        flat |= {
            f"{name}.memory_bytes": family_private_bytes(status.pid) if status.pid else None,
            f"{name}.memory_limit": status.memory,
            f"{name}.memory_kills": status.memory_kills,
            f"{name}.cpu_limit": status.cpu,
            f"{name}.restarts": status.restarts,
        }
    return flat
