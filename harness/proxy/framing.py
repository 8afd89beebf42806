"""Where HTTP/1.1 messages begin and end in one direction of a connection, to the byte.

httptools reads heads and chunked bodies; it doesn't say where in the bytes a message ended, so it is fed in slices
that end where a message may end. Whoever uses a framer decides at each head whether the message is to be kept whole
or given on as it comes. Bytes that are given on are the bytes that came.

What can't be framed (no HTTP, an upgrade, a head beyond its bound) is given on raw until the connection ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import httptools

HEAD_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 1 << 20

_BREAK = b"\r\n\r\n"
_REQUEST = re.compile(rb"[A-Z]{3,16} \S+ HTTP/1\.[01]\r\n")
_RESPONSE = re.compile(rb"HTTP/1\.[01] \d{3}[ \r]")


@dataclass
class Head:
    """The start of a message. `path` is without its query; of a response, it is the request's."""

    raw: bytes
    method: str = ""
    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Who uses a framer."""

    def begins(self, head: Head) -> bool:
        """Whether the message is to be kept whole, for `complete`; for responses, fills in the request's facts."""

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        """A kept message: `raw_body` as it came, `body` without its chunk marks."""

    def passes(self, data: bytes) -> None:
        """Bytes to give on as they are."""

    def gave_up(self, reason: str) -> None:
        """From here on nothing is framed (`reason`), or one kept message wasn't kept to its end."""


class _State(Enum):
    SEEK = auto()  # in the midst of a connection, until something looks like a head
    HEAD = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_END = auto()
    RAW = auto()


class _Facts:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.complete = True


class Framer:
    """A message that was to be kept and has more than `body_bytes` is given on, and `too-large` told."""

    def __init__(self, reader: Reader, *, requests: bool, fresh: bool, body_bytes: int = BODY_BYTES_MAX) -> None:
        self._reader = reader
        self._body_bytes = body_bytes
        self._requests = requests
        self._state = _State.HEAD if fresh else _State.SEEK
        self._buffer = b""
        self._at = 0  # how much of the buffer is done with: cutting it at each step would cost its square
        self._tail = b""  # of a chunked body, what may be the start of its end
        self._head = Head(b"")
        self._keeping = False
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._left = 0
        self._facts = _Facts()
        self._parser: httptools.HttpRequestParser | httptools.HttpResponseParser | None = None

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        for _ in range(len(self._buffer)):  # each step takes at least a byte, or waits for more
            if self._at >= len(self._buffer) or not self._step():
                break
        self._buffer = self._buffer[self._at :]
        self._at = 0

    def end(self) -> None:
        """The stream ended: what was kept is complete if only the end could tell, else given on as it came."""
        if self._state is _State.UNTIL_END and self._keeping:
            self._complete(b"".join(self._kept))
        self.release()

    def release(self) -> None:
        """Gives on, unharmed, all that is still here."""
        self._release_kept()
        if self._at < len(self._buffer):
            self._reader.passes(self._take(len(self._buffer)))

    @property
    def kept_head(self) -> Head | None:
        """Of the message that is being kept and isn't whole yet."""
        return self._head if self._keeping else None

    @property
    def between(self) -> bool:
        """All messages that began have ended; the next bytes begin one, or have."""
        return self._state is _State.HEAD

    def let_go(self) -> None:
        """Gives on what is kept, and the rest of that message as it comes."""
        self._release_kept()

    def _release_kept(self) -> None:
        if self._keeping:
            self._reader.passes(self._head.raw + self._forget_kept())

    def _forget_kept(self) -> bytes:
        kept = b"".join(self._kept)
        self._kept = []
        self._kept_bytes = 0
        self._keeping = False
        return kept

    def _step(self) -> bool:
        state = self._state
        if state is _State.HEAD:
            return self._read_head()
        if state is _State.LENGTH:
            piece = self._take(self._left)
            self._left -= len(piece)
            self._body(piece, done=self._left == 0)
        elif state is _State.CHUNKED:
            self._read_chunked()
        elif state is _State.SEEK and (_REQUEST if self._requests else _RESPONSE).match(self._buffer, self._at):
            self._state = _State.HEAD
        elif state is _State.UNTIL_END:
            self._body(self._take(len(self._buffer)), done=False)
        else:
            self._reader.passes(self._take(len(self._buffer)))
        return True

    def _take(self, size: int) -> bytes:
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _read_head(self) -> bool:
        at = self._buffer.find(_BREAK, self._at)
        if at < 0:
            if len(self._buffer) - self._at > HEAD_BYTES_MAX:
                self._give_up("head")
                return True
            return False
        raw = self._take(at + len(_BREAK) - self._at)
        facts = _Facts()
        try:
            self._head = self._parse(raw, facts)
        except httptools.HttpParserUpgrade:
            self._pass_raw(raw, "upgrade")
            return True
        except httptools.HttpParserError:
            self._pass_raw(raw, "not-http")
            return True
        self._facts = facts
        self._keeping = self._reader.begins(self._head)
        if not self._keeping:
            self._reader.passes(raw)
        self._enter_body()
        return True

    def _parse(self, raw: bytes, facts: _Facts) -> Head:
        self._parser = httptools.HttpRequestParser(facts) if self._requests else httptools.HttpResponseParser(facts)
        self._parser.feed_data(raw)
        if isinstance(self._parser, httptools.HttpRequestParser):
            method = self._parser.get_method().decode("latin-1")
            path = facts.url.split(b"?", 1)[0].decode("latin-1")
            return Head(raw, method=method, path=path, headers=facts.headers)
        return Head(raw, status=self._parser.get_status_code(), headers=facts.headers)

    def _enter_body(self) -> None:
        head = self._head
        bodiless = not self._requests and (head.status < 200 or head.status in (204, 304) or head.method == "HEAD")
        if "chunked" in head.headers.get("transfer-encoding", "").lower() and not bodiless:
            self._state = _State.CHUNKED
            self._tail = b""
        elif head.status == 101 or head.method == "CONNECT":
            self._give_up("upgrade")
        elif bodiless or (self._requests and "content-length" not in head.headers):
            self._complete_or_next()
        elif "content-length" in head.headers:
            self._left = int(head.headers["content-length"])
            self._state = _State.LENGTH
            if self._left == 0:
                self._complete_or_next()
        else:
            self._state = _State.UNTIL_END

    def _complete_or_next(self) -> None:
        if self._keeping:
            self._complete(b"")
        self._state = _State.HEAD

    def _body(self, piece: bytes, *, done: bool) -> None:
        if not self._keeping:
            self._reader.passes(piece)
        else:
            self._keep(piece)
            if done and self._keeping:
                self._complete(b"".join(self._kept))
        if done:
            self._state = _State.HEAD

    def _keep(self, piece: bytes) -> None:
        self._kept.append(piece)
        self._kept_bytes += len(piece)
        if self._kept_bytes > self._body_bytes:
            self._release_kept()
            self._reader.gave_up("too-large")

    def _read_chunked(self) -> None:
        # A chunked body ends with an empty line behind a line break; there may be others of its kind within.
        piece = self._take(self._until_break())
        self._tail = (self._tail + piece[-3:])[-3:]
        parser = self._parser
        try:
            if parser is not None:
                parser.feed_data(piece)
        except httptools.HttpParserError:
            self._release_kept()
            self._pass_raw(piece, "not-http")
            return
        if not self._keeping:
            self._facts.body.clear()
            self._reader.passes(piece)
        else:
            self._keep(piece)
            if self._facts.complete and self._keeping:
                self._complete(b"".join(self._facts.body))
        if self._facts.complete:
            self._state = _State.HEAD

    def _until_break(self) -> int:
        over = self._tail + self._buffer[self._at : self._at + 3]
        at = over.find(_BREAK)
        if at >= 0:
            return at + len(_BREAK) - len(self._tail)
        at = self._buffer.find(_BREAK, self._at)
        return len(self._buffer) - self._at if at < 0 else at + len(_BREAK) - self._at

    def _complete(self, body: bytes) -> None:
        self._reader.complete(self._head, self._forget_kept(), body)

    def _pass_raw(self, data: bytes, reason: str) -> None:
        self._reader.passes(data)
        self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._release_kept()
        self._state = _State.RAW
        self._reader.gave_up(reason)
