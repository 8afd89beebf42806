"""The HTTP server under the pager sink: takes POSTs from anybody who reaches its address, and survives whatever they send.

Bodies, headers and connections are bounded. A sender that is slow on purpose can't keep real alerts out: when all
connections are taken, the one that has been quiet for longest is closed. Nothing that a request does ends the server, and
nothing is printed: what was refused is answered 4xx.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.clock import now_ns

BODY_MAX = 1 << 20
CONNECTIONS_MAX = 64
QUIET_S_MAX = 10.0


class FullError(Exception):
    """No more is taken in: answered 429."""


Receive = Callable[[bytes, int], object]
"""Takes a body and when its request came in. Raises ValueError for what it can't use, `FullError` when it has enough."""


class WebhookServer(ThreadingHTTPServer):
    """Binds beside a target's reservation of the port, which never listens, and never beside another listener.

    So SO_REUSEADDR and not SO_REUSEPORT: with that, the kernel would deal out pages between us and whoever else has it.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, receive: Receive) -> None:
        self.receive = receive
        self._open: OrderedDict[Any, None] = OrderedDict()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._lock:
            return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            while len(self._open) >= CONNECTIONS_MAX:
                quietest, _ = self._open.popitem(last=False)
                _hang_up(quietest)
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def served(self, request: Any) -> None:
        """This connection has just brought a whole request."""
        with self._lock:
            if request in self._open:
                self._open.move_to_end(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever it was has gone away, or sent what is no HTTP."""

    def close(self) -> None:
        """Stops serving and hangs up."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for request in self._open:
                _hang_up(request)


def _hang_up(request: Any) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """POST anywhere: a webhook. Everything else is refused."""

    protocol_version = "HTTP/1.1"
    timeout = QUIET_S_MAX
    server: WebhookServer

    def do_POST(self) -> None:
        """Stamped before the body is read and parsed, since that is when the page arrived."""
        received = now_ns()
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > BODY_MAX:
            self._say(413 if length.isdigit() else 411)
            self.close_connection = True
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        self.server.served(self.connection)
        self._say(self._taken(body, received))

    def _taken(self, body: bytes, received: int) -> int:
        try:
            self.server.receive(body, received)
        except FullError:
            return 429
        except Exception:  # junk has many ways to be junk, and none may cost an alert that comes after it
            return 400
        return 200

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: alerts are in the history."""
