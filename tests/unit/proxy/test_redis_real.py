"""Taps on a real Redis, driven by the library that people use and by the reference pipeline's bus."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.held_ports import free_port
from tests.unit.proxy.support import WAIT_S, TestLink, until

redis = pytest.importorskip("redis", reason="the client library of Redis isn't installed")
SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server isn't installed")

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    assert SERVER is not None
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("redis")
    command = [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    direct = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return bool(direct.ping())
        except redis.ConnectionError:
            return False

    until(answers)
    yield port
    process.terminate()
    process.wait(WAIT_S)


@pytest.fixture
def direct(server: int) -> Iterator[redis.Redis]:
    client = redis.Redis(port=server)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def link(link_to: Callable[[int], TestLink], server: int) -> TestLink:
    return link_to(server)


def add_tap(link: TestLink, stream: str, **fields: object) -> None:
    # With all the time that there is: on a busy machine a message may be long in coming, and work on it too.
    body = {"name": "tap", "kind": "redis", "stream": stream, "field": "e", "corrupt": SCALE, "within_ms": 60_000}
    body |= fields
    link.client._call("POST", f"/proxies/{link.name}/taps", body)


def counters(link: TestLink) -> dict[str, object]:
    shown = link.client._call("GET", f"/proxies/{link.name}/taps/tap")
    return shown["counters"]


def row(n: int, amount: int = 5) -> bytes:
    return json.dumps({"id": f"t-{n}", "amount": amount}).encode()


@pytest.mark.parametrize("protocol", [2, 3])
def test_reads_through_the_library(link: TestLink, direct: redis.Redis, protocol: int) -> None:
    for n in range(3):
        direct.xadd("shop", {"e": row(n)}, id=f"{n + 1}-0")
    direct.xgroup_create("shop", "g", id="0")
    with redis.Redis(port=link.port, protocol=protocol) as near:
        near.ping()
        add_tap(link, "downstream", keys="shop")

        def amounts(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> list[int]:
            return [json.loads(fields[b"e"])["amount"] for _, fields in entries]

        def flat(answer: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
            pages = answer.values() if isinstance(answer, dict) else [page for _, page in answer]  # type: ignore[attr-defined] # by protocol
            found = [entry for page in pages for entry in page]
            return found[0] if found and isinstance(found[0], list) else found

        assert amounts(near.xrange("shop")) == [500] * 3
        assert amounts(near.xrevrange("shop", count=2)) == [500] * 2
        assert amounts(flat(near.xread({"shop": "0"}))) == [500] * 3
        assert amounts(flat(near.xreadgroup("g", "c", {"shop": ">"}))) == [500] * 3
        assert amounts(near.xclaim("shop", "g", "d", 0, ["1-0"])) == [500]
        assert amounts(near.xautoclaim("shop", "g", "d", 0)[1]) == [500] * 3
        with near.pipeline(transaction=True) as together:
            together.set("k", "v")
            together.xrange("shop", count=1)
            together.get("k")
            _, entries, value = together.execute()
        assert (amounts(entries), value) == ([500], b"v")
        assert near.eval("return redis.call('XLEN', KEYS[1])", 1, "shop") == 3
        assert amounts(direct.xrange("shop")) == [5] * 3
    found = counters(link)
    assert found["passed"] == {}
    assert found["records_damaged"] == 3 + 2 + 3 + 3 + 1 + 3 + 1


def test_added_entries(link: TestLink, direct: redis.Redis) -> None:
    with redis.Redis(port=link.port) as near:
        near.ping()
        add_tap(link, "upstream", keys="shop", field="", id="id")
        near.xadd("shop", {"id": "a", "amount": "2.5", "note": b"\xff\r\n"}, maxlen=100)
        near.xadd("other", {"id": "a", "amount": 5})
    assert [fields for _, fields in direct.xrange("shop")] == [{b"id": b"a", b"amount": b"250.0", b"note": b"\xff\r\n"}]
    assert direct.xrange("other")[0][1][b"amount"] == b"5"


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_consumer_that_waits_when_the_tap_comes(link: TestLink, direct: redis.Redis, protocol: int) -> None:
    direct.xgroup_create("shop", "g", id="0", mkstream=True)
    got: list[object] = []

    def consume() -> None:
        with redis.Redis(port=link.port, protocol=protocol) as near:
            for _ in range(2):
                got.append(near.xreadgroup("g", "c", {"shop": ">"}, block=int(WAIT_S * 1000)))

    def waits() -> bool:
        return any(client["cmd"] == "xreadgroup" and "b" in client["flags"] for client in direct.client_list())

    consumer = threading.Thread(target=consume)
    consumer.start()
    until(waits)
    add_tap(link, "downstream", keys="shop")
    direct.xadd("shop", {"e": row(1)})
    until(lambda: len(got) == 1 and waits())
    direct.xadd("shop", {"e": row(2)})
    consumer.join(WAIT_S)
    assert [b'"amount":500' in repr(answer).encode() for answer in got] == [True, True]
    assert counters(link)["passed"] == {}


def test_a_reply_beyond_what_is_queued_without_a_tap(link: TestLink, direct: redis.Redis) -> None:
    """Back-pressure must not stop the reading of what the tap waits for."""
    document = {"id": "a", "amount": 5, "note": "x" * (6 << 20)}
    direct.xadd("shop", {"e": json.dumps(document)})
    add_tap(link, "downstream", body_bytes=16 << 20)
    with redis.Redis(port=link.port) as near:
        ((_, fields),) = near.xrange("shop")
    assert json.loads(fields[b"e"]) == document | {"amount": 500}


def test_a_subscriber_gets_its_messages(link: TestLink, direct: redis.Redis) -> None:
    add_tap(link, "downstream")
    with redis.Redis(port=link.port) as near, near.pubsub() as subscriber:
        subscriber.subscribe("c")
        until(lambda: (subscriber.get_message(timeout=1) or {}).get("type") == "subscribe")
        direct.publish("c", b"hello")
        until(lambda: (subscriber.get_message(timeout=1) or {}).get("data") == b"hello")
    assert counters(link)["passed"] == {"subscribed": 1}


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_the_reference_pipelines_bus(link: TestLink, direct: redis.Redis, stream: str) -> None:
    from pipeline.redisbus import RedisPeer

    async def talk() -> list[object]:
        peer = RedisPeer(f"redis://127.0.0.1:{link.port}/0", timeout_s=WAIT_S)
        group = {"consumer": "c", "count": 10, "block_ms": 0}
        await peer.post_json("/streams/shop/groups/g/read", group)
        add_tap(
            link, stream, keys="shop", **({"commands": ["XADD", "EVALSHA", "EVAL"]} if stream == "upstream" else {})
        )
        await peer.post_json("/streams/shop", {"entries": [{"id": f"t-{n}", "amount": n} for n in range(1, 4)]})
        answer = await peer.post_json("/streams/shop/groups/g/read", group)
        await peer.post_json("/streams/shop/groups/g/ack", {"ids": [entry_id for entry_id, _ in answer["entries"]]})
        page = await peer.get_json("/streams/shop?after=0&limit=10")
        await peer.close()
        assert [record["entry"] for record in page["records"]] == [entry for _, entry in answer["entries"]]
        return [entry["amount"] for _, entry in answer["entries"]]

    assert asyncio.run(talk()) == [100, 200, 300]
    kept = [json.loads(fields[b"e"])["amount"] for _, fields in direct.xrange("shop")]
    assert kept == ([100, 200, 300] if stream == "upstream" else [1, 2, 3])
    assert counters(link)["passed"] == {}
