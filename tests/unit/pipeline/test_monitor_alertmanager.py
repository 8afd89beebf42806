"""A silence reaches the Alertmanager that sends the pages, and a reset ends it there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pipeline import web
from pipeline.monitor.alertmanager import Alertmanager
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

    service.route("POST", "/api/v2/silences", taken)
    service.route("GET", "/api/v2/silences", listed)
    service.route("DELETE", "/api/v2/silence/{id}", ended)
    return service


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
