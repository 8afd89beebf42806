"""The stages of a tap on Redis: what is to be damaged is held until it is complete, all else passes as it comes.

On a connection older than the tap nobody knows where a value begins, nor how many replies are still to come. RESP has
no mark to find it by, so:

- A stage looks at the first byte of each piece that is received until one begins as a value must: a command as a list
  with a name, a reply as a whole header. Redis and its clients send a value, or a batch of them, with one write, so a
  piece that begins so is the start of a value, unless a value that was half through at that moment holds text that looks
  like one just where a piece began. If so, the bytes don't go on to make sense, and the search begins again.
- A reply that nothing was asked for is one to a command from before the tap, most often a consumer's read that was
  waiting. It is known by its look: names of streams, and in them entries with ids of Redis's form.
- Whoever had several commands on their way when the tap came has all pairs shifted, until a reply comes for which
  nothing is asked; after it they fit again. Meanwhile streams' reads are still known by their look, and nothing that
  doesn't look like entries is ever changed.

The same look is asked of replies on all connections: being wrong about a pair can cost damage, never a byte.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from harness.proxy.stage import Cancellable, Host, Item, Mark, Sink
from harness.proxy.tap.redis import RedisTap
from harness.proxy.tap.redis_dialogue import Asked
from harness.proxy.tap.redis_values import CommandScanner, ReplyScanner, RespError, Value, parse

MS = 1_000_000

_COMMAND = re.compile(rb"\*[1-9]\d{0,6}\r\n\$[1-9]\d{0,2}\r\n[A-Za-z]")
_REPLY = re.compile(
    rb"[*~>%|]\d{1,7}\r\n|\$\d{1,6}\r\n|[$*]-1\r\n|_\r\n|#[tf]\r\n|:[+-]?\d{1,20}\r\n|\+[ -~]{1,200}\r\n|-[A-Z]+ [ -~]*\r\n"
)
_STATE_LINES = frozenset(b"+-")
_LISTS = frozenset(b"*%|")
_PUSH = ord(">")


class _RespStage(ABC):
    """What the three have in common: a scanner, what is held, and when to give it up."""

    sink: Sink
    start: re.Pattern[bytes]
    held = 0  # not to stop the reading: what is held waits for more, and has its own bound

    def __init__(self, tap: RedisTap, pipe: Host, scanner: CommandScanner | ReplyScanner) -> None:
        self._tap = tap
        self._pipe = pipe
        self._fresh = pipe.fresh
        self._dialogue = tap.dialogue(pipe.ordinal)
        self._scanner = scanner
        self._seeking = not pipe.fresh
        self._raw = False
        self._hold = False
        self._parts: list[bytes] = []
        self._held = 0
        self._at = 0  # in what is being fed: where that begins which is neither held nor given on
        self._late: Cancellable | None = None

    # what they differ in

    @abstractmethod
    def begins(self, kind: int) -> bool:
        """A value begins: whether to hold it (for now)."""

    def holds(self) -> bool:
        """More of a held value has come: whether to hold on."""
        return True

    def went(self) -> None:  # noqa: B027 - most stages needn't know
        """More of any value has come, before it is given on."""

    @abstractmethod
    def complete(self, data: bytes) -> bytes:
        """What to give on instead of the held value `data`."""

    # a stage

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark):
            self._release()
            self.sink(item)
            return
        if self._dialogue.lost and not self._raw:
            self._go_raw(self._dialogue.lost)
        if self._seeking and self.start.match(item):
            self._seeking = False
        if self._raw or self._seeking:
            self.sink(item)
            return
        out: list[bytes] = []
        self._at = 0
        try:
            self._read(item, out)
        except RespError as error:
            out += self._forget_held()
            self._lose_track(str(error))
        out.append(item[self._at :])
        self._time()
        data = b"".join(out) if len(out) > 1 else out[0]
        if data:
            self.sink(data)

    def _read(self, data: bytes, out: list[bytes]) -> None:
        at = 0
        while at < len(data):
            if self._scanner.between:
                self._hold = self.begins(data[at])
            start = at
            at = self._scanner.feed(data, at)
            self.went()
            if self._hold and not self.holds():
                self._hold = False
                out += self._forget_held()
            if not self._hold:
                continue
            out.append(data[self._at : start])
            self._parts.append(data[start:at])
            self._held += at - start
            self._at = at
            if self._scanner.between:
                out.append(self._completed(b"".join(self._forget_held())))
            elif self._held > self._tap.bounds.body_bytes:
                self._hold = False
                out += self._forget_held()
                self._tap.pass_by("too-large")

    def _completed(self, data: bytes) -> bytes:
        self._hold = False
        if len(data) > self._tap.bounds.body_bytes:
            self._tap.pass_by("too-large")
            return data
        return self.complete(data)

    def _forget_held(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        self._held = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None
        return parts

    def _time(self) -> None:
        if self._held and self._late is None:
            self._late = self._pipe.wake_at(self._pipe.now_ns() + self._tap.bounds.within_ms * MS, self._too_late)

    def _too_late(self) -> None:
        self._tap.pass_by("late")
        self._release()

    def _release(self) -> None:
        """Gives on what is held; the value passes from here on."""
        self._hold = False
        data = b"".join(self._forget_held())
        if data:
            self.sink(data)

    def _lose_track(self, reason: str) -> None:
        self._hold = False
        self._dialogue.forget()
        if self._fresh:
            self._go_raw(reason)
        else:
            self._scanner = type(self._scanner)()
            self._seeking = True
            self._tap.pass_by("sought-again")

    def _go_raw(self, reason: str) -> None:
        self._raw = True
        self._release()
        self._tap.pass_by(reason)

    def updated(self) -> None:  # noqa: B027 - it says why there is nothing to do
        """A tap isn't changed, only removed."""

    def detach(self) -> None:
        self._release()
        self.close()

    def close(self) -> None:
        self._forget_held()
        self._tap.dialogues.pop(self._pipe.ordinal, None)


class WatchStage(_RespStage):
    """Notes which commands go by, for the replies to come. All passes, and always before its reply can come."""

    start = _COMMAND

    def __init__(self, tap: RedisTap, pipe: Host) -> None:
        self._commands = CommandScanner()
        super().__init__(tap, pipe, self._commands)

    def begins(self, kind: int) -> bool:
        return False

    def went(self) -> None:
        if self._scanner.between and isinstance(self._scanner, CommandScanner):
            self._dialogue.said(self._scanner.heads)

    def complete(self, data: bytes) -> bytes:
        raise AssertionError("nothing is held")

    def _go_raw(self, reason: str) -> None:
        """The replies' stage counts."""
        self._raw = True
        self._dialogue.lose(reason)


class CommandStage(_RespStage):
    """Damages what is added."""

    start = _COMMAND

    def __init__(self, tap: RedisTap, pipe: Host) -> None:
        super().__init__(tap, pipe, CommandScanner())

    def begins(self, kind: int) -> bool:
        return True

    def holds(self) -> bool:
        scanner = self._scanner
        assert isinstance(scanner, CommandScanner)
        return not scanner.named or self._tap.wants_command(scanner.heads)

    def complete(self, data: bytes) -> bytes:
        if data[:1] != b"*":
            self._tap.pass_by("inline")
            return data
        return self._tap.rewritten(data, self._tap.rewritten_command)


class ReplyStage(_RespStage):
    """Damages what is read."""

    start = _REPLY

    def __init__(self, tap: RedisTap, pipe: Host) -> None:
        super().__init__(tap, pipe, ReplyScanner())
        self._asked: Asked | None = None
        self._queued: list[Asked] = []

    def begins(self, kind: int) -> bool:
        if kind == _PUSH:
            return False
        asked = self._asked = self._dialogue.answered()
        state = kind in _STATE_LINES and self._dialogue.tells_state(asked)
        self._queued = self._dialogue.transaction(asked)
        if state or any(self._tap.wants_reply(queued) for queued in self._queued):
            return True
        if asked is not None and self._tap.wants_reply(asked):
            return True
        return kind in _LISTS and (asked is None or not self._fresh)

    def complete(self, data: bytes) -> bytes:
        if self._asked is not None and data[0] in _STATE_LINES:
            self._dialogue.first_line(self._asked, data)
            return data
        return self._tap.rewritten(data, self._rewritten)

    def _rewritten(self, data: bytes) -> bytes:
        return self._tap.rewritten_reply(data, self._answers(parse(data)))

    def _answers(self, value: Value) -> list[tuple[Asked | None, Value]]:
        if not self._queued:
            known = self._asked is not None and (self._asked.shape is not None or self._fresh)
            return [(self._asked if known else None, value)]
        if len(value.items) == len(self._queued):
            return list(zip(self._queued, value.items, strict=True))
        if value.items:
            self._tap.pass_by("unexpected-reply")
        return []
