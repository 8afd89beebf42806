"""The bus is one contract in two forms: each test runs against the embedded service and against a real Redis.

Redis is Debian's `redis-server`; where there is none, its half is skipped (the container tests have it in their image).
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import bus, buspeer, ingest, redisbus
from pipeline.buspeer import BusPeer
from pipeline.world import World
from tests.doubles.held_ports import free_port
from tests.unit.pipeline.roles import WAIT_S, Role, decision, gone, serving, until

REDIS = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on the path")
FORMS = ["http", pytest.param("redis", marks=REDIS)]
GROUP = "/streams/s/groups/g"


@dataclass(frozen=True)
class Bus:
    """The role, and the addresses at which roles reach its streams and its store."""

    role: Role
    streams: str
    store: str

    def ask(self, work: Callable[[BusPeer], Coroutine[Any, Any, Any]], *, store: bool = False) -> Any:
        async def asked() -> Any:
            peer = buspeer.connect(self.store if store else self.streams, timeout_s=WAIT_S)
            try:
                return await work(peer)
            finally:
                await peer.close()

        return asyncio.run(asked())

    def append(self, *numbers: int) -> int:
        return self.ask(lambda peer: peer.post_json("/streams/s", {"entries": [{"n": n} for n in numbers]}))["last"]

    def read(self, *, count: int = 100, block_ms: int = 0, group: str = GROUP) -> list[Any]:
        body = {"consumer": "c", "count": count, "block_ms": block_ms}
        return self.ask(lambda peer: peer.post_json(f"{group}/read", body))["entries"]

    def acknowledge(self, entries: list[Any]) -> None:
        self.ask(lambda peer: peer.post_json(f"{GROUP}/ack", {"ids": [entry_id for entry_id, _ in entries]}))

    def put(self, *, ttl_s: float = 60.0, **values: Any) -> None:
        items = {key: {"value": value, "event_time": 5.0} for key, value in values.items()}
        self.ask(lambda peer: peer.post_json("/kv/mset", {"items": items, "ttl_s": ttl_s}), store=True)

    def get(self, *keys: str) -> dict[str, Any]:
        return self.ask(lambda peer: peer.post_json("/kv/mget", {"keys": list(keys)}), store=True)["items"]


@contextmanager
def served(form: str, folder: Path) -> Iterator[Bus]:
    if form == "http":
        with serving(bus.build, folder) as role:
            yield Bus(role, role.url, role.url)
        return
    from pipeline import redisrole

    port = free_port()
    with serving(redisrole.build, folder, REDIS_PORT=str(port)) as role:
        until(lambda: role.status("/ready") == 200, "Redis is ready")
        yield Bus(role, f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/1")
    gone(folder)


@pytest.fixture(params=FORMS)
def one(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    with served(request.param, tmp_path) as one:
        yield one


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Bus]:
    with served("redis", tmp_path) as one:
        yield one


def numbers(entries: list[Any]) -> list[int]:
    return [entry["n"] for _, entry in entries]


def test_each_group_gets_everything_once(one: Bus) -> None:
    one.append(1, 2)
    assert numbers(one.read(count=1)) == [1]
    assert one.append(3) == 3
    assert numbers(one.read()) == [2, 3]
    assert one.read() == []
    assert numbers(one.read(group="/streams/s/groups/other")) == [1, 2, 3]


def test_what_is_not_acknowledged_comes_again(one: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    one.append(1, 2, 3)
    entries = one.read()
    one.acknowledge(entries[:1])
    assert one.read() == []
    monkeypatch.setattr(redisbus, "REDELIVER_AFTER_S", 0.0)
    if one.streams.startswith("http"):
        one.role.patch(redeliver_after_s=0.0)
    assert numbers(one.read()) == [2, 3]
    one.acknowledge(entries)
    assert one.read() == []
    assert one.role.get("/streams/s/info")["groups"]["g"] == {"delivered": 3, "lag": 0, "pending": 0}


def test_reading_by_cursor(one: Bus) -> None:
    one.append(1, 2, 3)
    first = one.ask(lambda peer: peer.get_json("/streams/s?after=0&limit=2"))
    assert [(r["offset"], r["entry"]["n"]) for r in first["records"]] == [(1, 1), (2, 2)]
    rest = one.ask(lambda peer: peer.get_json(f"/streams/s?after={first['next']}&limit=2"))
    assert [r["entry"]["n"] for r in rest["records"]] == [3]
    assert one.ask(lambda peer: peer.get_json("/streams/s?after=3&limit=2")) == {"records": [], "next": 3}


def test_a_waiting_read_wakes(one: Bus) -> None:
    async def both(peer: BusPeer) -> Any:
        body = {"consumer": "c", "count": 9, "block_ms": 4000}
        waiting = asyncio.create_task(peer.post_json(f"{GROUP}/read", body))
        while not (await asyncio.to_thread(one.role.get, "/streams/s/info"))["groups"]:
            await asyncio.sleep(0.01)
        await peer.post_json("/streams/s", {"entries": [{"n": 7}]})
        return (await waiting)["entries"]

    assert numbers(one.ask(both)) == [7]


def test_a_read_gives_up_after_its_time(one: Bus) -> None:
    assert one.read(block_ms=50) == []


@pytest.mark.parametrize("form", FORMS)
def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path, *, form: str) -> None:
    with served(form, tmp_path) as before:
        before.append(1, 2)
        before.acknowledge(before.read(count=1))
        before.put(k={"x": 1})
    with served(form, tmp_path) as after:
        assert numbers(after.read()) == [2]
        assert after.append(3) == 3
        assert after.get("k") == {"k": {"value": {"x": 1}, "event_time": 5.0}}


def test_reset_empties_and_ids_go_on(one: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    last = one.append(1, 2)
    one.read(count=1)
    one.put(k={})
    one.role.post("/admin/reset")
    info = one.role.get("/streams/s/info")
    assert (info["length"], info["groups"]) == (0, {"g": {"delivered": last, "lag": 0, "pending": 0}})
    assert one.ask(lambda peer: peer.get_json("/streams/s?after=0&limit=9")) == {"records": [], "next": 0}
    assert one.get("k") == {"k": None}
    monkeypatch.setattr(redisbus, "REDELIVER_AFTER_S", 0.0)
    assert one.append(3) > last
    assert numbers(one.read()) == [3]
    assert one.role.get("/streams/s/info")["groups"]["g"]["pending"] == 1


def test_values_expire_and_absent_keys_are_null(one: Bus) -> None:
    one.put(k={"x": None})
    one.put(old={}, ttl_s=0.0)
    time.sleep(0.002)  # the shortest life that Redis gives a key is a millisecond
    assert one.get("k", "old", "no") == {"k": {"value": {"x": None}, "event_time": 5.0}, "old": None, "no": None}


def test_more_calls_at_once_than_connections_are_all_answered(one: Bus) -> None:
    one.put(k=1)

    async def all_at_once(peer: BusPeer) -> list[Any]:
        return await asyncio.gather(*(peer.post_json("/kv/mget", {"keys": ["k"]}) for _ in range(100)))

    assert len(one.ask(all_at_once, store=True)) == 100


def test_nobody_answers(one: Bus) -> None:
    scheme = one.streams.partition(":")[0]

    async def asked() -> None:
        peer = buspeer.connect(f"{scheme}://127.0.0.1:{free_port()}")
        with pytest.raises(httpx.HTTPError):
            await peer.post_json("/streams/s", {"entries": [{}]})
        await peer.close()

    asyncio.run(asked())


@pytest.mark.parametrize("scheme", ["http", pytest.param("redis", marks=REDIS)])
def test_a_silent_peer_is_given_up(scheme: str) -> None:
    async def asked() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            peer = buspeer.connect(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)
            with pytest.raises(httpx.ReadTimeout):
                await peer.post_json("/kv/mget", {"keys": ["k"]})
            await peer.close()

    asyncio.run(asked())


@REDIS
def test_beyond_its_memory_keys_go_and_entries_stay(redis: Bus) -> None:
    redis.append(*range(10))
    redis.role.patch(maxmemory_mb=4)
    until(lambda: redis.role.metric("store_used_bytes"), "memory was measured")
    for batch in range(8):
        redis.put(**{f"k{batch}-{number}": {"text": "x" * 1000} for number in range(500)})
    until(lambda: redis.role.metric("evicted_keys_total") > 0, "keys were evicted")
    assert numbers(redis.read()) == list(range(10))
    redis.role.patch(status=400, maxmemory_mb=0)


@REDIS
def test_a_stream_keeps_its_newest(redis: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redisbus, "MAX_ENTRIES", 100)
    redis.append(*range(1000))
    assert 100 <= redis.role.get("/streams/s/info")["length"] < 300  # Redis drops whole nodes of its tree, not entries
    assert numbers(redis.read(count=1000))[-1] == 999


@REDIS
def test_ingest_reads_redis(redis: Bus, tmp_path: Path) -> None:
    payments = World(7).transactions(0, 3, event_time=1_000_000.0)
    with serving(ingest.build, tmp_path / "ingest", BUS_URL=redis.streams) as role:
        entries = {"entries": [decision(payment) for payment in payments]}
        redis.ask(lambda peer: peer.post_json("/streams/decisions", entries))
        until(lambda: len(role.records("/rows")) == 3, "ingest has the rows")
        assert [row["offset"] for row in role.records("/rows")] == [1, 2, 3]
        until(lambda: role.status("/ready") == 200, "they are acknowledged, and ingest says so")
        assert role.post("/ops/replay", {"since": 0.0}) == {"rows": 0}
    gone(tmp_path / "ingest")
