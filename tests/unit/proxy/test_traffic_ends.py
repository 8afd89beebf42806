"""However a connection ends, nothing of it is left in the proxy, and its peers see an end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.proxy.support import Pair, ProxyProcess, TestLink, join, receive, until

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
KEEPALIVE = "02"
"""What the kernel's table says of a socket whose only timer is that of keepalives."""


def descriptors(proxy: ProxyProcess) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def end(sock: socket.socket, how: str) -> None:
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


@pytest.mark.parametrize("client_first", [True, False])
@pytest.mark.parametrize("second", ["close", "reset"])
@pytest.mark.parametrize("first", ["close", "half-close", "reset"])
def test_nothing_is_left_of_a_connection(
    proxy: ProxyProcess,
    link_to: Callable[[int], TestLink],
    listener: socket.socket,
    first: str,
    second: str,
    client_first: bool,
) -> None:
    link = link_to(listener.getsockname()[1])
    before = descriptors(proxy)
    for _ in range(5):
        pair = join(link, listener)
        pair.client.sendall(b"ping")
        assert receive(pair.server, 4) == b"ping"
        one, other = (pair.client, pair.server) if client_first else (pair.server, pair.client)
        if first == "half-close":
            one.shutdown(socket.SHUT_WR)
        else:
            end(one, first)
        with contextlib.suppress(ConnectionResetError):
            assert other.recv(1) == b""
        end(other, second)
        one.close()
    until(lambda: descriptors(proxy) <= before)


def test_an_upstream_that_resets_at_once_resets_the_client(pair: Pair) -> None:
    end(pair.server, "reset")
    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)


def test_a_byte_at_a_time_passes_as_it_comes(pair: Pair) -> None:
    for value in range(256):
        pair.client.sendall(bytes([value]))
        assert receive(pair.server, 1) == bytes([value])
        pair.server.sendall(bytes([255 - value]))
        assert receive(pair.client, 1) == bytes([255 - value])


def test_the_kernel_looks_after_peers_that_may_have_vanished(proxy: ProxyProcess, pair: Pair) -> None:
    """Such a peer sends no end, so only a keepalive tells; the kernel's table says whose is armed."""
    pair.client.sendall(b"ping")
    assert receive(pair.server, 4) == b"ping"
    ports = {pair.link.port, pair.server.getpeername()[1]}

    def armed() -> set[int]:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [row for row in rows if row[3] == "01"]
        return {int(row[1].split(":")[1], 16) for row in established if row[5].startswith(KEEPALIVE)} & ports

    until(lambda: armed() == ports)
