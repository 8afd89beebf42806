"""A silence reaches the Alertmanager that sends the pages, and a reset ends it there; so does where pages go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request

from pipeline import web
from pipeline.monitor.alertmanager import ADDRESS, CONFIGURATION, Alertmanager, Route
from pipeline.monitor.alerts import Silence
from pipeline.settings import RefusedError
from tests.unit.pipeline.roles import Role, serving

T = 1_700_000_000.0


def stand_in(setup: web.Setup) -> web.Service:
    """The three calls of Alertmanager's second API that the monitor uses."""
    service = web.Service(setup)
    held: dict[str, dict[str, Any]] = {
        "theirs": {"id": "theirs", "createdBy": "somebody", "status": {"state": "active"}}
    }

    async def taken(request: Request) -> Any:
        body = await web.body_json(request)
        identity = f"silence-{len(held)}"
        held[identity] = {**body, "id": identity, "status": {"state": "active"}}
        return {"silenceID": identity}

    async def listed(_request: Request) -> Any:
        return list(held.values())

    async def ended(request: Request) -> Any:
        silence = held[request.path_params["id"]]
        if silence["status"]["state"] == "expired":
            raise web.RefusedError(500, "silence already expired")
        silence["status"] = {"state": "expired"}
        return {}

    counts = {"requests": 0, "failed": 0, "reloads": 0}

    class Attempts(Collector):
        def collect(self) -> Iterator[Metric]:
            for name, count in (("requests", counts["requests"]), ("requests_failed", counts["failed"])):
                family = CounterMetricFamily(
                    f"alertmanager_notification_{name}", "As Alertmanager", labels=["integration"]
                )
                family.add_metric(["webhook"], count)
                family.add_metric(["email"], 77)
                yield family

    async def counted(request: Request) -> Any:
        counts.update(await web.body_json(request))
        return {}

    async def reloaded(_request: Request) -> Any:
        counts["reloads"] += 1
        return {}

    service.metrics.register(Attempts())
    service.route("POST", "/counted", counted)
    service.route("POST", "/-/reload", reloaded)
    service.route("GET", "/counts", lambda _request: _later(counts))
    service.route("POST", "/api/v2/silences", taken)
    service.route("GET", "/api/v2/silences", listed)
    service.route("DELETE", "/api/v2/silence/{id}", ended)
    return service


async def _later(value: Any) -> Any:
    return value


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    with serving(stand_in, tmp_path) as role:
        yield role


async def silenced_and_ended(url: str) -> None:
    alertmanager = Alertmanager(url, author="monitor")
    await alertmanager.silence(Silence("CanaryWrong", created=T, until=T + 600))
    await alertmanager.end_silences()
    await alertmanager.end_silences()
    await alertmanager.close()


def test_a_silence_is_taken_and_ended_and_others_stay(role: Role) -> None:
    asyncio.run(silenced_and_ended(role.url))
    theirs, ours = role.get("/api/v2/silences")
    assert theirs["status"] == {"state": "active"}
    assert ours["status"] == {"state": "expired"}
    assert ours["matchers"] == [{"name": "alertname", "value": "CanaryWrong", "isRegex": False, "isEqual": True}]
    assert (ours["startsAt"], ours["endsAt"]) == ("2023-11-14T22:13:20.000000Z", "2023-11-14T22:23:20.000000Z")


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Alertmanager"):
        asyncio.run(silenced_and_ended("http://127.0.0.1:9"))


def test_another_address_is_configured_once_and_kept_for_the_next_start(role: Role, tmp_path: Path) -> None:
    async def work() -> None:
        alertmanager = Alertmanager(role.url, author="monitor")
        route = Route(alertmanager, tmp_path, default="http://pager/webhook")
        for address in ("", "http://elsewhere/", "http://elsewhere/"):
            await route.lead(address)
        again = Route(alertmanager, tmp_path, default="http://pager/webhook")
        await again.lead("http://elsewhere/")
        await alertmanager.close()

    asyncio.run(work())
    assert role.get("/counts")["reloads"] == 1
    assert (tmp_path / ADDRESS).read_text() == "http://elsewhere/"
    assert 'url: "http://elsewhere/"' in (tmp_path / CONFIGURATION).read_text()


@pytest.mark.parametrize(("default", "shown"), [("http://pager/webhook", True), ("", False)])
def test_an_empty_address_leads_back_to_the_first(role: Role, tmp_path: Path, default: str, shown: bool) -> None:
    async def work() -> None:
        alertmanager = Alertmanager(role.url, author="monitor")
        route = Route(alertmanager, tmp_path, default=default)
        await route.lead("http://elsewhere/")
        await route.lead("")
        await alertmanager.close()

    asyncio.run(work())
    configuration = (tmp_path / CONFIGURATION).read_text()
    assert ("webhook_configs" in configuration, f'url: "{default}"' in configuration) == (shown, shown)


def test_attempts_that_failed_in_a_row_are_counted_over_a_restart(role: Role, tmp_path: Path) -> None:
    seen = [(5, 0, 0), (7, 2, 2), (8, 3, 3), (9, 3, 0), (9, 3, 0), (11, 5, 2), (1, 1, 1), (3, 2, 0)]

    async def work() -> list[float]:
        alertmanager = Alertmanager(role.url, author="monitor")
        route, found = Route(alertmanager, tmp_path, default=""), []
        for requests, failed, _ in seen:
            await alertmanager._asked("POST", "/counted", json={"requests": requests, "failed": failed})
            await route.look()
            found.append(route.failed)
        await alertmanager.close()
        return found

    assert asyncio.run(work()) == [in_a_row for _, _, in_a_row in seen]
