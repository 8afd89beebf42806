"""A path without a toxic is a wire: no byte lost, changed or reordered, and each direction ends as its sender ended it."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.proxy.support import WAIT_S, Pair, TestLink, join, receive, until

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def stream(seed: int, size: int) -> bytes:
    """Bytes in which any loss, doubling or swap shows."""
    return b"".join(struct.pack(">II", seed, n) for n in range(size // 8 + 1))[:size]


def send_in(sock: socket.socket, data: bytes, cuts: Sequence[int]) -> None:
    at = 0
    for cut in cuts:
        sock.sendall(data[at : at + cut])
        at += cut
    sock.sendall(data[at:])


def digest(data: bytes) -> tuple[int, str]:
    """What a failure shows instead of megabytes."""
    return len(data), hashlib.sha256(data).hexdigest()


def read_to_end(sock: socket.socket, *, bite: int = 65536) -> bytes:
    parts = []
    while part := sock.recv(bite):
        parts.append(part)
    return b"".join(parts)


class Sender(threading.Thread):
    def __init__(self, sock: socket.socket, data: bytes, cuts: Sequence[int], *, end: bool) -> None:
        super().__init__(daemon=True)
        self._job = (sock, data, cuts, end)
        self.start()

    def run(self) -> None:
        sock, data, cuts, end = self._job
        send_in(sock, data, cuts)
        if end:
            sock.shutdown(socket.SHUT_WR)


sizes = st.integers(0, 300_000)
chunkings = st.lists(st.integers(1, 5_000), max_size=12)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(up=sizes, down=sizes, up_cuts=chunkings, down_cuts=chunkings, client_first=st.booleans(), latency=st.booleans())
def test_both_directions_arrive_byte_for_byte_and_end_apart(
    link_to: Callable[[int], TestLink],
    listener: socket.socket,
    up: int,
    down: int,
    up_cuts: list[int],
    down_cuts: list[int],
    client_first: bool,
    latency: bool,
) -> None:
    """One direction is ended while the other has yet to speak; a latency toxic may delay, not change."""
    link = link_to(listener.getsockname()[1])
    if latency:
        for side in ("upstream", "downstream"):
            attributes = {"latency": 2, "jitter": 2}
            link.client.add_toxic(link.name, name=side, type="latency", stream=side, attributes=attributes)
    pair = join(link, listener)
    first, second = (pair.client, pair.server) if client_first else (pair.server, pair.client)
    first_data, second_data = stream(1, up), stream(2, down)
    one = Sender(first, first_data, up_cuts, end=True)
    assert read_to_end(second) == first_data
    two = Sender(second, second_data, down_cuts, end=True)
    assert read_to_end(first) == second_data
    one.join(WAIT_S)
    two.join(WAIT_S)
    pair.close()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(size=st.integers(1, 3_000_000), cuts=chunkings, bite=st.sampled_from([777, 20_000, 1 << 20]))
def test_full_duplex_bulk_arrives_byte_for_byte_also_at_slow_readers(
    link_to: Callable[[int], TestLink], listener: socket.socket, size: int, cuts: list[int], bite: int
) -> None:
    """Smallish receive buffers and small bites keep the proxy's own queues full."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    pair = join(link_to(listener.getsockname()[1]), listener)
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    up, down = stream(3, size), stream(4, size)
    senders = [Sender(pair.client, up, cuts, end=True), Sender(pair.server, down, cuts[::-1], end=True)]
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_to_end(pair.server, bite=bite)), daemon=True)
    reader.start()
    assert digest(read_to_end(pair.client, bite=bite)) == digest(down)
    reader.join(WAIT_S)
    assert digest(got[0]) == digest(up)
    for sender in senders:
        sender.join(WAIT_S)
    pair.close()


@pytest.mark.parametrize("from_client", [True, False])
def test_a_reset_is_passed_on_as_a_reset(pair: Pair, from_client: bool) -> None:
    one, other = (pair.client, pair.server) if from_client else (pair.server, pair.client)
    one.sendall(b"before")
    assert receive(other, 6) == b"before"
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    one.close()
    with pytest.raises(ConnectionResetError):
        other.recv(1)


def test_a_reset_after_a_half_close_ends_the_other_direction(pair: Pair) -> None:
    pair.client.sendall(b"all")
    pair.client.shutdown(socket.SHUT_WR)
    assert read_to_end(pair.server) == b"all"
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    pair.client.close()

    def refused() -> bool:
        try:
            pair.server.sendall(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    until(refused)


def test_a_slow_reader_stops_the_sender_and_loses_nothing(pair: Pair) -> None:
    data = stream(5, 30_000_000)
    sent = []

    def send() -> None:
        pair.client.settimeout(None)
        for at in range(0, len(data), 1 << 20):
            pair.client.sendall(data[at : at + (1 << 20)])
            sent.append(at)
        pair.client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    quiet = -1

    def stalled() -> bool:
        nonlocal quiet
        before, quiet = quiet, len(sent)
        sender.join(0.3)
        return before == quiet == len(sent)

    until(stalled)
    assert len(sent) < 28, "all of it was taken although nobody read"
    assert digest(read_to_end(pair.server)) == digest(data)
    sender.join(WAIT_S)


def test_an_end_waits_for_the_bytes_before_it_that_nobody_took_yet(
    link_to: Callable[[int], TestLink], listener: socket.socket
) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    pair = join(link_to(listener.getsockname()[1]), listener)
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    data = stream(6, 60_000_000)
    pair.client.settimeout(0.3)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += pair.client.send(data[sent : sent + 65536])
    pair.client.shutdown(socket.SHUT_WR)
    assert digest(read_to_end(pair.server, bite=4096)) == digest(data[:sent])
    pair.close()


def test_an_upstream_that_is_down_closes_the_client(link_to: Callable[[int], TestLink]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with link_to(free.getsockname()[1]).connect() as sock:
            assert sock.recv(1) == b""


def test_disabling_cuts_open_connections_and_refuses_new_ones_until_enabled(
    pair: Pair, listener: socket.socket
) -> None:
    pair.client.sendall(b"ping")
    assert receive(pair.server, 4) == b"ping"
    pair.link.client.set_enabled(pair.link.name, False)
    assert pair.client.recv(1) == b""
    assert pair.server.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        pair.link.connect()
    assert pair.link.client.set_enabled(pair.link.name, True).port == pair.link.port
    again = join(pair.link, listener)
    again.client.sendall(b"pong")
    assert receive(again.server, 4) == b"pong"
    again.close()


def test_while_disabled_nobody_else_gets_the_port(pair: Pair) -> None:
    pair.link.client.set_enabled(pair.link.name, False)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", pair.link.port))


def test_many_connections_at_once_keep_apart(link_to: Callable[[int], TestLink], listener: socket.socket) -> None:
    listener.listen(256)
    link = link_to(listener.getsockname()[1])
    pairs = [join(link, listener) for _ in range(100)]
    for n, pair in enumerate(pairs):
        pair.client.sendall(b"%04d" % n)
    assert [receive(pair.server, 4) for pair in pairs] == [b"%04d" % n for n in range(100)]
    for pair in pairs:
        pair.close()
