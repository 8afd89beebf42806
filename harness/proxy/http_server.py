"""The API's HTTP side, on the proxy's own loop: httptools parses, `Api` answers, and every read is bounded.

Junk is answered 400, a body over its bound 413, a page in a browser 403 (see `guard`), and each of these but the last ends
the connection. A request that isn't whole within 15 s, or a minute without one, ends it too. Where there are too many
clients, the one that was quiet longest goes: whoever fills the port with idle connections must not lock out a heal.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import socket
import sys
import threading
import time
import traceback
from base64 import b32hexencode
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httptools

from harness.proxy import address, bodies
from harness.proxy.api import Answer, Api, Found, refused
from harness.proxy.guard import BROWSER, Guard, browser
from harness.proxy.loop import READ, WRITE, Loop, Timer, Wake
from harness.proxy.refusal import Refusal

BODY_BYTES_MAX = 1_000_000
BODIES_BYTES_MAX = 32_000_000
HEAD_BYTES_MAX = 64 << 10
REQUEST_NS_MAX = 15_000_000_000
IDLE_NS_MAX = 60_000_000_000
ACCEPT_PAUSE_NS = 100_000_000
CLIENTS_MAX = 256
RECV_BYTES = 64 << 10
TEXT = "text/plain; charset=utf-8"
NOT_HTTP = Answer(400, text="400 Bad Request")

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    301: "Moved Permanently",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class HttpServer:
    def __init__(self, loop: Loop, api: Api, listen: str, guard: Guard) -> None:
        self.loop = loop
        self.api = api
        self.guard = guard
        self.clients: dict[HttpClient, None] = {}  # the longest quiet first
        self.body_bytes = 0  # that are being received, of all clients
        self._sock = address.listen(listen)
        self._imports: dict[str, tuple[Wake, list[Callable[[], None]]]] = {}
        self.address = address.show(self._sock)
        loop.watch(self._sock, READ, self)

    def on_event(self, events: int) -> None:
        del events
        try:
            sock, _ = self._sock.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._make_room()
            return
        sock.setblocking(False)
        if len(self.clients) >= CLIENTS_MAX:
            self._drop_quietest()
        self.clients[HttpClient(self, sock)] = None

    def _drop_quietest(self) -> None:
        for client in self.clients:
            client.abandon()
            return

    def _make_room(self) -> None:
        # Out of descriptors: the backlog would report itself again and again.
        self._drop_quietest()
        self.loop.forget(self._sock)
        self.loop.at(time.monotonic_ns() + ACCEPT_PAUSE_NS, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self.loop.watch(self._sock, READ, self)

    def heard(self, client: HttpClient) -> None:
        self.clients.pop(client, None)
        self.clients[client] = None

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
        self._body_bytes = 0
        self._parser = httptools.HttpRequestParser(self)
        self._idle: Timer | None = None
        self._begun = False
        self.on_message_begin()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._until(IDLE_NS_MAX)
        self._loop.watch(sock, READ, self)

    def _until(self, left_ns: int) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.at(self._loop.now_ns + left_ns, self.abandon)

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
        if not self._begun:
            self._begun = True
            self._until(REQUEST_NS_MAX)
        self._head_bytes += 0 if self._in_body else len(data)
        try:
            self._parser.feed_data(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                raise Refusal("request header too large", status=431)
        except Refusal as refusal:
            self._send(refused(refusal), close=True)
        except httptools.HttpParserUpgrade:
            self._ending = True  # it was answered as if it had not asked, and what follows would be another protocol
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._send(refused(cause) if isinstance(cause, Refusal) else NOT_HTTP, close=True)
        self._flush()

    # httptools calls these

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._server.body_bytes -= self._body_bytes
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
        self._server.body_bytes += len(body)
        self._bound(self._body_bytes)

    def _bound(self, size: int) -> None:
        if size > BODY_BYTES_MAX:
            raise Refusal(f"body too large: at most {BODY_BYTES_MAX} bytes", status=413)
        if self._server.body_bytes > BODIES_BYTES_MAX:
            raise Refusal("too many large bodies at once", status=503)

    def on_message_complete(self) -> None:
        self._begun = False
        self._until(IDLE_NS_MAX)
        self._server.heard(self)
        if not self._ending:
            self._ask(close=not self._parser.should_keep_alive())
        self.on_message_begin()

    def _ask(self, *, close: bool) -> None:
        refusal = self._server.guard.refusal(self._headers)
        if refusal:
            self._send(Answer(403, text=refusal), close=close)
            return
        if "host" not in self._headers and self._parser.get_http_version() == "1.1":
            self._send(Answer(400, text="400 Bad Request: missing required Host header"), close=True)
            return
        try:
            path, _, query = _target(self._url.decode("ascii")).partition("?")
            asked = dict(parse_qsl(query, max_num_fields=32))
            if "%" in _ESCAPE.sub("", path):
                raise ValueError("a percent sign that begins no escape")
            path = unquote(path)
        except ValueError:
            self._send(NOT_HTTP, close=True)
            return
        # A name with a slash in it can't be reached by any path, as in Toxiproxy.
        method = self._parser.get_method().decode("latin-1")
        found = self._server.api.find(method, path)
        if isinstance(found, Answer):
            self._send(found, close=close)
        elif browser(self._headers):
            self._send(Answer(403, text=BROWSER), close=close, called=True)
        else:
            self._call(found, asked, b"".join(self._body), close=close)

    def _call(self, found: Found, query: dict[str, str], body: bytes, *, close: bool) -> None:
        if not found.slow:
            self._answer(found, query, body, close=close)
            return
        self._waiting = True

        def then() -> None:
            self._waiting = False
            self._answer(found, query, body, close=close)
            self._flush()

        self._server.after_import(found.slow, then)

    def _answer(self, found: Found, query: dict[str, str], body: bytes, *, close: bool) -> None:
        try:
            answer = found.answer(query, body)
        except Exception as error:  # the boundary: a defect is told as one, and the links' traffic goes on
            traceback.print_exc(file=sys.stderr)
            answer = refused(Refusal(f"internal error: {type(error).__name__}", status=500))
        self._send(answer, close=close, called=True)

    def _send(self, answer: Answer, *, close: bool, called: bool = False) -> None:
        """`called` says whether there is such a call: Toxiproxy numbers only those."""
        body = answer.text.encode()
        kind = answer.type
        headers = []
        if answer.body is not None:
            body = bodies.write(answer.body)
            kind = kind or (TEXT if answer.status >= 400 else "application/json")
            body += b"\n" if kind == TEXT else b""
        elif body:
            kind = kind or TEXT
        if kind:
            headers.append(f"Content-Type: {kind}")
        if kind == TEXT:
            headers.append("X-Content-Type-Options: nosniff")
        if called:
            headers.append(f"X-Toxiproxy-Request-Id: {_request_id()}")
        if answer.location:
            headers.append(f"Location: {_header(answer.location)}")
        headers.append(time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
        head_only = self._parser.get_method() == b"HEAD"
        if answer.status != 204 and (body or not head_only):
            headers.append(f"Content-Length: {len(body)}")
        if close:
            headers.append("Connection: close")
            self._ending = True
        head = "\r\n".join([f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}", *headers, "", ""])
        self._out += head.encode("latin-1") + (b"" if head_only else body)

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
        self._server.clients.pop(self, None)
        self._server.body_bytes -= self._body_bytes
        self._body_bytes = 0


def _request_id() -> str:
    """Twenty characters in the alphabet of Toxiproxy's ids, and like those rising with time."""
    return b32hexencode(int(time.time()).to_bytes(4, "big") + os.urandom(8)).decode().rstrip("=").lower()


def _target(url: str) -> str:
    """Without the scheme and host that a client puts in front when it takes us for its web proxy."""
    if url.startswith("/"):
        return url
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}"


def _header(text: str) -> str:
    return quote(text, safe="/:@!$&'()*+,;=~-._")
