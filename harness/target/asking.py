"""One HTTP request, and all that can be told of how its answer came: what a link's witness goes by.

Standard library and no house, because the same text is run by `python3 -c` inside a container, where nothing of ours is. So
it is plain sockets and records of JSON; and because libraries hide what matters here: in how many pieces an answer came,
after which byte it broke off, when the connection ended.

Always true: it takes no longer than its limit, and holds no more than `BYTES_MAX` of an answer.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import time
from typing import Any

BYTES_MAX = 4 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 64
ANSWERED, REFUSED, RESET, CLOSED, HUNG, DAMAGED, LOST = (
    "answered",
    "refused",
    "reset",
    "closed early",
    "hung",
    "damaged",
    "lost",
)
WORDS = {
    REFUSED: "connection refused",
    RESET: "connection reset",
    CLOSED: "connection closed before the answer was whole",
    HUNG: "no answer in time",
    DAMAGED: "what came is no HTTP",
}


class UnreadableError(ValueError):
    """What came can't be an HTTP answer."""


class Answer:
    """An answer as it comes in: fed bytes, it knows when it is whole."""

    def __init__(self) -> None:
        self.raw = b""
        self.body_at = 0
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self._length: int | None = None
        self._chunked = False
        self._http_1_1 = False
        self.body = b""
        self.whole = False

    @property
    def keeps(self) -> bool:
        """Whether the connection takes another request."""
        return self._http_1_1 and self.headers.get("connection", "").lower() != "close"

    def feed(self, data: bytes) -> None:
        """Raises `UnreadableError`."""
        self.raw += data
        if not self.body_at:
            self._head()
        if self.body_at and not self.whole:
            self._measure()

    def ended(self) -> None:
        """The other side has closed: an answer without a length is whole by that."""
        if self.body_at and self._length is None and not self._chunked:
            self.body, self.whole = self.raw[self.body_at :], True

    def _head(self) -> None:
        if self.raw and not b"HTTP/1.".startswith(self.raw[:7]):
            raise UnreadableError
        end = self.raw.find(b"\r\n\r\n")
        if end < 0:
            if len(self.raw) > HEAD_BYTES_MAX:
                raise UnreadableError
            return
        first, *lines = self.raw[:end].decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise UnreadableError
        self.status, self.body_at = int(words[1]), end + 4
        self._http_1_1 = words[0] == "HTTP/1.1"
        for line in lines[:HEADERS_MAX]:
            name, colon, value = line.partition(":")
            if not colon:
                raise UnreadableError
            self.headers[name.strip().lower()] = value.strip()
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        if self.status in (204, 304):
            self._length = 0
        elif length is not None and not self._chunked:
            if not length.isdigit():
                raise UnreadableError
            self._length = int(length)

    def _measure(self) -> None:
        if self._length is not None:
            self.body = self.raw[self.body_at : self.body_at + self._length]
            self.whole = len(self.body) == self._length
        elif self._chunked:
            self._chunks()

    def _chunks(self) -> None:
        parts: list[bytes] = []
        at = self.body_at
        while True:
            end = self.raw.find(b"\r\n", at)
            if end < 0:
                return
            try:
                size = int(self.raw[at:end].split(b";")[0], 16)
            except ValueError:
                raise UnreadableError from None
            if len(self.raw) < end + 2 + size + 2:
                return
            if size == 0:
                self.body, self.whole = b"".join(parts), True
                return
            parts.append(self.raw[end + 2 : end + 2 + size])
            at = end + 2 + size + 2


def asked(host: str, port: int, *, method: str, path: str, body: bytes, padding: int, keep: bool) -> bytes:
    """The request's bytes. `padding` goes in a header of no meaning, so that any server takes it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Accept: application/json"]
    lines.append("Connection: " + ("keep-alive" if keep else "close"))
    if body or method in ("POST", "PUT", "PATCH"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if padding:
        lines.append("X-Padding: " + "x" * padding)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Asker:
    """One connection, on which requests are made one after the other, all within one limit."""

    def __init__(self, host: str, port: int, limit_s: float) -> None:
        self._address = (host, port)
        self._began = time.perf_counter()
        self._limit_s = limit_s
        self._opened: socket.socket | None = None
        self.keeps = True

    def _left(self) -> float:
        left = self._limit_s - (time.perf_counter() - self._began)
        if left <= 0:
            raise TimeoutError
        return left

    def request(self, data: bytes, *, closes: bool) -> dict[str, Any]:
        """One request on it; what was seen, as a record of JSON."""
        began = time.perf_counter()
        answer = Answer()
        times: list[float] = []
        close_s = None
        error = ""
        try:
            link = self._link()
            link.settimeout(self._left())
            link.sendall(data)
            ended = self._receive(link, answer, times)
            if ended == ANSWERED and closes:
                close_s = self._wait_for_close(link)
        except TimeoutError:
            ended = HUNG
        except ConnectionRefusedError:
            ended = REFUSED
        except (ConnectionResetError, BrokenPipeError):
            ended = RESET
        except UnreadableError:
            ended = DAMAGED
        except OSError as problem:
            ended, error = LOST, str(problem.strerror or problem)
        self.keeps = ended == ANSWERED and answer.keeps
        taken = times[-1] - began if ended == ANSWERED else time.perf_counter() - began
        gaps = [times[n] - times[n - 1] for n in range(1, len(times))]
        return {
            "answered": ended == ANSWERED,
            "seconds": taken,
            "status": answer.status if ended == ANSWERED else None,
            "error": "" if ended == ANSWERED else WORDS.get(ended, error),
            "ended": ended,
            "received": len(answer.raw),
            "reads": len(times),
            "first_s": times[0] - began if times else None,
            "gap_s": max(gaps) if gaps else 0.0,
            "close_s": close_s,
            "headers": answer.headers,
            "digest": hashlib.sha256(answer.body).hexdigest()[:16] if ended == ANSWERED else "",
        }

    def _link(self) -> socket.socket:
        if self._opened is None:
            self._opened = socket.create_connection(self._address, timeout=self._left())
            self._opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._opened

    def _receive(self, link: socket.socket, answer: Answer, times: list[float]) -> str:
        """How it ended."""
        while not answer.whole:
            link.settimeout(self._left())
            data = link.recv(65536)
            if not data:
                answer.ended()
                return ANSWERED if answer.whole else CLOSED if answer.raw else RESET
            times.append(time.perf_counter())
            answer.feed(data)
            if len(answer.raw) > BYTES_MAX:
                raise OSError(f"the answer has more than {BYTES_MAX} bytes")
        return ANSWERED

    def _wait_for_close(self, link: socket.socket) -> float | None:
        """Seconds from the whole answer to the end of the connection; None: it didn't end within the limit."""
        began = time.perf_counter()
        try:
            while True:
                link.settimeout(self._left())
                if not link.recv(65536):
                    break
        except TimeoutError:
            return None
        except OSError:
            pass  # reset: an end as well
        return time.perf_counter() - began

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def ask(
    host: str,
    port: int,
    *,
    method: str = "GET",
    path: str = "/",
    body: bytes = b"",
    padding: int = 0,
    closes: bool = False,
    requests: int = 1,
    limit_s: float = 2.0,
) -> list[dict[str, Any]]:
    """`requests` on one connection; fewer, where one isn't answered or the other side keeps no connection."""
    asker = Asker(host, port, limit_s)
    told: list[dict[str, Any]] = []
    try:
        while len(told) < requests and asker.keeps:
            last = len(told) == requests - 1
            data = asked(host, port, method=method, path=path, body=body, padding=padding, keep=not last)
            told.append(asker.request(data, closes=closes and last))
    finally:
        asker.close()
    return told


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["body"] = given.get("body", "").encode()
    print(json.dumps(ask(**given)))
