"""The API's HTTP side, on the proxy's own loop: httptools parses, `Api` answers, and every read is bounded.

Junk is answered 400, a body over its bound 413, a browser 403 (a page that a user visits must not steer the proxy),
and each of these ends the connection. Connections without a whole request within a minute are closed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import httptools

from harness.proxy import address
from harness.proxy.api import Answer, Api, refused
from harness.proxy.loop import READ, WRITE, Loop, Timer, Wake
from harness.proxy.refusal import Refusal

BODY_BYTES_MAX = 1_000_000
HEAD_BYTES_MAX = 64 << 10
IDLE_NS_MAX = 60_000_000_000
CLIENTS_MAX = 256
RECV_BYTES = 64 << 10

_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
}


class HttpServer:
    def __init__(self, loop: Loop, api: Api, listen: str) -> None:
        self.loop = loop
        self.api = api
        self.clients: set[HttpClient] = set()
        self._sock = address.listen(listen)
        self._imports: dict[str, tuple[Wake, list[Callable[[], None]]]] = {}
        self.address = address.show(self._sock)
        loop.watch(self._sock, READ, self)

    def on_event(self, events: int) -> None:
        del events
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        sock.setblocking(False)
        if len(self.clients) >= CLIENTS_MAX:
            sock.close()
            return
        self.clients.add(HttpClient(self, sock))

    def after_import(self, module: str, call: Callable[[], None]) -> None:
        """Imports in a thread, so that the links' traffic goes on meanwhile; then calls, also if it failed."""
        if module in self._imports:
            self._imports[module][1].append(call)
            return

        def done() -> None:
            wake, calls = self._imports.pop(module)
            wake.close()
            for each in calls:
                each()

        wake = Wake(self.loop, done)
        self._imports[module] = (wake, [call])
        threading.Thread(target=_import, args=(module, wake.wake), daemon=True).start()

    def close(self) -> None:
        self.loop.close(self._sock)
        for client in list(self.clients):
            client.abandon()


def _import(module: str, then: Callable[[], None]) -> None:
    with contextlib.suppress(ImportError):  # the call that needs it meets the error again, and is answered with it
        importlib.import_module(module)
    then()


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    body: bytes


class HttpClient:
    """One keep-alive connection to the API. Also what httptools calls back."""

    def __init__(self, server: HttpServer, sock: socket.socket) -> None:
        self._server = server
        self._loop = server.loop
        self._sock = sock
        self._out = b""
        self._ending = False
        self._waiting = False  # for an answer that takes long: nothing is read meanwhile
        self._closed = False
        self._parser = httptools.HttpRequestParser(self)
        self._idle: Timer | None = None
        self.on_message_begin()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest()
        self._loop.watch(sock, READ, self)

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.at(self._loop.now_ns + IDLE_NS_MAX, self.abandon)

    def on_event(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        elif self._waiting:
            self.abandon()  # nothing but the end of the connection is told meanwhile
        elif not self._ending:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(RECV_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.abandon()
            return
        self._head_bytes += 0 if self._in_body else len(data)
        try:
            self._parser.feed_data(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                raise Refusal("request header too large")
        except Refusal as refusal:
            self._send(refused(refusal), close=True)
        except httptools.HttpParserUpgrade:
            self._ending = True  # it was answered as if it had not asked, and what follows would be another protocol
        except httptools.HttpParserError as error:
            cause = error.__context__
            bad = cause if isinstance(cause, Refusal) else Refusal("not HTTP")
            self._send(refused(bad), close=True)
        self._flush()

    # httptools calls these

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._in_body = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_body = True
        length = self._headers.get("content-length", "0")
        self._bound(int(length) if length.isdigit() else 0)
        if self._headers.get("expect", "").lower() == "100-continue":
            self._out += b"HTTP/1.1 100 Continue\r\n\r\n"

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)
        self._bound(self._body_bytes)

    def _bound(self, size: int) -> None:
        if size > BODY_BYTES_MAX:
            raise Refusal(f"body too large: at most {BODY_BYTES_MAX} bytes", status=413)

    def on_message_complete(self) -> None:
        self._rest()
        if self._ending:
            return
        close = not self._parser.should_keep_alive()
        if self._headers.get("user-agent", "").startswith("Mozilla/"):
            self._send(Answer(403, text="User agent not allowed\n"), close=close)
        else:
            self._ask(close=close)
        self.on_message_begin()

    def _ask(self, *, close: bool) -> None:
        try:
            path, _, query = self._url.decode("ascii").partition("?")
            asked = dict(parse_qsl(query, max_num_fields=32))
        except ValueError:
            self._send(refused(Refusal("bad path or query")), close=close)
            return
        # A name with a slash in it can't be reached by any path, as in Toxiproxy.
        method = self._parser.get_method().decode("latin-1")
        request = _Request(method, unquote(path), asked, b"".join(self._body))
        module = self._server.api.slow_import(request.method, request.path)
        if not module:
            self._answer(request, close=close)
            return
        self._waiting = True

        def then() -> None:
            self._waiting = False
            self._answer(request, close=close)
            self._flush()

        self._server.after_import(module, then)

    def _answer(self, request: _Request, *, close: bool) -> None:
        try:
            answer = self._server.api.answer(request.method, request.path, request.query, request.body)
        except Exception as error:  # the boundary: a defect is told as one, and the links' traffic goes on
            traceback.print_exc(file=sys.stderr)
            answer = refused(Refusal(f"internal error: {type(error).__name__}", status=500))
        self._send(answer, close=close)

    def _send(self, answer: Answer, *, close: bool) -> None:
        headers = []
        body = b""
        if answer.status >= 400 and (answer.body is not None or answer.text):
            headers = ["Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"]
        elif answer.body is not None:
            headers = ["Content-Type: application/json"]
        if answer.body is not None:
            body = json.dumps(answer.body, separators=(",", ":"), ensure_ascii=False).encode()
            body += b"\n" if answer.status >= 400 else b""
        elif answer.text:
            body = answer.text.encode()
        if answer.status != 204:
            headers.append(f"Content-Length: {len(body)}")
        if close:
            headers.append("Connection: close")
            self._ending = True
        head = "\r\n".join([f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}", *headers, "", ""])
        self._out += head.encode("latin-1") + body

    def _flush(self) -> None:
        if self._closed:
            return
        if self._out:
            try:
                sent = self._sock.send(self._out)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.abandon()
                return
            self._out = self._out[sent:]
        if self._out:
            self._loop.watch(self._sock, WRITE, self)  # no more is read until the answer is taken
        elif self._waiting:
            self._loop.watch(self._sock, 0, self)
        elif self._ending:
            self._end()
        else:
            self._loop.watch(self._sock, READ, self)

    def _end(self) -> None:
        # The rest of what is being sent would turn our close into a reset that overtakes the answer; so it is
        # answered with a FIN, and read no further than what is already here.
        try:
            self._sock.shutdown(socket.SHUT_WR)
            for _ in range(BODY_BYTES_MAX // RECV_BYTES):
                if not self._sock.recv(RECV_BYTES):
                    break
        except OSError:
            pass
        self.abandon()

    def abandon(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
        self._loop.close(self._sock)
        self._server.clients.discard(self)
