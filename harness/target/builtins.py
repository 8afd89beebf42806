"""Actions and observations that a driver gives a target without its help (`builtin: true`), and their arguments.

Answers are flat, with dotted names where a service has several values (`serving-a.version`), so that playbook
conditions can name every field.
"""

from __future__ import annotations

from typing import Literal

from harness.contract.words import Action, Observation
from harness.spec.target import Argument


def _of(
    kind: Literal["string", "number", "integer", "boolean", "service", "link", "version", "duration"],
    *,
    required: bool = True,
    default: object = None,
    choices: tuple[str, ...] = (),
) -> Argument:
    return Argument(type=kind, required=required, default=default, choices=choices)


SERVICE = {"service": _of("service")}

ACTIONS: dict[Action, dict[str, Argument]] = {
    Action.RESTART: SERVICE,
    Action.STOP: SERVICE,
    Action.START: SERVICE,
    Action.SET_FLAG: SERVICE | {"flag": _of("string")},
    Action.SET_LIMIT: SERVICE | {"resource": _of("string", choices=("memory", "cpu"))},
    Action.EVICT: SERVICE,
    Action.REROUTE: {"link": _of("link")},
    Action.ANNOTATE: {"text": _of("string", required=False)},
}
"""What each built-in action takes; `VALUED` take `value` besides."""

VALUED = frozenset({Action.SET_FLAG, Action.SET_LIMIT})
"""These take a `value` of any JSON type: the setting's own service says what is legal."""

OBSERVATIONS: dict[Observation, dict[str, Argument]] = {
    Observation.SERVICES: {},
    Observation.RESOURCES: {},
    Observation.ALERTS: {},
    Observation.VERSIONS: {},
    Observation.PROMOTIONS: {},
    Observation.LINEAGE: {},
    Observation.CONFIG: {"service": _of("service", required=False)},
    Observation.LOGS: SERVICE | {"lines": _of("integer", required=False, default=20)},
}
