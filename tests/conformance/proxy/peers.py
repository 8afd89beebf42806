"""A proxied path and both of its ends."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.proxy.servers import WAIT_S, Server

QUIET_S = 0.3
RESET = struct.pack("ii", 1, 0)


@dataclass
class Link:
    """A proxy of this test's own, and the listener that is its upstream."""

    server: Server
    name: str
    port: int
    far: socket.socket

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @contextlib.contextmanager
    def pair(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Near end and far end of a connection through it."""
        with self.connect() as near:
            far, _ = self.far.accept()
            with far:
                far.settimeout(WAIT_S)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield near, far

    def toxic(self, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> None:
        """Under the name that is its type."""
        body = {"name": kind, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        reply = self.server.ask("POST", f"/proxies/{self.name}/toxics", body)
        assert reply.status == 200, reply.text

    def change(self, kind: str, **fields: object) -> None:
        reply = self.server.ask("PATCH", f"/proxies/{self.name}/toxics/{kind}", fields)
        assert reply.status == 200, reply.text

    def remove(self, kind: str) -> None:
        assert self.server.ask("DELETE", f"/proxies/{self.name}/toxics/{kind}").status == 204

    def holds(self, kind: str) -> bool:
        """Whether this toxic has taken something in hand. Only ours tells."""
        shown = self.server.ask("GET", f"/proxies/{self.name}/toxics/{kind}?counters=1").json
        assert isinstance(shown, dict)
        return bool(shown["affected"]["chunks"] > 0)


def receive(sock: socket.socket, size: int, *, within_s: float | None = None) -> bytes:
    """`within_s` bounds all of it, where bytes that trickle in would each come in time."""
    end_s = None if within_s is None else time.monotonic() + within_s
    got = b""
    while len(got) < size:
        part = sock.recv(size - len(got))
        assert part, f"ended after {len(got)} of {size} bytes"
        got += part
        assert end_s is None or time.monotonic() < end_s, f"only {len(got)} of {size} bytes in {within_s} s"
    return got


def rest(sock: socket.socket) -> bytes:
    """All that comes until the end, which may be a reset."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            got += part
    return got


def was_reset(sock: socket.socket) -> bool:
    """How it ended: True for a reset, False for a clean end."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        return True
    return False


def quiet(sock: socket.socket, *, s: float = QUIET_S) -> bool:
    """Whether nothing comes for so long, neither a byte nor the end."""
    before = sock.gettimeout()
    sock.settimeout(s)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        sock.settimeout(before)
    return False


def round_trip_s(near: socket.socket, far: socket.socket, *, size: int = 1) -> float:
    """There at once, and back; fails where a byte doesn't come within WAIT_S."""
    began_s = time.monotonic()
    near.sendall(b"x" * size)
    receive(far, size)
    far.sendall(b"y" * size)
    receive(near, size)
    return time.monotonic() - began_s


@contextlib.contextmanager
def sending(sock: socket.socket, data: bytes) -> Iterator[None]:
    """In a thread, since it may take long; it ends with the socket."""

    def send() -> None:
        with contextlib.suppress(OSError):
            sock.sendall(data)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield
    thread.join(WAIT_S)
