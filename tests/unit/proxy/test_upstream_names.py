"""An upstream by name: another address as soon as the name has one, and nobody waits for a name but who asked for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.proxy import address, upstream
from harness.proxy.link import Link, Links
from harness.proxy.loop import Loop, Wake
from tests.unit.proxy.support import WAIT_S, until

HOUR_NS = 3_600_000_000_000


class Names:
    """Stands in for the resolver: what each name is, how often it was asked, and which names keep one waiting."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: list[str] = []
        self.held: dict[str, threading.Event] = {}

    def resolve(self, where: tuple[str, int]) -> tuple[socket.AddressFamily, tuple[str, int]]:
        host, port = where
        if host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            return socket.AF_INET, (host, port)
        self.asked.append(host)
        if host in self.held:
            assert self.held[host].wait(WAIT_S)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return socket.AF_INET, (self.known[host], port)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(address, "resolve", made.resolve)
    return made


class Running:
    """Links with their loop in a thread; `call` runs something in it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.links = Links(self.loop, seed=1)
        self._call: Callable[[], None] = self.loop.stop
        self._wake = Wake(self.loop, self._round)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self.loop.run, daemon=True)
        self._thread.start()

    def call(self, what: Callable[[], None]) -> None:
        self._call = what
        self._done.clear()
        self._wake.wake()
        assert self._done.wait(WAIT_S)

    def _round(self) -> None:
        self._call()
        self._done.set()

    def link(self, to: str) -> Link:
        made = self.links.make(to, "127.0.0.1:0", to)
        self.call(lambda: self.links.add(made, start=True))
        return made

    def end(self) -> None:
        self.call(self.loop.stop)
        self._thread.join(WAIT_S)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.end()


class Server:
    """Says its own name to whoever connects."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(host,), daemon=True)
        self._thread.start()

    def _serve(self, host: str) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.sendall(host.encode())
            client.close()

    def end(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(WAIT_S)


@pytest.fixture
def two() -> Iterator[tuple[Server, Server]]:
    """At two addresses, on the same port."""
    first = Server("127.0.0.2")
    second = Server("127.0.0.3", first.port)
    yield first, second
    for server in (first, second):
        if server.listener.fileno() >= 0:
            server.end()


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(link.listen.rpartition(":")[2])), timeout=WAIT_S)


def answer(link: Link) -> str:
    """Who answered; empty where the client was closed."""
    with connect(link) as client:
        try:
            return client.recv(100).decode()
        except ConnectionResetError:
            return ""


def test_one_that_came_back_elsewhere_is_found_at_once_where_its_old_address_refuses(
    names: Names, running: Running, two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "FRESH_NS", HOUR_NS)
    names.known["store"] = "127.0.0.2"
    link = running.link(f"store:{two[0].port}")
    assert answer(link) == "127.0.0.2"
    two[0].end()
    names.known["store"] = "127.0.0.3"
    assert answer(link) == "127.0.0.3"
    assert names.asked == ["store", "store"]
    assert link.counters["upstream_failed"] == 0


def test_an_old_address_that_somebody_else_has_now_is_not_connected_to(
    names: Names, running: Running, two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "FRESH_NS", 0)
    names.known["store"] = "127.0.0.2"
    link = running.link(f"store:{two[0].port}")
    assert answer(link) == "127.0.0.2"
    names.known["store"] = "127.0.0.3"
    assert answer(link) == "127.0.0.3"


def test_while_it_is_fresh_an_address_is_not_asked_for_again(
    names: Names, running: Running, two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "FRESH_NS", HOUR_NS)
    names.known["store"] = "127.0.0.2"
    link = running.link(f"store:{two[0].port}")
    assert {answer(link) for _ in range(5)} == {"127.0.0.2"}
    assert names.asked == ["store"]


def test_a_silent_resolver_holds_up_nobody_else(names: Names, running: Running, two: tuple[Server, Server]) -> None:
    names.known |= {"slow": "127.0.0.2", "quick": "127.0.0.3"}
    names.held["slow"] = threading.Event()
    slow, quick = running.link(f"slow:{two[0].port}"), running.link(f"quick:{two[0].port}")
    numbers = running.link(f"127.0.0.2:{two[0].port}")
    with connect(slow) as first, connect(slow) as second:
        until(lambda: "slow" in names.asked)
        assert answer(quick) == "127.0.0.3"
        assert answer(numbers) == "127.0.0.2"
        names.held["slow"].set()
        assert [client.recv(100) for client in (first, second)] == [b"127.0.0.2"] * 2
    assert names.asked.count("slow") == 1


def test_a_name_that_is_none_closes_the_client_and_is_counted(
    names: Names, running: Running, two: tuple[Server, Server]
) -> None:
    link = running.link(f"nobody:{two[0].port}")
    assert answer(link) == ""
    until(lambda: link.counters["upstream_failed"] == 1)
    names.known["nobody"] = "127.0.0.2"
    assert answer(link) == "127.0.0.2"


def test_an_address_in_numbers_that_refuses_is_tried_once(names: Names, running: Running) -> None:
    gone = Server("127.0.0.2")
    gone.end()
    link = running.link(f"127.0.0.2:{gone.port}")
    assert answer(link) == ""
    until(lambda: link.counters["upstream_failed"] == 1)
    assert names.asked == []


def test_a_link_that_is_cut_during_a_lookup_closes_its_clients_and_serves_again(
    names: Names, running: Running, two: tuple[Server, Server]
) -> None:
    names.known["slow"] = "127.0.0.2"
    names.held["slow"] = threading.Event()
    link = running.link(f"slow:{two[0].port}")
    with connect(link) as client:
        until(lambda: "slow" in names.asked)
        running.call(lambda: link.stop(keep_port=True))
        assert client.recv(100) == b""
    names.held["slow"].set()
    running.call(link.start)
    assert answer(link) == "127.0.0.2"
