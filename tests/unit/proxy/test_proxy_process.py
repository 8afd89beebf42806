"""The program: how it ends, and what its peers see of that."""

from __future__ import annotations

import signal
import socket

from harness.proxy.client import ProxyClient
from tests.unit.proxy.support import WAIT_S, join, receive, start_proxy
from tests.unit.proxy.support import TestLink as Link


def link_of(api: str, listener: socket.socket) -> Link:
    client = ProxyClient(api)
    upstream = f"127.0.0.1:{listener.getsockname()[1]}"
    made = client.populate([{"name": "a", "listen": "127.0.0.1:0", "upstream": upstream}])
    return Link(client, "a", made[0].port)


def test_terminated_it_gives_on_what_it_holds_and_closes_cleanly(listener: socket.socket) -> None:
    started = start_proxy()
    link = link_of(started.api, listener)
    pair = join(link, listener)
    link.client.add_toxic("a", name="slow", type="latency", attributes={"latency": 3_600_000})
    pair.server.sendall(b"held")
    pair.client.sendall(b"ping")
    assert receive(pair.server, 4) == b"ping"
    assert started.end() == 0
    assert receive(pair.client, 4) == b"held"
    assert pair.client.recv(1) == b""
    assert pair.server.recv(1) == b""
    pair.close()


def test_killed_its_peers_see_the_end(listener: socket.socket) -> None:
    started = start_proxy()
    pair = join(link_of(started.api, listener), listener)
    started.process.send_signal(signal.SIGKILL)
    started.process.wait(WAIT_S)
    assert pair.client.recv(1) == b""
    assert pair.server.recv(1) == b""
    pair.close()
