"""What an operator may do to and see of a Docker instance without the pipeline's help: the built-in actions and observations.

An operator's restart is what it would be in life: the same container, with the limits as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem
from harness.target import acting, observed
from harness.target.docker import counters, life, limits, looks
from harness.target.docker.record import limits_of
from harness.target.snapshots import ASK_S, together

if TYPE_CHECKING:
    from harness.target.docker.instance import DockerTarget

POINTS = {"memory": PointKind.MEMORY, "cpu": PointKind.CPU}


def act(target: DockerTarget, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in action. Raises `UsageError`, `EnvironmentProblem`."""
    match action:
        case Action.RESTART | Action.STOP | Action.START:
            service = arguments["service"]
            container = target.selection.touch(service).id
            if action is not Action.STOP and life.hasten(target.daemon, target.daemon.inspect(container)):
                return {"service": service, "done": action}
            if action is not Action.START:
                life.kill(target.daemon, target.deaths, target.daemon.inspect(container))
            if action is not Action.STOP:
                life.start(target.daemon, container, life.state_of(target.daemon.inspect(container)))
            return {"service": service, "done": action}
        case Action.SET_LIMIT:
            value = acting.limit_of(arguments["resource"], arguments["value"])
            target.set(Point(POINTS[arguments["resource"]], arguments["service"]), value)
            return {"service": arguments["service"], "resource": arguments["resource"], "value": value}
        case Action.EVICT:
            point = Point(PointKind.STRESS, arguments["service"])
            stood = target.get(point)
            target.set(point, None)
            return {"service": arguments["service"], "evicted": stood is not None}
    return acting.act(action, arguments, config_url=target.declared.config_url, driver="docker")


def observe(target: DockerTarget, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A built-in observation. Raises `UsageError`, `EnvironmentProblem`."""
    match observation:
        case Observation.SERVICES:
            return _services(target)
        case Observation.RESOURCES:
            return _resources(target)
    return observed.observe(target, observation, arguments)


def _inspected(target: DockerTarget) -> dict[str, dict[str, Any]]:
    """All services that have a container."""
    listed = target.selection.all()
    found: dict[str, Callable[[], Any]] = {}
    for name in target.spec.services:
        try:
            found[name] = partial(target.daemon.inspect, target.selection.find(name, among=listed).id)
        except EnvironmentProblem:
            continue
    return together(found, within_s=ASK_S * 4)


def _services(target: DockerTarget) -> dict[str, Json]:
    """`<service>`: ready, not-ready, paused or down; and state, restarts, version."""
    found = _inspected(target)
    asks: dict[str, Callable[[], Json]] = {}
    for name, one in found.items():
        asks[f"ready/{name}"] = partial(looks.is_ready, one, target.ready_url(name))
        for model in target.models_of(name):
            asks[f"version/{name}"] = partial(target.served_version, name, model)
    answers = together(asks, within_s=ASK_S * 4)
    flat: dict[str, Json] = {}
    for name in target.spec.services:
        state = life.state_of(found[name]) if name in found else life.DOWN
        ready = state == life.RUNNING and bool(answers.get(f"ready/{name}"))
        flat |= acting.service_words(name, state=state, ready=ready, restarts=_restarts(found.get(name)))
        if target.models_of(name):
            flat[f"{name}.version"] = answers.get(f"version/{name}")
    return flat


def _restarts(inspected: dict[str, Any] | None) -> int:
    return int((inspected or {}).get("RestartCount") or 0)


def _resources(target: DockerTarget) -> dict[str, Json]:
    found = _inspected(target)
    running = {name: one for name, one in found.items() if life.state_of(one) == life.RUNNING}
    asks = {name: partial(counters.read, target.daemon, one) for name, one in running.items()}
    held = together(asks, within_s=ASK_S * 4)
    flat: dict[str, Json] = {}
    for name, one in found.items():
        now = limits_of(one["HostConfig"])
        flat |= {
            f"{name}.memory_bytes": held[name][1] if name in held else None,
            f"{name}.memory_limit": limits.memory_of(now),
            f"{name}.memory_kills": target.deaths.memory_kills(name),
            f"{name}.cpu_limit": limits.cpu_of(now, target.baseline(name)),
            f"{name}.restarts": _restarts(one),
        }
    return flat
