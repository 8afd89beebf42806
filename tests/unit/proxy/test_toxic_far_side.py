"""What each toxic does to real connections, read at their far side."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.proxy.connection import Connection, Flow, Pipe
from harness.proxy.stage import Mark
from tests.unit.proxy.support import WAIT_S, EchoServer, Pair, TestLink, join, receive, until

HOUR_MS = 3_600_000
BYTES = random.Random(3).randbytes(2_000_000)


def ask(link: TestLink, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, dict[str, int]]:
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://{link.client.address}/proxies/{link.name}/toxics{path}"
        answer = session.request(method, url, json=body, timeout=WAIT_S)
    assert answer.ok, answer.text
    return answer.json() if answer.content else {}


def add(
    pair: Pair | TestLink,
    kind: str,
    *,
    name: str = "",
    stream: str = "downstream",
    per: str = "connection",
    toxicity: float = 1.0,
    **attributes: int,
) -> None:
    link = pair.link if isinstance(pair, Pair) else pair
    body: dict[str, object] = {"name": name or kind, "type": kind, "stream": stream, "toxicity": toxicity}
    ask(link, "POST", "", body | {"attributes": attributes, "per": per})


def affected(pair: Pair | TestLink, name: str) -> dict[str, int]:
    link = pair.link if isinstance(pair, Pair) else pair
    return ask(link, "GET", f"/{name}?counters=1")["affected"]


def remove(pair: Pair, name: str) -> None:
    ask(pair.link, "DELETE", f"/{name}")


def ends(pair: Pair, stream: str) -> tuple[socket.socket, socket.socket]:
    """Who sends and who receives."""
    return (pair.client, pair.server) if stream == "upstream" else (pair.server, pair.client)


@contextmanager
def sending(sock: socket.socket, data: bytes) -> Iterator[None]:
    thread = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
    thread.start()
    yield
    thread.join(WAIT_S)


both = pytest.mark.parametrize("stream", ["upstream", "downstream"])

# Times are bounded from below only: no load can make anything faster.


@both
def test_bandwidth_is_never_exceeded_and_loses_nothing(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "bandwidth", stream=stream, rate=1_000)
    began_s = time.monotonic()
    with sending(sender, BYTES[:400_000]):
        got = b""
        while len(got) < 400_000:
            got += receiver.recv(65536)
            assert len(got) <= 1_000_000 * (time.monotonic() - began_s)
    assert got == BYTES[:400_000]
    shown = affected(pair, "bandwidth")
    assert (shown["connections"], shown["bytes"]) == (1, 400_000)


def test_removing_a_slow_bandwidth_gives_on_at_once_what_is_held(pair: Pair) -> None:
    add(pair, "bandwidth", rate=1)
    pair.server.sendall(BYTES[:100_000])
    until(lambda: affected(pair, "bandwidth")["chunks"] > 0)
    remove(pair, "bandwidth")
    pair.server.sendall(b"after")
    assert receive(pair.client, 100_005) == BYTES[:100_000] + b"after"


def test_a_faster_rate_holds_for_what_is_held(pair: Pair) -> None:
    add(pair, "bandwidth", rate=1)
    pair.server.sendall(BYTES[:200_000])
    until(lambda: affected(pair, "bandwidth")["chunks"] > 0)
    ask(pair.link, "PATCH", "/bandwidth", {"attributes": {"rate": 100_000}})
    assert receive(pair.client, 200_000) == BYTES[:200_000]


def test_a_slow_link_stops_its_sender(pair: Pair) -> None:
    add(pair, "bandwidth", rate=1)
    pair.server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        pair.server.sendall(bytes(100_000_000))


@both
def test_slow_close_delays_the_end_and_nothing_else(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "slow_close", stream=stream, delay=150)
    began_s = time.monotonic()
    sender.sendall(b"last")
    sender.shutdown(socket.SHUT_WR)
    assert receive(receiver, 4) == b"last"
    assert receiver.recv(1) == b""
    assert time.monotonic() - began_s >= 0.149
    assert affected(pair, "slow_close")["connections"] == 1


def test_removing_a_slow_close_ends_at_once(pair: Pair) -> None:
    add(pair, "slow_close", delay=HOUR_MS)
    pair.server.shutdown(socket.SHUT_WR)
    until(lambda: affected(pair, "slow_close")["connections"] == 1)
    remove(pair, "slow_close")
    assert pair.client.recv(1) == b""


@both
def test_slices_arrive_one_by_one_and_whole_in_sum(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "slicer", stream=stream, average_size=100, size_variation=10, delay=2_000)
    began_s = time.monotonic()
    sender.sendall(BYTES[:5_000])
    assert receive(receiver, 5_000) == BYTES[:5_000]
    assert time.monotonic() - began_s >= 44 * 0.002


@both
def test_limit_data_closes_both_ends_behind_exactly_its_bytes(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "limit_data", stream=stream, bytes=1_000)
    add(pair, "latency", stream=stream, latency=50)
    sender.sendall(BYTES[:700])
    assert receive(receiver, 700) == BYTES[:700]
    sender.sendall(BYTES[700:1_500])
    assert receive(receiver, 300) == BYTES[700:1_000]
    assert receiver.recv(1) == b""
    assert ended(sender)


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_limit_data_waits_for_a_slow_reader_before_it_closes(pair: Pair) -> None:
    add(pair, "limit_data", bytes=1_500_000)
    with sending(pair.server, BYTES[:1_500_000]):
        until(lambda: affected(pair, "limit_data")["connections"] == 1)
        assert receive(pair.client, 1_500_000) == BYTES[:1_500_000]
        assert pair.client.recv(1) == b""


def test_timeout_closes_a_connection_of_which_one_half_has_ended(pair: Pair) -> None:
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.server.recv(1) == b""
    add(pair, "timeout", stream="upstream", timeout=10)
    assert pair.client.recv(1) == b""


@both
def test_a_stalled_stream_stands_still_and_loses_nothing(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "stall", stream=stream, stall=30, loss=1000, segment=1000)
    began_s = time.monotonic()
    sender.sendall(BYTES[:5_000])
    assert receive(receiver, 5_000) == BYTES[:5_000]
    assert time.monotonic() - began_s >= 5 * 0.030 - 0.001
    assert affected(pair, "stall")["bytes"] == 5_000


def test_removing_a_stall_ends_it(pair: Pair) -> None:
    add(pair, "stall", stall=HOUR_MS, loss=1000)
    pair.server.sendall(b"stands")
    until(lambda: affected(pair, "stall")["chunks"] == 1)
    remove(pair, "stall")
    assert receive(pair.client, 6) == b"stands"


@both
def test_corruption_is_what_the_counters_say(pair: Pair, stream: str) -> None:
    sender, receiver = ends(pair, stream)
    add(pair, "corrupt", stream=stream, rate=10_000)
    with sending(sender, BYTES[:300_000]):
        got = receive(receiver, 300_000)
    wrong = [(a ^ b).bit_count() for a, b in zip(got, BYTES, strict=False) if a != b]
    assert len(wrong) == affected(pair, "corrupt")["bytes"]
    assert 2_700 <= len(wrong) <= 3_300
    assert set(wrong) == {1}


# per request and record


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body=body)
    return connection.getresponse().read()


@both
def test_latency_per_request_hits_whole_messages_and_keeps_them(
    link_to: Callable[[int], TestLink], echo: EchoServer, stream: str
) -> None:
    link = link_to(echo.server_address[1])
    add(link, "latency", stream=stream, per="request", toxicity=0.5, latency=30)
    connection = http.client.HTTPConnection("127.0.0.1", link.port, timeout=WAIT_S)
    slow = 0
    for n in range(16):
        body = b"%d " % n * 500
        began_s = time.monotonic()
        if n % 5 == 4:
            connection.request("HEAD", "/head")
            assert connection.getresponse().read() == b""
        else:
            assert post(connection, "/chunked" if n % 2 else "/plain", body) == body
        slow += time.monotonic() - began_s >= 0.030
    connection.close()
    shown = affected(link, "latency")
    assert (shown["connections"], shown["unframed"]) == (1, 0)
    assert 1 <= shown["requests"] <= 15
    assert slow >= shown["requests"], "each that was hit was seen to be late"


def test_reset_per_request_ends_connections_at_the_request_that_it_hits(
    link_to: Callable[[int], TestLink], echo: EchoServer
) -> None:
    link = link_to(echo.server_address[1])
    add(link, "reset_peer", stream="upstream", per="request", toxicity=0.2, timeout=0)
    resets = answered = 0
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", link.port, timeout=WAIT_S)
        try:
            for _ in range(20):
                assert post(connection, "/", b"[]") == b"[]"
                answered += 1
        except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
            resets += 1
        connection.close()
    assert resets >= 5
    assert answered >= 5
    assert affected(link, "reset_peer")["requests"] == resets
    assert len(echo.received) == answered, "a request that was hit never arrived"


def test_records_are_corrupted_one_by_one(pair: Pair) -> None:
    add(pair, "corrupt", per="record", toxicity=0.25, rate=100_000, bits=8)
    lines = [b"%04d " % n + b"a" * 100 + b"\n" for n in range(200)]
    with sending(pair.server, b"".join(lines)):
        got = receive(pair.client, 200 * 106)
    wrong = [n for n, line in enumerate(lines) if got[n * 106 : (n + 1) * 106] != line]
    assert len(wrong) == affected(pair, "corrupt")["records"]
    assert 20 <= len(wrong) <= 90


# whatever happens in mid-stream

KINDS: dict[str, dict[str, int]] = {
    "latency": {"latency": 3, "jitter": 3},
    "bandwidth": {"rate": 50_000},
    "slicer": {"average_size": 4_000, "size_variation": 1_000, "delay": 10},
    "stall": {"stall": 2, "loss": 5},
    "slow_close": {"delay": 5},
    "noop": {},
}
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(["upstream", "downstream"]),
        st.sampled_from(["connection", "record"]),
        st.booleans(),
    ),
    max_size=6,
)


@given(changes=CHANGES)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nothing_is_lost_or_reordered_on_real_connections(
    link_to: Callable[[int], TestLink], listener: socket.socket, changes: list[tuple[str, str, str, bool]]
) -> None:
    pair = join(link_to(listener.getsockname()[1]), listener)
    got: dict[str, bytes] = {}

    def read_all(stream: str) -> None:
        parts = []
        while part := ends(pair, stream)[1].recv(1 << 20):
            parts.append(part)
        got[stream] = b"".join(parts)

    def send_all(stream: str) -> None:
        sock = ends(pair, stream)[0]
        sock.sendall(BYTES)
        sock.shutdown(socket.SHUT_WR)

    threads = [
        threading.Thread(target=call, args=(stream,), daemon=True)
        for stream in ("upstream", "downstream")
        for call in (read_all, send_all)
    ]
    for thread in threads:
        thread.start()
    for n, (kind, stream, per, goes) in enumerate(changes):
        per = "connection" if kind in ("slow_close", "noop") else per
        add(pair, kind, name=f"t{n}", stream=stream, per=per, toxicity=1 if per == "connection" else 0.3, **KINDS[kind])
        if goes:
            remove(pair, f"t{n}")
        else:
            ask(pair.link, "PATCH", f"/t{n}", {"attributes": KINDS[kind], "toxicity": 0.5})
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "it hangs"
    pair.close()
    assert got["upstream"] == BYTES
    assert got["downstream"] == BYTES


def test_nothing_follows_a_close_that_waits_for_a_slow_reader() -> None:
    source, target = socket.socketpair()
    ours, reader = socket.socketpair()
    closes: list[bool] = []
    connection = SimpleNamespace(closed=False, close=lambda: closes.append(True))
    with source, target, ours, reader:
        ours.setblocking(False)
        reader.settimeout(WAIT_S)
        pipe = Pipe(cast("Connection", connection), source, ours, Flow())
        pipe.deliver(bytes(4_000_000))
        pipe.deliver(Mark.CLOSE)
        pipe.deliver(b"after a hole")
        got = bytearray()
        while not closes:
            assert pipe.queued, "what is queued goes first"
            got += reader.recv(1 << 20)
            pipe.flush()
        ours.shutdown(socket.SHUT_WR)
        while part := reader.recv(1 << 20):
            got += part
    assert got == bytes(4_000_000)


def test_timeout_closes_although_the_peer_reads_nothing(pair: Pair) -> None:
    with sending(pair.server, bytes(1_000_000)):
        add(pair, "timeout", timeout=1)
        until(lambda: affected(pair, "timeout")["connections"] == 1)
    until(lambda: ended(pair.server))
