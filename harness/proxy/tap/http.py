"""What all taps on HTTP/1.1 messages have in common: which messages, whose answer is whose, and the counts.

A response is known by the request that it answers, so a tap on `downstream` also watches `upstream`. On connections
that were open before the tap, it waits for the next start of a message; answers to requests from before pass as they
are. A client that had sent several requests at once and awaits their answers while a tap is added may get an answer
taken for another's: what was asked before the tap stood there can't be known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.proxy.framing import Framer, Head
from harness.proxy.stage import Cancellable, Host, Item, Mark, Owner, Sink, Stage
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.match import Match

PAIRED_MAX = 1024
"""Requests on one connection that await an answer; with more, the connection's messages pass unharmed."""

BODY_HEADERS = (b"content-length:", b"transfer-encoding:", b"trailer:")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tap stands, and for which messages."""

    name: str
    stream: str
    match: Match
    lease: str = ""


@dataclass(frozen=True)
class Asked:
    """A request that went by: what its response is known by. `ordinal` counts the requests of its connection, `id` is
    what the tap calls it by, if anything."""

    ordinal: int
    method: str
    path: str
    id: str | None


@dataclass
class Exchanges:
    """The requests of one connection, as one tap saw them."""

    seen: int = 0
    asked: deque[Asked] = field(default_factory=deque)
    lost: bool = False

    def ask(self, head: Head, *, id: str | None) -> Asked:
        asked = Asked(self.seen, head.method, head.path, id)
        self.seen += 1
        return asked

    def await_answer(self, asked: Asked) -> bool:
        """False from when too many await one: then nothing can be paired on this connection any more."""
        if len(self.asked) >= PAIRED_MAX:
            self.lost = True
            self.asked.clear()
        if not self.lost:
            self.asked.append(asked)
        return not self.lost

    def answered_by(self, head: Head) -> Asked | None:
        """The request of a response, which is filled in. Interim answers (1xx) leave it waiting for the final one."""
        if not self.asked:
            return None
        asked = self.asked[0] if head.status < 200 else self.asked.popleft()
        head.method, head.path = asked.method, asked.path
        return asked


class HttpTap(ABC):
    """`messages` are those that matched and were worked on."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.stream = place.stream
        self.match = place.match
        self.lease = place.lease
        self.messages = 0
        self.messages_damaged = 0
        self.passed: dict[str, int] = {}
        self._exchanges: dict[int, Exchanges] = {}
        self._watcher = Beside(self._watching)

    def owner(self, stream: str) -> Owner | None:
        if stream == self.stream:
            return self
        return self._watcher if self.stream == "downstream" else None

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    @abstractmethod
    def stage(self, pipe: Host) -> Stage:
        """What stands in one direction of one connection."""

    def _watching(self, pipe: Host) -> Stage:
        return RequestStage(self, pipe)

    def id_of(self, request: Head) -> str | None:
        """What the mask calls this request by."""
        del request
        return None

    def exchanges(self, ordinal: int) -> Exchanges:
        return self._exchanges.setdefault(ordinal, Exchanges())

    def forget(self, ordinal: int) -> None:
        self._exchanges.pop(ordinal, None)

    def pass_by(self, reason: str) -> None:
        """Counts a message (or the rest of a connection) that passed unharmed."""
        self.passed[reason] = self.passed.get(reason, 0) + 1

    def shown_place(self) -> dict[str, object]:
        shown: dict[str, object] = {
            "name": self.name,
            "kind": "http",
            "stream": self.stream,
            "match": {"method": self.match.method, "path": self.match.path},
        }
        return shown | ({"lease": self.lease} if self.lease else {})

    def shown_counters(self) -> dict[str, object]:
        return {"messages": self.messages, "messages_damaged": self.messages_damaged, "passed": self.passed}


class Beside:
    """The owner of the stages that a tap has on the other direction."""

    def __init__(self, make: Callable[[Host], Stage]) -> None:
        self.stage = make

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True


class FramedStage(ABC):
    """A framer between feed and sink. What it keeps of a message is less than the tap's bound."""

    sink: Sink

    def __init__(self, tap: HttpTap, pipe: Host, *, requests: bool, bounds: Bounds) -> None:
        self.tap = tap
        self.bounds = bounds
        self.host = pipe
        self.exchanges = tap.exchanges(pipe.ordinal)
        self.framer = Framer(self, requests=requests, fresh=pipe.fresh, body_bytes=bounds.body_bytes)
        self.held = 0
        self._begun = 0
        self._waited_for: tuple[int, int] | None = None
        self._timer: Cancellable | None = None

    def feed(self, item: Item) -> None:
        if not isinstance(item, Mark):
            self.framer.feed(item)
        else:
            if item is Mark.END:
                self.framer.end()
            else:
                self.framer.release()
            self.give(item)
        self._watch_the_clock()

    def give(self, item: Item) -> None:
        self.sink(item)

    def asked_by(self, head: Head) -> Asked | None:
        """The request that this head is, or answers; None for answers that aren't final, or to an unknown request."""
        self._begun += 1
        if not head.status:
            return self.exchanges.ask(head, id=self.tap.id_of(head))
        asked = self.exchanges.answered_by(head)
        return asked if head.status >= 200 else None

    @abstractmethod
    def begins(self, head: Head) -> bool:
        """Whether the message is to be kept whole."""

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        """A kept message has come to its end. For stages that keep any."""
        raise AssertionError("nothing is kept")

    def passes(self, data: bytes) -> None:
        self.give(data)

    def gave_up(self, reason: str) -> None:
        self.tap.pass_by(reason)

    def updated(self) -> None:  # noqa: B027 - it says why there is nothing to do
        """A tap isn't changed, only removed."""

    def detach(self) -> None:
        self.framer.release()
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.tap.forget(self.host.ordinal)

    # how long something may wait for its rest

    def waits_for(self) -> int | None:
        """What of the message at hand is held until its rest has come: the number of a part, the same for the same."""
        return 0 if self.framer.kept_head is not None else None

    def let_go(self) -> None:
        """Gives on what is held of the message at hand, and its rest as it comes."""
        self.framer.let_go()

    def _watch_the_clock(self) -> None:
        part = self.waits_for()
        waits = None if part is None else (self._begun, part)
        if waits == self._waited_for:
            return
        self._waited_for = waits
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waits is not None:
            self._timer = self.host.wake_at(self.host.now_ns() + self.bounds.within_ms * 1_000_000, self._late)

    def _late(self) -> None:
        self._timer = None
        self.tap.pass_by("late")
        self.let_go()


class RequestStage(FramedStage):
    """Notes which requests went by, for the responses to come. All passes."""

    def __init__(self, tap: HttpTap, pipe: Host) -> None:
        super().__init__(tap, pipe, requests=True, bounds=Bounds(body_bytes=0))

    def begins(self, head: Head) -> bool:
        was_lost = self.exchanges.lost
        if not self.exchanges.await_answer(self.exchanges.ask(head, id=self.tap.id_of(head))) and not was_lost:
            self.tap.pass_by("unpaired")
        return False

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        raise AssertionError("nothing is kept")

    def gave_up(self, reason: str) -> None:
        """The responses will have no request to be known by, and pass."""


def without(raw_head: bytes, dropped: tuple[bytes, ...]) -> list[bytes]:
    """The lines of a head, the first included, without the fields that begin so (lower case, with their colon)."""
    lines = raw_head[: -len(b"\r\n\r\n")].split(b"\r\n")  # none is folded: no head with folded lines is framed
    return [line for n, line in enumerate(lines) if n == 0 or not line.lower().startswith(dropped)]


def with_length(raw_head: bytes, size: int) -> bytes:
    return b"\r\n".join([*without(raw_head, BODY_HEADERS), b"Content-Length: %d" % size, b"", b""])
