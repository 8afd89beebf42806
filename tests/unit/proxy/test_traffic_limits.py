"""What one proxy bears: readers that don't read, more clients than it has descriptors, ten thousand of them, itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import select
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.proxy.client import ProxyClient
from tests.doubles.held_ports import free_port
from tests.unit.proxy.support import WAIT_S, Pair, ProxyProcess, TestLink, join, receive, start_proxy, until

MANY = 10_000
FEW_DESCRIPTORS = 128
MB = 1 << 20
FILL_MAX = 60 * MB


def resident(proxy: ProxyProcess) -> int:
    pages = int(Path(f"/proc/{proxy.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(proxy: ProxyProcess) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def affected(proxy: ProxyProcess, name: str) -> dict[str, int]:
    with urllib.request.urlopen(f"http://{proxy.api}/proxies/{name}?counters=1", timeout=WAIT_S) as answer:
        counters: dict[str, int] = json.load(answer)["affected"]
        return counters


def link_in(proxy: ProxyProcess, name: str, upstream: int, *, listen: int = 0) -> TestLink:
    client = ProxyClient(proxy.api, timeout_s=WAIT_S)
    made = client.populate([{"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}"}])
    return TestLink(client, name, made[0].port)


@pytest.fixture
def own_proxy() -> Iterator[ProxyProcess]:
    started = start_proxy()
    yield started
    assert started.end() == 0


@pytest.fixture
def narrow_proxy() -> Iterator[ProxyProcess]:
    started = start_proxy(descriptors=FEW_DESCRIPTORS)
    yield started
    assert started.end() == 0


def fill(sock: socket.socket) -> int:
    """Sends until nobody takes any more for a while, or too much was taken."""
    sent = 0
    sock.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while sent < FILL_MAX:
            sent += sock.send(bytes(MB))
    return sent


@pytest.mark.parametrize("toxic", ["", "latency", "bandwidth"])
def test_readers_that_do_not_read_cost_bounded_memory(
    own_proxy: ProxyProcess, listener: socket.socket, toxic: str
) -> None:
    """In each of both directions: at most what a direction may hold, and one read beyond it."""
    link = link_in(own_proxy, "slow", listener.getsockname()[1])
    for stream in ("upstream", "downstream") if toxic else ():
        attributes = {"latency": {"latency": 60_000}, "bandwidth": {"rate": 1}}[toxic]
        link.client.add_toxic("slow", name=stream, type=toxic, stream=stream, attributes=attributes)
    warm = join(link, listener)
    fill(warm.client)
    before = resident(own_proxy)
    pairs = [join(link, listener) for _ in range(8)]
    sent = 0

    def is_much_sent() -> bool:
        nonlocal sent
        sent += sum(fill(sock) for pair in pairs for sock in (pair.client, pair.server))
        return sent > 16 * 3 * MB

    until(is_much_sent)  # else there was nothing to hold back
    assert resident(own_proxy) - before < 16 * 4 * MB
    for pair in (warm, *pairs):
        pair.close()


def test_without_descriptors_clients_wait_and_the_api_answers(
    narrow_proxy: ProxyProcess, listener: socket.socket
) -> None:
    listener.listen(256)
    link = link_in(narrow_proxy, "a", listener.getsockname()[1])
    waiting = [link.connect() for _ in range(100)]
    for n, sock in enumerate(waiting):
        sock.sendall(b"%04d" % n)
    served: list[socket.socket] = []
    told: set[bytes] = set()

    def serve() -> bool:
        listener.settimeout(0.2)
        while True:
            try:
                far, _ = listener.accept()
            except TimeoutError:
                return True
            served.append(far)
            far.settimeout(WAIT_S)
            told.add(receive(far, 4))

    until(lambda: serve() and len(told) > 20)
    assert len(told) < FEW_DESCRIPTORS // 2
    assert list(link.client.proxies()) == ["a"]
    while len(told) < len(waiting):
        for sock in (*served, *(waiting[int(number)] for number in told)):
            sock.close()
        served.clear()
        count = len(told)
        until(lambda count=count: serve() and len(told) > count)
    assert told == {b"%04d" % n for n in range(100)}
    for sock in (*waiting, *served):
        sock.close()


def test_a_limit_that_falls_below_what_is_open_delays_clients_and_loses_none(
    own_proxy: ProxyProcess, listener: socket.socket
) -> None:
    # One connection to the API, open until the end: were it closed meanwhile, its number would be free.
    api = http.client.HTTPConnection(own_proxy.api, timeout=WAIT_S)
    body = {"name": "a", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{listener.getsockname()[1]}"}
    api.request("POST", "/proxies", json.dumps(body))
    port = int(json.loads(api.getresponse().read())["listen"].rpartition(":")[2])
    old = resource.prlimit(own_proxy.process.pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{own_proxy.process.pid}/fd")}
    lowest = next(number for number in range(len(taken) + 1) if number not in taken)
    resource.prlimit(own_proxy.process.pid, resource.RLIMIT_NOFILE, (lowest, old[1]))
    client = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    client.sendall(b"late")
    listener.settimeout(0.3)
    with pytest.raises(TimeoutError):
        listener.accept()
    resource.prlimit(own_proxy.process.pid, resource.RLIMIT_NOFILE, old)
    listener.settimeout(WAIT_S)
    far, _ = listener.accept()
    assert receive(far, 4) == b"late"
    api.close()
    client.close()
    far.close()


@pytest.mark.parametrize("length", [1, 3])
def test_links_in_a_circle_end_by_themselves(own_proxy: ProxyProcess, length: int) -> None:
    ports = [free_port() for _ in range(length)]
    links = [link_in(own_proxy, f"circle-{n}", ports[(n + 1) % length], listen=port) for n, port in enumerate(ports)]
    before = descriptors(own_proxy)
    with links[0].connect() as sock:
        assert sock.recv(1) == b""
        assert affected(own_proxy, "circle-0")["circles"] == 1
        assert affected(own_proxy, "circle-0")["accepted"] == 2
    until(lambda: descriptors(own_proxy) <= before)


def test_links_in_a_row_are_no_circle(own_proxy: ProxyProcess, listener: socket.socket) -> None:
    link = link_in(own_proxy, "row-0", listener.getsockname()[1])
    for n in range(1, 5):
        link = link_in(own_proxy, f"row-{n}", link.port)
    for _ in range(20):
        pair = join(link, listener)
        pair.client.sendall(b"ping")
        assert receive(pair.server, 4) == b"ping"
        pair.close()


def test_an_upstream_that_comes_back_is_served_again(link_to: Callable[[int], TestLink]) -> None:
    port = free_port()
    link = link_to(port)
    with link.connect() as refused:
        assert refused.recv(1) == b""
    with socket.create_server(("127.0.0.1", port)) as listener:
        pair: Pair = join(link, listener)
        pair.client.sendall(b"ping")
        assert receive(pair.server, 4) == b"ping"
        pair.close()


def test_ten_thousand_connections_pass_and_take_a_toxic(own_proxy: ProxyProcess) -> None:
    """Or as many as the limit of descriptors allows: one process has both ends of each, the other both halves."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(MANY, (most - 1_000) // 2)
    if count < 1_000:
        pytest.skip(f"the limit of descriptors is {most}: too few for many connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    nears: list[socket.socket] = []
    fars: list[socket.socket] = []
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            listener.settimeout(WAIT_S)
            link = link_in(own_proxy, "many", listener.getsockname()[1])
            for n in range(count):
                nears.append(link.connect())
                fars.append(listener.accept()[0])
                nears[-1].sendall(n.to_bytes(4, "big"))
            link.client.add_toxic("many", name="t", type="latency", stream="downstream", attributes={"latency": 5})
            for far in fars:
                far.settimeout(WAIT_S)
                far.sendall(receive(far, 4))
            assert sorted(receive(near, 4) for near in nears) == [n.to_bytes(4, "big") for n in range(count)]
            assert link.client.affected("many", "t").connections == count
            link.client.remove_toxic("many", "t")
    finally:
        for sock in (*nears, *fars):
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    until(lambda: descriptors(own_proxy) < 64)


def test_killed_in_the_middle_of_bulk_its_peers_see_an_end(listener: socket.socket) -> None:
    """An end or a reset, but no silence."""
    started = start_proxy()
    pair = join(link_in(started, "a", listener.getsockname()[1]), listener)
    fill(pair.client)
    started.process.kill()
    started.process.wait(WAIT_S)
    for sock in (pair.client, pair.server):
        sock.settimeout(WAIT_S)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(MB):
                pass
    poll = select.poll()
    poll.register(pair.client, select.POLLIN)
    assert poll.poll(0), "its end is still told"
    pair.close()
