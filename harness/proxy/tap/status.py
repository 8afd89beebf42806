"""An answer of our own. Upstream: the request isn't passed on, its sender gets a status. Downstream: the upstream has
done its work, and its answer is replaced by the status.

An answer to a request that wasn't passed on may only go when all earlier requests of that connection are answered. So
until then it waits, and all requests behind it: then nothing is ever out of order, and when the tap is removed
meanwhile, the requests that wait simply go on to the upstream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from harness.proxy.framing import Head
from harness.proxy.stage import Host, Item, Mark, Owner, Stage
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.http import Asked, Beside, FramedStage, Place
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.requests import Draw, HitStage, RequestTap

STATUS_LEAST = 200  # those below are no final answers
STATUS_MOST = 599
_BODILESS = (204, 304)


class StatusTap(RequestTap):
    fault: ClassVar[str] = "status"

    def __init__(self, place: Place, draw: Draw, log: MaskLog, *, status: int, bounds: Bounds) -> None:
        super().__init__(place, draw, log)
        self.bounds = bounds
        self._status = status
        self._gates: dict[int, Gate] = {}
        self._answering = Beside(lambda pipe: AnswerStage(self, pipe))

    def owner(self, stream: str) -> Owner | None:
        return self._answering if self.stream == "upstream" and stream == "downstream" else super().owner(stream)

    def stage(self, pipe: Host) -> Stage:
        return RefuseStage(self, pipe) if self.stream == "upstream" else ReplaceStage(self, pipe)

    def gate(self, ordinal: int) -> Gate:
        return self._gates.setdefault(ordinal, Gate())

    def forget(self, ordinal: int) -> None:
        super().forget(ordinal)
        self._gates.pop(ordinal, None)

    def answer(self, *, closing: bool) -> bytes:
        try:
            phrase = HTTPStatus(self._status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self._status} {phrase}"]
        if self._status not in _BODILESS:
            lines.append("Content-Length: 0")
        if closing:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def shown_fault(self) -> dict[str, object]:
        return {"status": self._status, "body_bytes": self.bounds.body_bytes}


class Gate:
    """Between the two stages of a connection."""

    def __init__(self) -> None:
        self.refuse: RefuseStage | None = None
        self.answer: AnswerStage | None = None


@dataclass(frozen=True)
class Refused:
    """A request that waits to be answered by us."""

    raw: bytes
    asked: Asked
    closing: bool


@dataclass(frozen=True)
class Passed:
    """The head of a request that goes on and will be answered, with what is known of its body."""

    raw: bytes
    asked: Asked


class RefuseStage(HitStage):
    """On the requests' way."""

    def __init__(self, tap: StatusTap, pipe: Host) -> None:
        super().__init__(tap, pipe, bounds=tap.bounds)
        self._status_tap = tap
        self._gate = tap.gate(pipe.ordinal)
        self._gate.refuse = self
        self._waiting: deque[Item | Refused | Passed] = deque()
        self._head_of: Asked | None = None  # the request whose head passes next, if it does

    def begins(self, head: Head) -> bool:
        keeps = super().begins(head)
        self._head_of = self.asked
        return keeps

    def strikes(self, head: Head) -> bool:
        reason = too_much(head, self._status_tap.bounds)
        if self.exchanges.lost:
            reason = "unpaired"
        elif "expect" in head.headers:
            reason = "expect"  # the sender waits for an interim answer before it sends the body
        if reason:
            self.tap.pass_by(reason)
        return not reason

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        asked, self._head_of = self._head_of, None
        if asked is not None:
            self._enter(Refused(head.raw + raw_body, asked, closes(head)))

    def passes(self, data: bytes) -> None:
        asked, self._head_of = self._head_of, None
        self._enter(data if asked is None else Passed(data, asked))

    def give(self, item: Item) -> None:
        self._enter(item)

    def _enter(self, item: Item | Refused | Passed) -> None:
        self._waiting.append(item)
        self.held += _size(item)
        self.go_on()

    def go_on(self) -> None:
        """As far as nothing has to wait for an answer."""
        while self._waiting:
            first = self._waiting[0]
            answer = self._gate.answer
            if isinstance(first, Refused) and answer is not None and answer.busy and not self.exchanges.lost:
                return
            self._waiting.popleft()
            self.held -= _size(first)
            if isinstance(first, Refused):
                self._answer(first, answer)
            elif isinstance(first, Passed):
                self.exchanges.await_answer(first.asked)
                self.sink(first.raw)
            else:
                self.sink(first)

    def _answer(self, refused: Refused, answer: AnswerStage | None) -> None:
        if answer is None or self.exchanges.lost:
            self.tap.pass_by("unpaired")
            self.sink(refused.raw)
            return
        self.done(refused.asked)
        answer.say(self._status_tap.answer(closing=refused.closing), closing=refused.closing)

    def detach(self) -> None:
        self.framer.release()
        while self._waiting:
            item = self._waiting.popleft()
            self.sink(item.raw if isinstance(item, Refused | Passed) else item)
        self.held = 0
        self.close()


class AnswerStage(FramedStage):
    """On the answers' way: what the upstream says passes, and our answers come between."""

    def __init__(self, tap: StatusTap, pipe: Host) -> None:
        super().__init__(tap, pipe, requests=False, bounds=Bounds(body_bytes=0))
        self._gate = tap.gate(pipe.ordinal)
        self._gate.answer = self
        self._within = False  # a final answer
        self._closed = False

    @property
    def busy(self) -> bool:
        """An answer of the upstream is to come, or has begun."""
        return self._within or bool(self.exchanges.asked)

    def begins(self, head: Head) -> bool:
        self.asked_by(head)
        self._within = head.status >= 200
        return False

    def feed(self, item: Item) -> None:
        super().feed(item)
        if self.framer.between:
            self._within = False
        if isinstance(item, Mark):
            self.exchanges.lost = True  # no more answers: what waits for them may go
        if self._gate.refuse is not None:
            self._gate.refuse.go_on()

    def give(self, item: Item) -> None:
        if not self._closed:
            self.sink(item)

    def gave_up(self, reason: str) -> None:
        super().gave_up(reason)
        self.exchanges.lost = True

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        raise AssertionError("nothing is kept")

    def say(self, answer: bytes, *, closing: bool) -> None:
        """An answer of our own, when none of the upstream's is due."""
        self.give(answer)
        if closing:
            self.give(Mark.END)
            self._closed = True


class ReplaceStage(HitStage):
    """On the answers' way, for a tap on `downstream`."""

    def __init__(self, tap: StatusTap, pipe: Host) -> None:
        super().__init__(tap, pipe, bounds=tap.bounds)
        self._status_tap = tap

    def strikes(self, head: Head) -> bool:
        reason = too_much(head, self._status_tap.bounds) if head.method != "HEAD" else ""
        if reason:
            self.tap.pass_by(reason)
        return not reason

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        self.done(self.asked)
        self.give(self._status_tap.answer(closing=closes(head)))


def too_much(head: Head, bounds: Bounds) -> str:
    return "too-large" if int(head.headers.get("content-length", 0)) > bounds.body_bytes else ""


def closes(head: Head) -> bool:
    """Whether the sender says that the connection ends with this message, or with its answer."""
    connection = head.headers.get("connection", "").lower()
    old = b"HTTP/1.0" in head.raw.partition(b"\r\n")[0]
    return "close" in connection or (old and "keep-alive" not in connection)


def _size(item: Item | Refused | Passed) -> int:
    if isinstance(item, Refused | Passed):
        return len(item.raw)
    return 0 if isinstance(item, Mark) else len(item)
