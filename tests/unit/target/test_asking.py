"""What a probe tells of peers that answer well, badly, in pieces, never, or not at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.target import asking

WITHIN_S = 30.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\n"
Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def peer(*talks: Talk) -> Iterator[int]:
    """Has one connection after the other, each as told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WITHIN_S)

        def serve() -> None:
            for talk in talks:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(WITHIN_S)
                    connection.recv(65536)
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(WITHIN_S)


def says(*parts: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return talk


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def waits(connection: socket.socket) -> None:
    connection.recv(1)


def late_close(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"hello")
    connection.recv(1)


@pytest.mark.parametrize(
    ("talk", "ended", "received"),
    [
        (says(HEAD + b"hello"), "answered", len(HEAD) + 5),
        (says(HEAD + b"hel"), "closed early", len(HEAD) + 3),
        (says(HEAD[:20]), "closed early", 20),
        (says(b"\x16\x03\x01junk"), "damaged", 7),
        (says(HEAD.replace(b"5", b"x") + b"hello"), "damaged", len(HEAD) + 5),
        (says(b"HTTP/1.1 2x0 OK\r\n\r\n"), "damaged", 19),
        (says(b"HTTP/1.0 503 No\r\n\r\nwords"), "answered", 24),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "answered", None),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), "closed early", None),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "damaged", None),
        (says(), "reset", 0),
        (resets, "reset", 0),
    ],
)
def test_how_an_answer_ended(talk: Talk, ended: str, received: int | None) -> None:
    with peer(talk) as port:
        (seen,) = asking.ask("127.0.0.1", port, limit_s=WITHIN_S)
    assert seen["ended"] == ended
    assert seen["answered"] == (ended == "answered")
    assert received in (None, seen["received"])
    assert bool(seen["error"]) != seen["answered"]


def test_nobody_listens_and_nobody_answers() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert asking.ask("127.0.0.1", sock.getsockname()[1])[0]["ended"] == "refused"
    with peer(waits) as port:
        (seen,) = asking.ask("127.0.0.1", port, limit_s=0.1)
    assert (seen["ended"], seen["received"], seen["status"]) == ("hung", 0, None)


def test_an_end_that_is_late_is_told_apart_from_an_answer_that_is() -> None:
    for limit_s in (0.2, 2.0, 10.0):  # on a busy machine the answer, too, may take as long
        with peer(late_close, says(HEAD + b"hello")) as port:
            (open_still,) = asking.ask("127.0.0.1", port, closes=True, limit_s=limit_s)
            (closed,) = asking.ask("127.0.0.1", port, closes=True, limit_s=WITHIN_S)
        if open_still["answered"]:
            break
    assert open_still["answered"]
    assert open_still["close_s"] is None
    assert closed["close_s"] is not None
    assert open_still["digest"] == closed["digest"]


def test_several_requests_use_one_connection_as_far_as_it_is_kept() -> None:
    def twice(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"hello")
        connection.recv(65536)
        connection.sendall(HEAD.replace(b"Server: x", b"Connection: close") + b"again")

    with peer(twice) as port:
        told = asking.ask("127.0.0.1", port, requests=4, limit_s=WITHIN_S)
    assert [seen["ended"] for seen in told] == ["answered", "answered"]
    assert told[0]["digest"] != told[1]["digest"]


def test_an_endless_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BYTES_MAX", 10_000)

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x" * 1000)

    with peer(endless) as port:
        (seen,) = asking.ask("127.0.0.1", port, limit_s=WITHIN_S)
    assert seen["ended"] == "lost"
    assert seen["received"] < 100_000


@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=100, deadline=None)
def test_the_pieces_in_which_an_answer_comes_change_nothing(body: bytes, cuts: list[int]) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    answer = asking.Answer()
    for start, end in itertools.pairwise(places):
        assert not answer.whole
        answer.feed(raw[start:end])
    assert (answer.status, answer.body, answer.whole) == (200, body, True)


def test_as_text_it_runs_where_nothing_of_ours_is() -> None:
    given = {"path": "/", "limit_s": WITHIN_S}
    with peer(says(HEAD + b"hello")) as port, open(asking.__file__) as source:
        arguments = json.dumps({**given, "host": "127.0.0.1", "port": port})
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", source.read(), arguments], capture_output=True, check=True, timeout=60
        )
    (seen,) = json.loads(done.stdout)
    assert (seen["ended"], seen["status"]) == ("answered", 200)
