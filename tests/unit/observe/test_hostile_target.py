"""Targets that answer garbage, drip, flood or never answer: an observer says so by what is missing, and goes on."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from harness.contract.words import SliKind
from harness.observe import readings
from harness.observe.asking import NoAnswerError, ask
from harness.observe.config import GoldenConfig, GoldenRequest, QualityConfig, ReadingConfig
from harness.observe.golden import sample
from harness.observe.quality import QualityWindow
from harness.observe.readings import LIMIT, PAGES_MAX, PAGES_TO_END_MAX, Follower
from harness.observe.scrape import wanted

Reply = Callable[[socket.socket, bytes], None]


class Peer:
    """A TCP server that answers as it is told, byte by byte if need be."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        self.closing = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = connection.recv(65536)
                self.asked.append(request)
                self.reply(connection, request)
            except OSError:
                return

    def close(self) -> None:
        self.closing.set()
        self._listening.close()


@pytest.fixture(autouse=True)
def readings_may_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these peers answers; on a busy machine that may take a while."""
    monkeypatch.setattr(readings, "TIMEOUT_S", 60.0)


@pytest.fixture
def peer() -> Iterator[Callable[[Reply], Peer]]:
    made: list[Peer] = []

    def make(reply: Reply) -> Peer:
        made.append(Peer(reply))
        return made[-1]

    yield make
    for one in made:
        one.close()


def says(body: bytes, *, status: str = "200 OK") -> Reply:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    return lambda connection, _: connection.sendall(head + body)


def silent(connection: socket.socket, _: bytes) -> None:
    connection.settimeout(30)
    connection.recv(1)


def drips(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.05)


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"[" * 65536)


def headers_without_end(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(600):
        connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


HOSTILE = {
    "silent": silent,
    "dripping": drips,
    "endless": endless,
    "endless headers": headers_without_end,
    "no HTTP": lambda connection, _: connection.sendall(b"\x00\xff" * 100),
    "cut short": lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "hung up": lambda *_: None,
}


@pytest.mark.parametrize("reply", [HOSTILE[name] for name in HOSTILE if name != "endless headers"])
def test_what_is_no_whole_answer_is_one_error(peer: Callable[[Reply], Peer], reply: Reply) -> None:
    with pytest.raises(NoAnswerError):
        ask(urllib3.PoolManager(), "GET", peer(reply).url, timeout_s=0.3, bytes_max=1 << 20)


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_a_sample_ends_and_counts_what_did_not_answer(peer: Callable[[Reply], Peer], reply: Reply) -> None:
    requests = tuple(GoldenRequest(id=f"g{n}", method="GET", path="/", expect={}) for n in range(4))
    config = GoldenConfig(
        base_url=peer(reply).url,
        requests=requests,
        every_s=0.5,
        timeout_s=0.3,
        kinds=(SliKind.AVAILABILITY, SliKind.CORRECTNESS),
    )
    with ThreadPoolExecutor(max_workers=4) as senders:
        taken = sample(urllib3.PoolManager(maxsize=8), config, senders)
    assert (taken.sent, taken.ok) == (4, 0)
    assert taken.values == {SliKind.AVAILABILITY: 0.0, SliKind.CORRECTNESS: None}


PAGES = {
    "no JSON": b"<html>",
    "a list": b"[1]",
    "records of another type": b'{"records": 7, "next": 3}',
    "no cursor": b'{"records": [{"id": 1}]}',
    "a cursor that is infinite": b'{"records": [{"id": 1}], "next": Infinity}',
    "a cursor that goes back": b'{"records": [{"id": 1}], "next": -5}',
    "a cursor without bounds": b'{"records": [{"id": 1}], "next": ' + b"9" * 30 + b"}",
    "deep": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("body", PAGES.values(), ids=PAGES)
def test_what_is_no_page_is_no_reading(peer: Callable[[Reply], Peer], body: bytes) -> None:
    follower = Follower(reading(peer(says(body))), urllib3.PoolManager())
    assert follower.read(to_end=True) == []
    assert (follower.cursor, follower.at_end) == (0, False)


def test_a_reading_without_end_is_bounded(peer: Callable[[Reply], Peer]) -> None:
    full = [{"id": n} for n in range(LIMIT)]

    def page(connection: socket.socket, request: bytes) -> None:
        after = int(request.partition(b"after=")[2].partition(b"&")[0])
        says(json.dumps({"records": full, "next": after + 1}).encode())(connection, request)

    follower = Follower(reading(peer(page)), urllib3.PoolManager())
    assert len(follower.read()) == PAGES_MAX
    assert not follower.at_end
    assert len(follower.read(to_end=True)) == PAGES_TO_END_MAX
    assert not follower.at_end


def test_a_reading_is_read_to_its_end(peer: Callable[[Reply], Peer]) -> None:
    follower = Follower(reading(peer(says(b'{"records": [{"id": 1}, 7], "next": 2}'))), urllib3.PoolManager())
    assert [event.records for event in follower.read(to_end=True)] == [[{"id": 1}]]
    assert (follower.cursor, follower.at_end) == (2, True)
    empty = Follower(reading(peer(says(b'{"records": [], "next": 0}'))), urllib3.PoolManager())
    assert (empty.read(to_end=True), empty.at_end) == ([], True)


def reading(peer: Peer) -> ReadingConfig:
    return ReadingConfig(name="decisions", url=f"{peer.url}/decisions", id="id", every_s=0.5)


def test_quality_is_read_while_it_is_written() -> None:
    """Readings and samples come from threads of their own."""
    config = QualityConfig("decisions", "truth", "decision", "decline", "label", None, last=200)
    window = QualityWindow(config)
    failures: list[BaseException] = []

    def write() -> None:
        for n in range(400):
            window.take_truth([{"id": i, "label": 1} for i in range(n, n + 20)])
            window.take_decisions([{"id": i, "decision": "decline"} for i in range(n, n + 20)], n)

    def look() -> None:
        try:
            while writer.is_alive():
                window.value(0)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for one in (*lookers, writer):
        if one is not writer:
            one.start()
        one.join(60)
    assert failures == []
    assert window.value(0) == 1.0


@pytest.mark.parametrize("page", ["{{{", "a b c d e", 'x{l="', "up NaN\nup{} Inf", "# TYPE up\nup 1 2 3 4"])
def test_a_page_of_junk_has_no_gauges(page: str) -> None:
    assert wanted(page, frozenset({"up"})) == {}
