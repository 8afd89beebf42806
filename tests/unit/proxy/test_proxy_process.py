"""The program: how it ends, and what its peers see of that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.proxy import http_server
from harness.proxy.api import Api
from harness.proxy.client import ProxyClient
from harness.proxy.connection import PENDING_BYTES_MAX
from harness.proxy.folder.link import Folders
from harness.proxy.guard import Guard
from harness.proxy.http_server import HttpServer
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.loop import Loop, Wake
from tests.unit.proxy.support import WAIT_S, join, receive, start_proxy, until
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


def held(api: str) -> int:
    """Bytes on their way upstream that the other side's socket hasn't taken."""
    with urllib.request.urlopen(f"http://{api}/metrics", timeout=WAIT_S) as answer:
        told = answer.read().decode()
    received, sent = (
        re.findall(rf'^toxiproxy_proxy_{what}_bytes_total{{direction="upstream".*}} (\S+)$', told, re.MULTILINE)
        for what in ("received", "sent")
    )
    return int(float(received[0]) - float(sent[0]))


def test_the_second_signal_ends_it_at_once(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    started = start_proxy("-proxy-metrics", patient=True)
    pair = join(link_of(started.api, listener), listener)

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                pair.client.sendall(bytes(1_000_000))

    # Nobody reads at the far end: what is held can't be given on, so that the first signal waits for its second.
    pair.client.settimeout(None)
    threading.Thread(target=flood, daemon=True).start()
    until(lambda: held(started.api) >= PENDING_BYTES_MAX)
    host, _, port = started.api.rpartition(":")
    started.process.terminate()
    until(lambda: refused(host, int(port)))
    assert started.process.poll() is None
    assert started.end() == 0
    pair.close()


def refused(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=WAIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_it_starts_light() -> None:
    """What is heavy is loaded for those who need it only; the loop, the API and toxics need none of it."""
    heavy = ("numpy", "click", "asyncio", "ssl", "requests", "pydantic", "rich", "prometheus_client", "scipy")
    code = f"import sys, harness.proxy.__main__; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def drill_proxy(*words: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    code = "import sys; from harness.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, "proxy", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **variables},
    )


def test_drill_proxy_becomes_the_proxy(tmp_path: Path) -> None:
    """The same process, and not the folder of this name that lies here; what is typed goes before a variable."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("raise SystemExit(9)")
    process = drill_proxy("-port", "0", "--seed=5", cwd=tmp_path, MLDRILL_PROXY_JSON="1", MLDRILL_PROXY_SEED="4")
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert (ready["proxies"], ready["seed"]) == ({}, 5)
        assert ProxyClient(ready["api"]).version() == "2.12.0"
        assert b"harness.proxy" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert f"API at {ready['api']}, seed 5" in said


def test_a_seed_that_is_not_given_is_drawn_and_told(tmp_path: Path) -> None:
    seeds = set()
    for _ in range(2):
        process = drill_proxy("-port", "0", "-json", cwd=tmp_path)
        assert process.stdout is not None
        seeds.add(json.loads(process.stdout.readline())["seed"])
        process.terminate()
        process.communicate(timeout=WAIT_S)
    assert len(seeds) == 2


LONG_NS = 60_000_000_000


@pytest.fixture
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """An API with few clients; a parameter is how long they may take with a request, and without one."""
    request_ns, idle_ns = getattr(request, "param", (LONG_NS, LONG_NS))
    monkeypatch.setattr(http_server, "REQUEST_NS_MAX", request_ns)
    monkeypatch.setattr(http_server, "IDLE_NS_MAX", idle_ns)
    monkeypatch.setattr(http_server, "CLIENTS_MAX", 8)
    loop = Loop()
    links = Links(loop, 1)
    folders = Folders(loop)
    api = Api(links, folders, Leases(loop, links, folders))
    server = HttpServer(loop, api, "127.0.0.1:0", Guard.of(["127.0.0.1", "api.example"]))
    stop = Wake(loop, loop.stop)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    host, _, port = server.address.rpartition(":")
    yield host, int(port)
    stop.wake()
    thread.join(WAIT_S)


SHORT_NS = 200_000_000


@pytest.mark.parametrize(
    ("served", "sent"),
    [
        ((LONG_NS, SHORT_NS), b""),
        ((LONG_NS, SHORT_NS), b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"),
        ((SHORT_NS, LONG_NS), b"GET /ver"),
        ((SHORT_NS, LONG_NS), b"POST /populate HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n["),
    ],
    indirect=["served"],
)
def test_a_client_that_is_not_done_in_time_is_let_go(served: tuple[str, int], sent: bytes) -> None:
    # An error, too, is an end: where this is held up, it was let go before it said anything.
    with socket.create_connection(served, timeout=WAIT_S) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(sent)
        while sock.recv(4096):  # its answer, and then the end
            pass


@pytest.mark.parametrize("served", [(2 * SHORT_NS, LONG_NS)], indirect=True)
def test_a_byte_now_and_then_does_not_keep_a_client(served: tuple[str, int]) -> None:
    with socket.create_connection(served, timeout=WAIT_S) as sock:
        sock.settimeout(0.05)
        sock.sendall(b"GET /")

        def gone() -> bool:
            try:
                sock.send(b"a")
                return sock.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        until(gone)


def test_bodies_are_bounded_together_too(served: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "BODIES_BYTES_MAX", 1_000)

    def begun(sent: int) -> socket.socket:
        sock = socket.create_connection(served, timeout=WAIT_S)
        sock.sendall(b"POST /populate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n" + b" " * sent)
        return sock

    def asked() -> None:
        """After which the server has read all that was sent before: it reads of everybody in each of its rounds."""
        with socket.create_connection(served, timeout=WAIT_S) as sock:
            for _ in range(2):
                sock.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert sock.recv(4096)

    with begun(898) as first:
        asked()
        with begun(500) as second:
            assert second.recv(12) == b"HTTP/1.1 503"
        first.sendall(b"[]")
        assert first.recv(12) == b"HTTP/1.1 201"
        with begun(898) as third:
            third.sendall(b"[]")
            assert third.recv(12) == b"HTTP/1.1 201"


def test_with_too_many_clients_the_one_that_was_quiet_longest_goes(served: tuple[str, int]) -> None:
    request = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(served, timeout=WAIT_S) as busy:
        busy.sendall(request)
        assert busy.recv(4096)
        others = [socket.create_connection(served, timeout=WAIT_S) for _ in range(7)]
        others[-1].sendall(request)
        assert others[-1].recv(4096)  # all are in
        busy.sendall(request)
        assert busy.recv(4096)
        others.append(socket.create_connection(served, timeout=WAIT_S))
        assert others[0].recv(1) == b""
        busy.sendall(request)
        assert busy.recv(4096)
        for sock in others:
            sock.close()


@pytest.mark.parametrize(("host", "status"), [("api.example:8474", 200), ("API.example", 200), ("other.example", 403)])
def test_a_name_that_was_allowed(served: tuple[str, int], host: str, status: int) -> None:
    with socket.create_connection(served, timeout=WAIT_S) as sock:
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 %d " % status)


def test_a_body_of_100_mb_costs_no_memory() -> None:
    started = start_proxy()

    def resident() -> int:
        return int(Path(f"/proc/{started.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    host, _, port = started.api.rpartition(":")
    before = resident()
    for head in (b"Content-Length: 104857600\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n6400000\r\n"):
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as sock:
            sock.sendall(b"POST /populate HTTP/1.1\r\nHost: localhost\r\n" + head)
            cut = False
            for _ in range(100):
                try:
                    sock.sendall(bytes(1 << 20))
                except ConnectionError:
                    cut = True
                    break
            assert cut
    assert resident() - before < 8 << 20
    assert started.end() == 0
