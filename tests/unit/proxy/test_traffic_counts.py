"""Bytes are counted per link and direction: those read, and those that the other side's socket took."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.proxy.link import Link, Links
from harness.proxy.loop import Loop, Wake
from tests.unit.proxy.support import WAIT_S, receive, until


@dataclass
class Inside:
    """A link whose insides a test may read; a thread serves it."""

    link: Link
    near: socket.socket
    far: socket.socket


@pytest.fixture
def inside(listener: socket.socket) -> Iterator[Inside]:
    loop = Loop()
    links = Links(loop, 1)
    link = links.make("a", "127.0.0.1:0", f"127.0.0.1:{listener.getsockname()[1]}")
    links.add(link, start=True)
    stop = Wake(loop, loop.stop)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", int(link.listen.rpartition(":")[2])), timeout=WAIT_S) as near:
        far, _ = listener.accept()
        with far:
            far.settimeout(WAIT_S)
            yield Inside(link, near, far)
    stop.wake()
    thread.join(WAIT_S)
    links.remove("a")


def test_what_passes_is_counted_in_its_own_direction(inside: Inside) -> None:
    inside.near.sendall(b"x" * 1000)
    inside.far.sendall(b"y" * 77)
    assert receive(inside.far, 1000) == b"x" * 1000
    assert receive(inside.near, 77) == b"y" * 77
    passed = {"upstream": 1000, "downstream": 77}
    until(lambda: inside.link.bytes_received == inside.link.bytes_sent == passed)


def test_what_nobody_took_is_received_and_not_sent(inside: Inside) -> None:
    inside.near.settimeout(0.3)
    given = 0
    before = (-1, -1)

    def is_full() -> bool:
        """Whether nothing moves any more: the proxy holds some, and its two peers' buffers the rest."""
        nonlocal given, before
        with contextlib.suppress(TimeoutError):
            while True:
                given += inside.near.send(bytes(1 << 20))
        was, before = before, (inside.link.bytes_received["upstream"], inside.link.bytes_sent["upstream"])
        return was == before and before[0] > before[1]

    until(is_full)
    assert before[1] < before[0] <= given
    receive(inside.far, given)
    until(lambda: inside.link.bytes_sent["upstream"] == inside.link.bytes_received["upstream"] == given)
