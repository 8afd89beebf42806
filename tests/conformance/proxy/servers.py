"""The servers under test, started as their users start them, and spoken to over HTTP and TCP only.

Nothing of the harness is imported: the suite must be able to judge any server that says it has this API.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.held_ports import free_port

WAIT_S = 30.0
ROOT = Path(__file__).parents[3]
OURS = "mldrill"
THEIRS = "toxiproxy"


def until(condition: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
    """Waits for `condition`, and fails the test when it doesn't come."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "the condition never came"
        time.sleep(0.01)


def holds_for(condition: Callable[[], bool], *, s: float) -> bool:
    """Whether `condition` stays true for so long."""
    end_s = time.monotonic() + s
    while time.monotonic() < end_s:
        if not condition():
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> object:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error, whose form is checked on the way."""
        told = self.json
        assert isinstance(told, dict)
        assert told["status"] == self.status
        return str(told["error"])


@dataclass
class Server:
    """`ours` says which column of the table of differences holds."""

    address: str
    kind: str
    process: subprocess.Popen[str] | None = None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.kind == OURS

    @property
    def where(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """`body` as it is if bytes, else as JSON. Underscores in the names of headers become dashes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(*self.where, timeout=WAIT_S)
        try:
            connection.request(method, path, data, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, sent: bytes, *, within_s: float = WAIT_S) -> bytes:
        """What comes back until the server closes."""
        got = b""
        with socket.create_connection(self.where, timeout=within_s) as sock:
            # An answer given before all was sent may end the sending.
            with contextlib.suppress(ConnectionError):
                sock.sendall(sent)
            with contextlib.suppress(ConnectionError):
                while part := sock.recv(65536):
                    got += part
        return got

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            self.process.wait()


def real_server() -> str | None:
    """The real toxiproxy-server, where it can be found."""
    named = os.environ.get("TOXIPROXY_SERVER")
    if named:
        return named
    built = ROOT / "build" / "bin" / "toxiproxy-server"
    return shutil.which("toxiproxy-server") or (str(built) if built.exists() else None)


def command(kind: str) -> list[str]:
    if kind == OURS:
        return [sys.executable, "-m", "harness.proxy"]
    found = real_server()
    assert found is not None
    return [found]


def start(kind: str, *words: str, port: int | None = None, env: Mapping[str, str] | None = None) -> Server:
    """A server of this kind, once it answers."""
    port = port or free_port()
    process = launch(kind, "-host", "127.0.0.1", "-port", str(port), *words, env=env)
    server = Server(f"127.0.0.1:{port}", kind, process)

    def answers() -> bool:
        assert process.poll() is None, f"ended with {process.returncode}"
        try:
            return server.ask("GET", "/version").status == 200
        except OSError:
            return False

    try:
        until(answers)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def launch(kind: str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Whatever it says goes into one pipe, which nobody empties: tests are short, and it says little."""
    return subprocess.Popen(
        [*command(kind), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "error", **(env or {})},
    )
