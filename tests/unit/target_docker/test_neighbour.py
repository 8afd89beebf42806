"""What counts as an answer over a link, asked as a container would ask; here the container is a process of this host."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.contract.probe import PLAIN, ProbeReading
from harness.spec.target import LinkSpec
from harness.target import probing
from harness.target.docker import neighbour

WITHIN_S = 30.0
LINK = LinkSpec.model_validate({"from": "a", "to": "b"})


class Here:
    """Runs what a container would run."""

    def __init__(self, *, has: str = "python3") -> None:
        self.has, self.asked = has, []

    def run(self, container: str, command: list[str], *, user: str = "") -> tuple[int, str]:
        self.asked.append(command[0])
        if command[0] != self.has:
            return 127, f'exec: "{command[0]}": executable file not found in $PATH'
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout


@contextmanager
def peer(says: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one connection so, whatever it is asked, and then ends it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(says)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(WITHIN_S)


def ask(url: str, here: Here) -> ProbeReading | None:
    request = probing.request_of(LINK, PLAIN)
    return neighbour.ask(here, "c", url, request, within_s=WITHIN_S, tools={})  # type: ignore[arg-type]  # runs commands here


@pytest.mark.parametrize(
    ("scheme", "says", "answered", "status"),
    [
        ("http", b"HTTP/1.1 503 Not now\r\n\r\n", True, 503),
        ("http", b"", False, None),
        ("redis", b"+PONG\r\n", True, None),
        ("redis", b"-NOAUTH Authentication required.\r\n", True, None),
        ("redis", b"", False, None),
    ],
    ids=["http", "http-closed", "redis", "redis-refuses-in-words", "redis-closed"],
)
def test_any_answer_is_one(scheme: str, says: bytes, answered: bool, status: int | None) -> None:
    with peer(says) as (port, heard):
        reading = ask(f"{scheme}://127.0.0.1:{port}/0", Here())
    assert reading is not None
    assert (reading.answered, reading.status) == (answered, status)
    assert heard[0].startswith(b"PING\r\n" if scheme == "redis" else b"GET /0/health HTTP/1.1\r\n")


def test_redis_is_not_asked_by_what_speaks_http_only() -> None:
    here = Here(has="wget")
    assert ask("redis://127.0.0.1:1/0", here) is None
    assert "wget" not in here.asked
