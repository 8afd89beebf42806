"""Declared calls: typed arguments, time limits over the whole of an answer, secrets that stay out of words."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import Argument, ExecCall, HttpCall, TargetSpec
from harness.target import calls, http
from harness.target.embedded import processes

NOW_S = 30.0


@contextlib.contextmanager
def answering(say: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads one request and lets `say` answer it, on one connection after the other."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(NOW_S)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    say(connection)

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def plain(body: bytes, *, status: str = "200 OK") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def test_an_answer_is_an_object() -> None:
    with answering(plain(b'{"a": 1}')) as url:
        assert calls.call_http(HttpCall(url=url), {}, where="here") == {"a": 1}


@pytest.mark.parametrize(("body", "expected"), [(b"[1, 2]", {"result": [1, 2]}), (b"", {}), (b'"x"', {"result": "x"})])
def test_an_answer_that_is_none_becomes_one(body: bytes, expected: dict[str, object]) -> None:
    with answering(plain(body)) as url:
        assert calls.call_http(HttpCall(url=url), {}, where="here") == expected


def test_a_refusal_carries_the_target_s_words() -> None:
    with (
        answering(plain(b'{"error": "the alias is pinned"}', status="409 Conflict")) as url,
        pytest.raises(EnvironmentProblem, match="status 409: the alias is pinned"),
    ):
        calls.call_http(HttpCall(url=url), {}, where="here")


def test_an_answer_that_drips_ends_at_the_limit() -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.02):
            connection.sendall(b"x")

    with answering(drip) as url:
        with pytest.raises(TimeoutError):
            http.request("GET", url, timeout_s=0.3)
        stop.set()


def test_nobody_listening_is_told() -> None:
    with socket.socket() as nobody:  # has the port, and never listens
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(EnvironmentProblem, match="connection refused"):
            http.ask("GET", f"http://127.0.0.1:{nobody.getsockname()[1]}/", timeout_s=NOW_S)


@pytest.mark.parametrize("junk", [b"", b"\x00\xff" * 100, b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nnot json"])
def test_junk_is_an_error_and_no_crash(junk: bytes) -> None:
    with answering(lambda connection: connection.sendall(junk)) as url, pytest.raises(EnvironmentProblem):
        http.ask("GET", url, timeout_s=NOW_S)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "file:///etc/passwd", "nowhere", ""])
def test_only_plain_addresses_are_legal(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        http.request("GET", url, timeout_s=1.0)


DECLARED = {
    "version": Argument(type="version", required=True),
    "since": Argument(type="number"),
    "service": Argument(type="service"),
    "wait": Argument(type="duration"),
    "kind": Argument(type="string", choices=("a", "b")),
}


def checked(**arguments: object) -> dict[str, object]:
    return calls.checked(arguments, DECLARED, what="act", services=("bus",), links=())


def test_arguments_are_typed() -> None:
    assert checked(version=3, since=1.5, wait="250ms", service="bus", kind="a") == {
        "version": "3",
        "since": 1.5,
        "wait": 0.25,
        "service": "bus",
        "kind": "a",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'version' .* is required"),
        ({"version": 1, "sinc": 2}, "unknown argument 'sinc'"),
        ({"version": 1, "since": "yesterday"}, "no number"),
        ({"version": 1, "since": True}, "no number"),
        ({"version": 1, "service": "buss"}, "unknown service"),
        ({"version": 1, "wait": "12"}, "no duration"),
        ({"version": 1, "kind": "c"}, "legal: a, b"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        checked(**arguments)


def run(*command: str, timeout: str = "10s", folder: Path) -> dict[str, object]:
    call = ExecCall(command=command, timeout=timeout)
    return calls.call_exec(call, {"arg.text": "a; rm -rf /"}, folder=folder, where="actions.x")


def test_a_command_gets_its_arguments_without_a_shell(tmp_path: Path) -> None:
    assert run("python3", "-c", "import sys; print(sys.argv[1:])", "${arg.text}", folder=tmp_path) == {
        "output": "['a; rm -rf /']"
    }


def test_a_command_s_failure_carries_its_words(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="ended with 3: no disk"):
        run("sh", "-c", "echo no disk >&2; exit 3", folder=tmp_path)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    for limit in ("0.5 s", "5 s", "20 s"):  # on a busy machine it may not have got so far
        with pytest.raises(EnvironmentProblem, match=f"did not end within {limit}"):
            run("sh", "-c", f"sleep 600 & echo $! $$ > {pids}; wait", timeout=limit.replace(" ", ""), folder=tmp_path)
        if pids.exists():
            break
    for pid in map(int, pids.read_text().split()):
        assert gone(pid)


def gone(pid: int) -> bool:
    """Within half a minute there is no such process, or only its remains."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if processes.start_time(pid) is None:
            return True
        time.sleep(0.01)
    return False


def test_secrets_stay_out_of_the_description() -> None:
    spec = TargetSpec.model_validate(
        {
            "target": "t",
            "driver": "embedded",
            "services": {
                "a": {
                    "role": "a",
                    "start": {"command": ["a"]},
                    "env": {"API_KEY": "k-123", "DB": "postgres://me:pw-456@host/db", "LEVEL": "3"},
                }
            },
        }
    )
    shown = str(calls.redacted(spec))
    assert ("k-123" in shown, "pw-456" in shown, "LEVEL" in shown) == (False, False, True)
