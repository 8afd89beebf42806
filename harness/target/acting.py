"""Built-in actions that every driver carries out alike, because they are the pipeline's own calls or no more than words; and what
the observation of services says of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.contract.undo import Json
from harness.contract.words import Action
from harness.errors import UsageError
from harness.spec.base import parse_size
from harness.target import http

ACT_S = 5.0


def act(
    action: Action, arguments: Mapping[str, Json], *, config_url: Callable[[str], str], driver: str
) -> dict[str, Json]:
    """An action that needs nothing of the driver's. Raises `UsageError` for one that does, `EnvironmentProblem`."""
    match action:
        case Action.SET_FLAG:
            service, key, value = arguments["service"], arguments["flag"], arguments["value"]
            http.ask("PATCH", config_url(str(service)), body={str(key): value}, timeout_s=ACT_S, ok=(200, 204))
            return {"service": service, "flag": key, "value": value}
        case Action.REROUTE | Action.ANNOTATE:
            return {"ok": True, **{key: value for key, value in arguments.items() if value is not None}}
    raise UsageError(f"the {driver} driver has no built-in action '{action}'")


def limit_of(resource: str, value: Json) -> Json:
    """A limit as people write it, as drivers take it: sizes in bytes. Raises `UsageError`."""
    if resource == "memory" and isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise UsageError(f"set-limit: {error}") from None
    return value


def service_words(service: str, *, state: str, ready: bool, restarts: int) -> dict[str, Json]:
    """`<service>`: ready, not-ready, paused or down; and each by its own name."""
    word = state if state != "running" else "ready" if ready else "not-ready"
    return {
        service: word,
        f"{service}.state": state,
        f"{service}.ready": ready,
        f"{service}.restarts": restarts,
    }
