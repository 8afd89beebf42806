"""What moves in bulk takes turns, and is a wire all the same: nothing is lost, doubled or swapped, whatever happens in it."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.proxy.support import WAIT_S, Pair, TestLink, join, until

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
KIB = 1024


class End(Enum):
    HALF_CLOSE = "half-close"
    RESET = "reset"


def stream(seed: int, size: int) -> bytes:
    """Bytes in which any loss, doubling or swap shows."""
    return random.Random(seed).randbytes(size)


class Speaker(threading.Thread):
    """Sends in chunks, with what bounds the system's own buffers; then ends its direction."""

    def __init__(self, sock: socket.socket, data: bytes, chunks: list[int], *, ends: bool = True) -> None:
        super().__init__(daemon=True)
        self.sock, self.data, self.chunks, self.ends = sock, data, chunks, ends
        self.start()

    def run(self) -> None:
        at = 0
        with contextlib.suppress(ConnectionError):
            for size in self.chunks:
                self.sock.sendall(self.data[at : at + size])
                at += size
            self.sock.sendall(self.data[at:])
            if self.ends:
                self.sock.shutdown(socket.SHUT_WR)


class Hearer(threading.Thread):
    """Reads until the end, in bites, and keeps how it ended."""

    def __init__(self, sock: socket.socket, bite: int = 1 << 20) -> None:
        super().__init__(daemon=True)
        self.sock, self.bite, self.heard, self.reset = sock, bite, bytearray(), False
        self.start()

    def run(self) -> None:
        try:
            while part := self.sock.recv(self.bite):
                self.heard += part
        except ConnectionResetError:
            self.reset = True
        except OSError:
            return  # the test is over, and closed it

    def all(self) -> bytes:
        self.join(WAIT_S)
        assert not self.is_alive(), "its stream never ended"
        return bytes(self.heard)


# Around the bounds at which a flow becomes one in bulk and stops being one.
chunkings = st.lists(
    st.one_of(st.integers(1, 20 * KIB), st.integers(100 * KIB, 300 * KIB), st.integers(1 << 20, 2 << 20)), max_size=8
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(up=chunkings, down=chunkings, bite=st.sampled_from([5_000, 200_000, 1 << 20]), seed=st.integers(0, 1000))
def test_both_directions_arrive_byte_for_byte_in_and_out_of_bulk(
    link_to: Callable[[int], TestLink],
    listener: socket.socket,
    up: list[int],
    down: list[int],
    bite: int,
    seed: int,
) -> None:
    pair = join(link_to(listener.getsockname()[1]), listener)
    above, below = stream(seed, sum(up)), stream(seed + 1, sum(down))
    hearers = [Hearer(pair.server, bite), Hearer(pair.client, bite)]
    speakers = [Speaker(pair.client, above, up), Speaker(pair.server, below, down)]
    assert hearers[0].all() == above
    assert hearers[1].all() == below
    for speaker in speakers:
        speaker.join(WAIT_S)
    pair.close()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(chunks=chunkings, from_client=st.booleans(), ends=st.sampled_from(End), seed=st.integers(0, 1000))
def test_what_came_before_an_end_is_a_true_beginning(
    link_to: Callable[[int], TestLink],
    listener: socket.socket,
    chunks: list[int],
    from_client: bool,
    ends: End,
    seed: int,
) -> None:
    """A reset may overtake bytes in the system's own buffers: what is read is then the first part, and no more."""
    pair = join(link_to(listener.getsockname()[1]), listener)
    one, other = (pair.client, pair.server) if from_client else (pair.server, pair.client)
    data = stream(seed, sum(chunks))
    hearer = Hearer(other)
    Speaker(one, data, chunks, ends=ends is End.HALF_CLOSE).join(WAIT_S)
    if ends is End.RESET:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        one.close()
    heard = hearer.all()
    assert data.startswith(heard)
    assert hearer.reset is (ends is End.RESET)
    if ends is End.HALF_CLOSE:
        assert heard == data
    pair.close()


def test_a_toxic_that_comes_and_goes_in_the_middle_of_bulk_loses_nothing(pair: Pair) -> None:
    data = stream(1, 60 << 20)
    hearer = Hearer(pair.server)
    speaker = Speaker(pair.client, data, [])
    for n in range(12):
        size = (n + 1) * (4 << 20)
        until(lambda size=size: len(hearer.heard) >= size)
        attributes = {"latency": 5}
        pair.link.client.add_toxic(pair.link.name, name="t", type="latency", stream="upstream", attributes=attributes)
        pair.link.client.remove_toxic(pair.link.name, "t")
    assert hearer.all() == data
    speaker.join(WAIT_S)


def test_a_toxic_takes_effect_at_once_in_the_middle_of_bulk(pair: Pair) -> None:
    """Once the call is answered nothing more passes but what the other side's socket had taken before."""
    stop = threading.Event()

    def flood() -> None:
        piece = bytes(1 << 20)
        with contextlib.suppress(OSError):
            while not stop.is_set():
                pair.client.sendall(piece)

    pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * KIB)
    threading.Thread(target=flood, daemon=True).start()
    hearer = Hearer(pair.server)
    until(lambda: len(hearer.heard) > 32 << 20)
    pair.link.client.add_toxic(pair.link.name, name="t", type="timeout", stream="upstream", attributes={"timeout": 0})
    quiet = -1

    def silent() -> bool:
        nonlocal quiet
        before, quiet = quiet, len(hearer.heard)
        hearer.join(0.3)
        return before == quiet == len(hearer.heard)

    heard = len(hearer.heard)
    until(silent)
    assert len(hearer.heard) - heard < 16 << 20
    stop.set()
    pair.client.close()


@pytest.mark.parametrize("connections", [1, 8])
def test_small_messages_pass_beside_bulk_that_never_stops(
    link_to: Callable[[int], TestLink], listener: socket.socket, connections: int
) -> None:
    link = link_to(listener.getsockname()[1])
    stop = threading.Event()

    def flood(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                sock.sendall(bytes(1 << 20))

    loaded = [join(link, listener) for _ in range(connections)]
    hearers = [Hearer(pair.server) for pair in loaded]
    for pair in loaded:
        threading.Thread(target=flood, args=(pair.client,), daemon=True).start()
    small = join(link, listener)
    until(lambda: all(len(hearer.heard) > 4 << 20 for hearer in hearers))  # each of them has its turns
    for n in range(200):
        small.client.sendall(b"%04d" % n)
        assert small.server.recv(4, socket.MSG_WAITALL) == b"%04d" % n
    stop.set()
    for pair in (*loaded, small):
        pair.close()
