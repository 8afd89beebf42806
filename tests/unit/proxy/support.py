"""What the tests of the proxy share: a proxy process, links through it, and peers that do as they are told."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.proxy.client import ProxyClient

WAIT_S = 30.0
PATIENT = """
import harness.proxy.__main__ as program
program.DRAIN_NS_MAX = 10**15
raise SystemExit(program.main())
"""
"""Told to end, it gives on what it holds however long that takes."""


def until(condition: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
    """Waits for `condition`, and fails the test when it doesn't come."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "the condition never came"
        time.sleep(0.005)


@dataclass
class ProxyProcess:
    process: subprocess.Popen[bytes]
    api: str
    proxies: dict[str, str]

    def end(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(timeout=WAIT_S)
        finally:
            self.process.kill()


def start_proxy(
    *words: str, config: Path | None = None, seed: int = 7, descriptors: int | None = None, patient: bool = False
) -> ProxyProcess:
    reader, writer = os.pipe()
    program = ["-c", PATIENT] if patient else ["-m", "harness.proxy"]
    command = [sys.executable, *program, "--port", "0", "--seed", str(seed), "--ready-fd", str(writer), *words]
    if config is not None:
        command += ["--config", str(config)]
    if descriptors is not None:
        command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *command]
    process = subprocess.Popen(command, pass_fds=[writer], stdin=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as ready:
        told = json.loads(ready.readline())
    return ProxyProcess(process, told["api"], told["proxies"])


@dataclass
class TestLink:
    """A link to `upstream`, with its client."""

    __test__ = False

    client: ProxyClient
    name: str
    port: int

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


@dataclass
class Pair:
    """Both ends of a connection through a link."""

    link: TestLink
    client: socket.socket
    server: socket.socket

    def close(self) -> None:
        self.client.close()
        self.server.close()


def join(link: TestLink, listener: socket.socket) -> Pair:
    near = link.connect()
    far, _ = listener.accept()
    far.settimeout(WAIT_S)
    return Pair(link, near, far)


def receive(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        assert part, f"ended after {len(parts)} of {size} bytes"
        parts += part
    return parts


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a POST with its own body, and what it received stands in the server's `received`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self._body()
        assert isinstance(self.server, EchoServer)
        self.server.received.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path.endswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = len(body) // 2
            for part in (body[:half], body[half:], b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = b""
        while size := int(self.rfile.readline(), 16):
            parts += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return parts

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "17")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class EchoServer(http.server.ThreadingHTTPServer):
    received: list[bytes]
