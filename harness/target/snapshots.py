"""A target's state as far as safeguards speak of it, taken quickly: every question at once, each with its own short
limit.

What can't be read is left out, so that the scorer sees a gap and not a value. Bounded by `SNAPSHOT_S_MAX` whatever
hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from harness.contract.undo import Json
from harness.errors import HarnessError
from harness.history.events import Snapshot
from harness.spec.target import TargetSpec
from harness.target import alerts, readings

SNAPSHOT_S_MAX = 2.0
ASK_S = 0.5
QUARANTINE = "released"
"""A reading whose `fields` name this is a list of quarantined records."""

Ask = Callable[[], Any]


def together(asks: Mapping[str, Ask], *, within_s: float, workers: int = 12) -> dict[str, Any]:
    """Answers by key, of those that answered in time; what raised a HarnessError or took too long is left out."""
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="ask")
    try:
        futures = {key: pool.submit(ask) for key, ask in asks.items()}
        wait(futures.values(), timeout=within_s)
        answers = {}
        for key, future in futures.items():
            if future.done() and not isinstance(future.exception(), HarnessError):
                answers[key] = future.result()
        return answers
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def take(
    spec: TargetSpec,
    names: Mapping[str, Json],
    *,
    services: Mapping[str, str],
    limits: Mapping[str, Json],
    config: Callable[[str], Mapping[str, Json]],
    alias: Callable[[str], str],
    served: Callable[[str, str], str | None],
    page: readings.Page,
) -> Snapshot:
    """`services` name -> identity, "" when not running; `limits` "service/limit" -> value; the callables ask one thing each."""
    asks: dict[str, Ask] = {}
    for name, service in spec.services.items():
        if service.config is not None and services.get(name):
            asks[f"config/{name}"] = partial(config, name)
        for model, found in spec.models.items():
            if service.role == found.served.role and services.get(name):
                asks[f"served/{name}"] = partial(served, name, model)
    for model in spec.models:
        asks[f"alias/{model}"] = partial(alias, model)
    for name, reading in spec.readings.items():
        if QUARANTINE in reading.fields:
            asks[f"data/{name}"] = partial(
                readings.standing, page, name, id_field=reading.id, released=reading.fields[QUARANTINE]
            )
    asks["firing"] = lambda: alerts.firing(alerts.active(spec.alerts, names, timeout_s=ASK_S))
    asks["rules"] = lambda: alerts.rules_fingerprint(spec.alerts, names, timeout_s=ASK_S)
    asks["silences"] = lambda: alerts.silences(spec.alerts, names, timeout_s=ASK_S)
    return _assembled(spec, services, limits, together(asks, within_s=SNAPSHOT_S_MAX))


def _assembled(
    spec: TargetSpec, services: Mapping[str, str], limits: Mapping[str, Json], answers: Mapping[str, Any]
) -> Snapshot:
    replicas = dict.fromkeys((service.role for service in spec.services.values()), 0)
    for name, service in spec.services.items():
        replicas[service.role] += bool(services.get(name))
    versions = {f"{model}/{found.alias}": answers.get(f"alias/{model}") for model, found in spec.models.items()}
    versions |= {name: answers.get(f"served/{name}") for name in spec.services}
    settings: dict[str, Json] = dict(limits)
    for name in spec.services:
        settings |= {f"{name}/{key}": value for key, value in answers.get(f"config/{name}", {}).items()}
    return Snapshot(
        services=dict(services),
        replicas=replicas,
        versions={key: value for key, value in versions.items() if value is not None},
        config=settings,
        data={key.partition("/")[2]: count for key, count in answers.items() if key.startswith("data/")},
        firing=answers.get("firing", ()),
        silences=answers.get("silences"),
        rules=answers.get("rules"),
    )
