"""A target's own view of its alerts, rules and silences, as far as its description says where to ask.

Reads the shape of Prometheus' `/api/v1/alerts`. None means that it can't be told, which is never the same as
nothing fires.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from harness.clock import wall_ns
from harness.contract.undo import Json
from harness.errors import EnvironmentProblem
from harness.spec.target import AlertsSpec
from harness.target import http
from harness.target.interpolate import fill_url

SUSPECT_S = 10.0
"""More than the first alert of most faults takes. A fault of a small part of the rows may take longer: whoever can
ask the target since when should."""


def active(alerts: AlertsSpec, names: Mapping[str, Json], *, timeout_s: float) -> list[dict[str, Any]]:
    """Pending and firing alerts, as given, without the heartbeat, which always fires. Raises `EnvironmentProblem`."""
    if alerts.active is None:
        raise EnvironmentProblem("target.yaml declares no alerts.active")
    answer = http.ask("GET", fill_url(alerts.active, names, where="alerts.active"), timeout_s=timeout_s)
    match answer:
        case {"data": {"alerts": list(found)}}:
            return [alert for alert in found if isinstance(alert, dict) and not _is_heartbeat(alert, alerts)]
    raise EnvironmentProblem(f"alerts.active: not the shape of /api/v1/alerts: {str(answer)[: http.SHOWN_MAX]}")


def _is_heartbeat(alert: Mapping[str, Any], alerts: AlertsSpec) -> bool:
    labels = alert.get("labels")
    return (
        alerts.heartbeat is not None and isinstance(labels, dict) and labels.get("alertname") == alerts.heartbeat.rule
    )


def firing(found: list[dict[str, Any]]) -> tuple[str, ...]:
    """Names of the firing ones."""
    return tuple(sorted({str(alert.get("labels", {}).get("alertname", "")) for alert in found if is_firing(alert)}))


def is_firing(alert: Mapping[str, Any]) -> bool:
    return alert.get("state") == "firing"


def summary(found: list[dict[str, Any]]) -> dict[str, Json]:
    """Of those that fire: how many (`firing`, `pages`), which (`names`, `newest`), since when; and each rule's state.

    Times are unix seconds: `first_active_t`, when the first condition became true; `suspect_since_t`, from when on what
    passed must be distrusted, for an alert comes only when enough was seen: a guess, `SUSPECT_S` earlier.
    """
    fires = sorted((alert for alert in found if is_firing(alert)), key=_active_t)
    states = {str(alert.get("labels", {}).get("alertname", "")): str(alert.get("state")) for alert in [*found, *fires]}
    pages = [alert for alert in fires if alert.get("labels", {}).get("severity") == "page"]
    flat: dict[str, Json] = {"firing": len(fires), "pages": len(pages), "names": ",".join(firing(found))}
    if fires:
        flat |= {
            "newest": str(fires[-1].get("labels", {}).get("alertname", "")),
            "first_active_t": _active_t(fires[0]),
            "suspect_since_t": _active_t(fires[0]) - SUSPECT_S,
        }
    return flat | states


def _active_t(alert: Mapping[str, Any]) -> float:
    """Unix seconds of `activeAt` (RFC 3339); 0 where it can't be read."""
    try:
        return datetime.fromisoformat(str(alert.get("activeAt")).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def rules_fingerprint(alerts: AlertsSpec, names: Mapping[str, Json], *, timeout_s: float) -> str | None:
    """The one string in the answer of `alerts.fingerprint`; None where it isn't declared or doesn't answer."""
    answer = _quiet(alerts.fingerprint, names, timeout_s)
    if isinstance(answer, dict):
        return next((str(answer[key]) for key in ("sha256", "fingerprint", "digest") if key in answer), None)
    return str(answer) if isinstance(answer, str) else None


def silences(alerts: AlertsSpec, names: Mapping[str, Json], *, timeout_s: float) -> tuple[str, ...] | None:
    """Ids (or rules) of the silences in force; None where that isn't declared or doesn't answer.

    Reads a list, `{"silences": [...]}`, or a record reading; one that has a past `until` (unix seconds) isn't in force.
    """
    answer = _quiet(alerts.silences, names, timeout_s)
    if isinstance(answer, dict):
        answer = next((answer[key] for key in ("silences", "records", "data") if key in answer), None)
    if not isinstance(answer, list):
        return None
    return tuple(sorted({_silence_name(one) for one in answer if _in_force(one)}))


def _in_force(one: Json) -> bool:
    until = one.get("until") if isinstance(one, dict) else None
    return not isinstance(until, int | float) or until > wall_ns() / 1e9


def _silence_name(one: Json) -> str:
    if not isinstance(one, dict):
        return str(one)
    return str(next((one[key] for key in ("id", "rule", "alertname") if key in one), one))


def _quiet(url: str | None, names: Mapping[str, Json], timeout_s: float) -> Json:
    if url is None:
        return None
    try:
        return http.ask("GET", fill_url(url, names, where="alerts"), timeout_s=timeout_s)
    except EnvironmentProblem:
        return None
