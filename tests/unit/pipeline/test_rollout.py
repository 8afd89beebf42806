"""A rollout that waits for readiness is felt by nobody; one that doesn't sends requests to replicas that refuse them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pipeline import bus, gateway, web
from tests.unit.pipeline.roles import Role, serving, until


@dataclass(slots=True)
class Replicas:
    """Two replicas that become ready again when told to; `most_out` is how many were unready at once."""

    unready: set[str] = field(default_factory=set)
    replaced: list[str] = field(default_factory=list)
    most_out: int = 0

    def build(self, name: str) -> Callable[[web.Setup], web.Service]:
        def built(setup: web.Setup) -> web.Service:
            service = web.Service(setup)

            async def infer(request: Request) -> Any:
                if name in self.unready:
                    raise web.RefusedError(503, "no model loaded")
                return {"model_version": "1", "outputs": [{"name": "score", "data": [0.1]}]}

            async def ready(request: Request) -> Any:
                return web.reply({"ready": name not in self.unready}, status=503 if name in self.unready else 200)

            async def replace(body: dict[str, Any]) -> Any:
                self.replaced.append(name)
                self.unready.add(name)
                self.most_out = max(self.most_out, len(self.unready))
                return {}

            service.route("POST", "/v2/models/risk/infer", infer)
            service.route("GET", "/v2/health/ready", ready)
            service.op("replace", replace)
            return service

        return built


def features(setup: web.Setup) -> web.Service:
    service = web.Service(setup)

    async def lookup(request: Request) -> Any:
        return {"values": {}, "age_s": 0.5, "status": "fresh"}

    service.route("POST", "/lookup", lookup)
    return service


@pytest.fixture
def replicas() -> Replicas:
    return Replicas()


@pytest.fixture
def role(tmp_path: Path, replicas: Replicas) -> Iterator[Role]:
    with ExitStack() as stack:

        def start(name: str, build: Any, **env: str) -> Role:
            return stack.enter_context(serving(build, tmp_path / name, service=name, **env))

        store = start("features", features).url
        yield start(
            "gateway",
            gateway.build,
            BUS_URL=start("bus", bus.build).url,
            FEATURES_URL=store,
            FEATURES_STANDBY_URL=store,
            SERVING_A_URL=start("serving-a", replicas.build("serving-a")).url,
            SERVING_B_URL=start("serving-b", replicas.build("serving-b")).url,
        )


def decide(role: Role) -> dict[str, Any]:
    return role.post("/decide", {"id": "t-1", "amount": 10.0, "synthetic": True})


def test_without_a_rollout_nothing_is_replaced_and_nothing_refused(role: Role, replicas: Replicas) -> None:
    assert {decide(role)["fallback"] for _ in range(20)} == {False}
    assert (replicas.replaced, role.records("/refusals")) == ([], [])


def test_with_the_check_one_replica_is_out_at_a_time_and_gets_no_request(role: Role, replicas: Replicas) -> None:
    role.patch(rollout_every_s=0.5)
    until(lambda: replicas.replaced == ["serving-a"], "the first is replaced")
    assert {decide(role)["replica"] for _ in range(20)} == {"serving-b"}
    assert replicas.replaced == ["serving-a"], "the next one waits"
    replicas.unready.clear()
    until(lambda: replicas.replaced[1:2] == ["serving-b"], "the next one's turn")
    assert {decide(role)["replica"] for _ in range(20)} == {"serving-a"}
    assert (replicas.most_out, role.records("/refusals")) == (1, [])


def test_without_the_check_requests_go_to_replicas_that_refuse_them(role: Role, replicas: Replicas) -> None:
    role.patch(rollout_every_s=0.5, rollout_ready_check=False)
    until(lambda: len(replicas.unready) == 2, "the next one doesn't wait")
    assert decide(role)["fallback"] is True
    refused = role.records("/refusals")
    assert {record["replica"] for record in refused} == {"serving-a", "serving-b"}
    assert len({record["id"] for record in refused}) == len(refused)


def test_a_rollout_that_is_paused_puts_back_whom_it_took_out(role: Role, replicas: Replicas) -> None:
    role.patch(rollout_every_s=0.5)
    until(lambda: replicas.replaced, "the first is replaced")
    role.patch(rollout_every_s=0.0)
    replicas.unready.clear()
    until(lambda: {decide(role)["replica"] for _ in range(20)} == {"serving-a", "serving-b"}, "both are asked")
    replaced = list(replicas.replaced)
    assert {decide(role)["fallback"] for _ in range(20)} == {False}
    assert replicas.replaced == replaced


def test_a_reset_ends_it(role: Role, replicas: Replicas) -> None:
    role.patch(rollout_every_s=0.5, rollout_ready_check=False)
    until(lambda: replicas.replaced, "the first is replaced")
    role.post("/admin/reset")
    settings = role.get("/config")
    assert (settings["rollout_every_s"], settings["rollout_ready_check"]) == (0.0, True)


def test_how_often_must_make_sense(role: Role) -> None:
    assert "in 0.5..600 s" in role.patch(400, rollout_every_s=0.1)["error"]
