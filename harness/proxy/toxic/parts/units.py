"""Toxicity drawn for each request or record: cuts a stream into these, and lets a toxic's stage have those that are hit.

The order of bytes is always kept: what isn't hit goes through the same stage, behind what it holds. Nothing is kept
back to find where a unit ends, since it is decided at its beginning; only the head of an HTTP message waits until it is
whole. A unit's ordinal is counted on its connection from when it met the toxic, and its draw belongs to (seed, toxic,
connection, unit): how the stream is cut into chunks changes nothing.

What belongs to no unit (the rest of one that began before the toxic came, what is no HTTP/1.1, a line without an end)
passes; connections with such bytes are counted.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.proxy.stage import Host, Item, Mark, Sink
from harness.proxy.toxic.parts.base import NO_UNIT, BaseStage
from harness.proxy.toxic.parts.declaration import Per, Settings, ToxicStage

if TYPE_CHECKING:
    from harness.proxy.framing import Framer, Head

RECORD_BYTES_MAX = 1 << 20
ASKED_MAX = 1024

_MAYBE_REQUEST = re.compile(rb"[A-Z]{1,20}(?:\Z| [^\r\n]*(?:\Z| HTTP/1\.[01]\r?(?:\n|\Z)))")
_RESPONSE_STARTS = (b"HTTP/1.0 ", b"HTTP/1.1 ")

Give = Callable[[bytes, int], None]
"""Bytes, and the ordinal of the unit that they belong to, or NO_UNIT."""


class Cutter(Protocol):
    """Gives on all that it is fed, cut at the ends of units."""

    def feed(self, data: bytes) -> None: ...

    def release(self) -> None:
        """Nothing more will come: gives on what is still here."""


class UnitStage:
    """Stands in for the stage of a toxic whose toxicity isn't per connection."""

    def __init__(self, toxic: Settings, pipe: Host, inner: ToxicStage, cutter: Callable[[Give], Cutter]) -> None:
        self._toxic = toxic
        self._connection = pipe.ordinal
        self._inner = inner
        self._cutter = cutter(self._give)
        self._unit = NO_UNIT
        self._hit = False
        self._unframed = False

    @property
    def sink(self) -> Sink:
        return self._inner.sink

    @sink.setter
    def sink(self, sink: Sink) -> None:
        self._inner.sink = sink

    @property
    def held(self) -> int:
        return self._inner.held

    @held.setter
    def held(self, held: int) -> None:
        self._inner.held = held

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark):
            self._cutter.release()
            self._inner.unit = NO_UNIT
            self._inner.feed(item)
        else:
            self._cutter.feed(item)

    def _give(self, data: bytes, unit: int) -> None:
        if unit == NO_UNIT:
            if not self._unframed:
                self._unframed = True
                self._toxic.counts.unframed += 1
            self._inner.past(data)
            return
        if unit != self._unit:
            self._unit = unit
            self._hit = self._toxic.hits(self._connection, unit)
        if self._hit:
            self._inner.unit = unit
            self._inner.feed(data)
        else:
            self._inner.past(data)

    def updated(self) -> None:
        self._inner.updated()

    def detach(self) -> None:
        self._cutter.release()
        self._inner.detach()

    def close(self) -> None:
        self._inner.close()


class Lines:
    """Records: what ends with a newline."""

    def __init__(self, give: Give, *, fresh: bool) -> None:
        self._give = give
        self._unit = 0
        self._known = fresh  # whether the beginning of the line under way has been seen
        self._size = 0

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            newline = data.find(b"\n", at)
            end = len(data) if newline < 0 else newline + 1
            self._size += end - at
            if self._size > RECORD_BYTES_MAX:
                self._known = False
            self._give(data[at:end], self._unit if self._known else NO_UNIT)
            if newline >= 0:
                self._unit += 1
                self._known = True
                self._size = 0
            at = end

    def release(self) -> None:
        """Nothing is kept back."""


class Messages:
    """HTTP/1.1 messages. `asked` holds the methods of the requests that responses will answer: one may forbid a body."""

    def __init__(self, give: Give, *, fresh: bool, asked: deque[str] | None) -> None:
        from harness.proxy.framing import Framer  # its parser, only for those who need it

        self._give = give
        self._asked = asked
        self._first = fresh
        self._framer: Framer | None = Framer(self, requests=asked is None, fresh=fresh)
        self._unit = NO_UNIT
        self._next = 0

    def feed(self, data: bytes) -> None:
        if self._first:
            self._first = False
            # The framer waits for the end of a head; what is none from its first bytes on must not wait.
            if not (_maybe_request(data) if self._asked is None else _maybe_response(data)):
                self._framer = None
        if self._framer is None:
            self._give(data, NO_UNIT)
        else:
            self._framer.feed(data)

    def release(self) -> None:
        if self._framer is not None:
            self._framer.release()

    # what the framer calls

    def begins(self, head: Head) -> bool:
        self._unit = self._next
        if self._asked is not None:
            if 100 <= head.status < 200 and head.status != 101:
                return False  # only announces the response
            head.method = self._asked.popleft() if self._asked else ""
        self._next += 1
        return False

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        raise AssertionError("nothing is kept")

    def passes(self, data: bytes) -> None:
        self._give(data, self._unit)

    def gave_up(self, reason: str) -> None:
        del reason
        self._unit = NO_UNIT


def _maybe_request(data: bytes) -> bool:
    return _MAYBE_REQUEST.match(data) is not None


def _maybe_response(data: bytes) -> bool:
    return any(start.startswith(data[: len(start)]) for start in _RESPONSE_STARTS)


class AskedStage(BaseStage):
    """Stands in the other direction, and notes the methods of requests. All passes."""

    def __init__(self, toxic: Settings, pipe: Host, asked: dict[int, deque[str]]) -> None:
        super().__init__(toxic, pipe)
        self._asked = asked
        noted = asked.setdefault(pipe.ordinal, deque(maxlen=ASKED_MAX))
        self._cutter = _Methods(self._pass, fresh=pipe.fresh, note=noted.append)

    def _pass(self, data: bytes, unit: int) -> None:
        del unit
        self.sink(data)

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark):
            self._cutter.release()
            self.sink(item)
        else:
            self._cutter.feed(item)

    def detach(self) -> None:
        self._cutter.release()
        self.close()

    def close(self) -> None:
        self._asked.pop(self.pipe.ordinal, None)


class _Methods(Messages):
    def __init__(self, give: Give, *, fresh: bool, note: Callable[[str], None]) -> None:
        super().__init__(give, fresh=fresh, asked=None)
        self._note = note

    def begins(self, head: Head) -> bool:
        self._note(head.method)
        return super().begins(head)


def cut(toxic: Settings, pipe: Host, inner: ToxicStage, asked: dict[int, deque[str]] | None) -> UnitStage:
    """`asked`: by connection, the methods of requests, where the units are responses."""
    if toxic.per is Per.RECORD:
        return UnitStage(toxic, pipe, inner, lambda give: Lines(give, fresh=pipe.fresh))
    methods = None if asked is None else asked.setdefault(pipe.ordinal, deque(maxlen=ASKED_MAX))
    return UnitStage(toxic, pipe, inner, lambda give: Messages(give, fresh=pipe.fresh, asked=methods))
