"""Every test of this folder runs against each server: ours, and the real toxiproxy-server where it can be found.

`--proxy-api 127.0.0.1:8474` runs them against one that is there already; tests that must start a server themselves are then
skipped. The real one is `$TOXIPROXY_SERVER`, or `toxiproxy-server` on the path or in build/bin (`.ci/toxiproxy` puts it
there); `MLDRILL_TOXIPROXY=required` makes its absence a failure.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.proxy.peers import Link
from tests.conformance.proxy.servers import OURS, THEIRS, WAIT_S, Server, real_server, start

GIVEN = "given"
_names = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proxy-api", metavar="HOST:PORT", help="conformance tests: the API of a server that runs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "difference(id): what this test shows is that row of differences.yaml")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        there = [OURS, THEIRS] if real_server() is not None else [OURS]
        kinds = [GIVEN] if metafunc.config.getoption("--proxy-api", None) else there
        metafunc.parametrize("server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == GIVEN:
        found = Server(request.config.getoption("--proxy-api"), THEIRS)
        if found.ask("GET", "/leases").status == 200:
            found.kind = OURS
        yield found
        return
    started = start(request.param)
    yield started
    assert started.process is not None
    assert started.process.poll() is None, "the server died in some test"
    assert started.end() == 0


@pytest.fixture
def own(server: Server) -> Iterator[Callable[..., Server]]:
    """Starts another server of the same kind, with other words."""
    if server.process is None:
        pytest.skip("a server that was given can't be started again")
    started: list[Server] = []

    def begin(*words: str, **more: object) -> Server:
        started.append(start(server.kind, *words, **more))  # type: ignore[arg-type] # as `start` has them
        return started[-1]

    yield begin
    for each in started:
        assert each.process is not None
        each.process.kill()
        each.process.wait()


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as sock:
        sock.settimeout(WAIT_S)
        yield sock


@pytest.fixture
def joined(far: socket.socket) -> Callable[[Server], Link]:
    """Makes a link on a server to `far`."""

    def join(on: Server) -> Link:
        name = f"link-{os.getpid()}-{next(_names)}"
        upstream = f"127.0.0.1:{far.getsockname()[1]}"
        reply = on.ask("POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": upstream})
        assert reply.status == 201, reply.text
        made = reply.json
        assert isinstance(made, dict)
        return Link(on, name, int(made["listen"].rpartition(":")[2]), far)

    return join


@pytest.fixture
def link(server: Server, joined: Callable[[Server], Link]) -> Iterator[Link]:
    made = joined(server)
    yield made
    server.ask("DELETE", f"/proxies/{made.name}")


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """For a proxy of this test's own."""
    made = f"own-{os.getpid()}-{next(_names)}"
    yield made
    server.ask("DELETE", f"/proxies/{made}")
