"""One HTTP call with a time limit that holds for the whole of it.

Libraries limit each read; an answer that drips (as behind a bandwidth toxic) would then hold a witness for ever.
Here every read gets what is left of the limit. Each call is a connection of its own, as a victim's first request
after a fault would be, so nothing stale is ever reused. Rejected: requests and httpx for this reason, and 3 ms a
call.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError

HTTP_PROBLEM = http.client.HTTPException
BODY_BYTES_MAX = 64 * 1024 * 1024
SHOWN_MAX = 300


class Response(NamedTuple):
    """`status` and the whole body."""

    status: int
    body: bytes

    def json(self) -> Json:
        """The body as JSON. Raises ValueError."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"not JSON ({error}): {self.body[:SHOWN_MAX].decode(errors='replace')!r}") from None

    def words(self) -> str:
        """What an error answer says, in short."""
        try:
            found = self.json()
        except ValueError:
            return self.body[:SHOWN_MAX].decode(errors="replace").strip()
        if isinstance(found, dict):
            for key in ("error", "message", "reason", "detail"):
                if isinstance(found.get(key), str):
                    return str(found[key])[:SHOWN_MAX]
        return self.body[:SHOWN_MAX].decode(errors="replace")


class _Limited(io.RawIOBase):
    """A socket's bytes, each read limited by what is left."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


class _LimitedSocket:
    """What http.client needs of a socket, with one deadline for all of it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Limited(self._sock, self._deadline))

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def close(self) -> None:
        """http.client closes before the body is read; a real socket counts its files, here `request` closes in the end."""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no whole answer within the time limit")
    return left


def request(method: str, url: str, *, body: Json = None, timeout_s: float) -> Response:
    """Any status is an answer. Raises OSError (TimeoutError among them) or http.client.HTTPException for none."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"'{url}' is no address: only http://host:port/path is legal")
    deadline = time.monotonic() + timeout_s
    content = b"" if body is None else msgspec.json.encode(body)
    headers = {"Host": parts.netloc, "Connection": "close", "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if content or method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(content))
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80)
    raw = socket.create_connection((parts.hostname, parts.port or 80), timeout=_left(deadline))
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = _LimitedSocket(raw, deadline)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=content or None, headers=headers)
        with contextlib.closing(connection.getresponse()) as answer:
            read = answer.read(BODY_BYTES_MAX + 1)
        if len(read) > BODY_BYTES_MAX:
            raise OSError(f"the answer has more than {BODY_BYTES_MAX} bytes")
        return Response(answer.status, read)
    finally:
        connection.close()
        raw.close()


def ask(method: str, url: str, *, body: Json = None, timeout_s: float, ok: tuple[int, ...] = (200,)) -> Json:
    """The decoded answer (None if empty). Raises `EnvironmentProblem` with the target's words for anything else."""
    try:
        answer = request(method, url, body=body, timeout_s=timeout_s)
        if answer.status not in ok:
            raise EnvironmentProblem(f"{method} {url}: status {answer.status}: {answer.words()}")
        return answer.json() if answer.body else None
    except TimeoutError:
        raise EnvironmentProblem(f"{method} {url}: no answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EnvironmentProblem(f"{method} {url}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why there was no answer, in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | http.client.RemoteDisconnected | BrokenPipeError):
        return "connection reset"
    return str(error) or type(error).__name__


def dig(answer: Json, dotted: str) -> Json:
    """The field that a dotted path leads to (`model_version.version`, `items.0.id`). Raises KeyError."""
    for step in dotted.split("."):
        if isinstance(answer, dict) and step in answer:
            answer = answer[step]
        elif isinstance(answer, list) and step.lstrip("-").isdigit() and -len(answer) <= int(step) < len(answer):
            answer = answer[int(step)]
        else:
            raise KeyError(dotted)
    return answer
