"""A proxy process for all tests of this folder, and links of their own for each."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.proxy.client import ProxyClient
from harness.proxy.tap import records, redis
from tests.unit.proxy.support import WAIT_S, Echo, EchoServer, Pair, ProxyProcess, TestLink, join, start_proxy

_names = itertools.count()


class StandingClock:
    """No time passes in it."""

    @staticmethod
    def perf_counter_ns() -> int:
        return 0


@pytest.fixture(scope="module", autouse=True)
def work_takes_no_time() -> Iterator[None]:
    """For taps in this process: one whose work took long lets the next messages pass, and a busy machine makes it long."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (records, redis):
            patched.setattr(module, "time", StandingClock)
        yield


@pytest.fixture(scope="session")
def proxy() -> Iterator[ProxyProcess]:
    started = start_proxy()
    yield started
    assert started.process.poll() is None, "the proxy died in some test"
    assert started.end() == 0


@pytest.fixture
def client(proxy: ProxyProcess) -> ProxyClient:
    return ProxyClient(proxy.api, timeout_s=WAIT_S)


@pytest.fixture
def link_to(client: ProxyClient) -> Callable[[int], TestLink]:
    def make(port: int) -> TestLink:
        name = f"link-{next(_names)}"
        made = client.populate([{"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"}])
        return TestLink(client, name, made[0].port)

    return make


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(WAIT_S)
        yield sock


@pytest.fixture
def pair(link_to: Callable[[int], TestLink], listener: socket.socket) -> Iterator[Pair]:
    made = join(link_to(listener.getsockname()[1]), listener)
    yield made
    made.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer(("127.0.0.1", 0), Echo)
    server.received = []
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(WAIT_S)
