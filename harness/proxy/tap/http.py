"""A record tap: JSON bodies of HTTP/1.1 messages on a link are parsed, damaged by `harness.corrupt`, written back valid.

What can't be parsed, or is beyond a bound, passes unharmed, byte for byte, and is counted by its reason; so does a
message that the damage left as it was. A response is matched by the request that it answers, so a tap on `downstream`
also watches `upstream`. On connections that were open before the tap, it waits for the next start of a message.

The draws belong to (seed, record id), or the record's ordinal where it has no id: how records are batched into
messages changes nothing.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

from harness.proxy.framing import Framer, Head
from harness.proxy.stage import Host, Item, Mark, Owner, Sink, Stage
from harness.proxy.tap import recordpath
from harness.proxy.tap.damaging import Damaging
from harness.proxy.tap.match import Match

PAIRED_MAX = 1024


@dataclass(eq=False)
class Tap:
    name: str
    stream: str
    match: Match
    record: str
    path: recordpath.RecordPath
    id_key: str
    damaging: Damaging
    spec: dict[str, object]
    lease: str = ""
    messages: int = 0
    messages_damaged: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    requests: dict[int, deque[tuple[str, str]]] = field(default_factory=dict)

    def owner(self, stream: str) -> Owner | None:
        if stream == self.stream:
            return self
        return self._watcher if self.stream == "downstream" else None

    def __post_init__(self) -> None:
        self._watcher = _Watcher(self)

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    def stage(self, pipe: Host) -> Stage:
        return TapStage(self, pipe)

    def pass_by(self, reason: str) -> None:
        """Counts a message (or the rest of a connection) that passed unharmed."""
        self.passed[reason] = self.passed.get(reason, 0) + 1

    def rewrite(self, body: bytes) -> bytes | None:
        """The damaged body, or None where it stays as it is."""
        try:
            document = json.loads(body, parse_constant=_no_constant)
            rows = recordpath.records(document, self.path)
        except (ValueError, RecursionError):
            self.pass_by("not-json")
            return None
        if not rows:
            self.pass_by("no-records")
            return None
        hits = self.damaging.hits(rows, [row.get(self.id_key) if self.id_key else None for row in rows])
        if not hits:
            return None
        for hit in hits:
            rows[hit.row].update(hit.values)
        try:
            written = json.dumps(document, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            self.pass_by("not-json-any-more")
            return None
        self.damaging.wrote(hits)
        self.messages_damaged += 1
        return written

    def shown(self) -> dict[str, object]:
        body: dict[str, object] = {
            "name": self.name,
            "stream": self.stream,
            "match": {"method": self.match.method, "path": self.match.path},
            "record": self.record,
            "id": self.id_key,
            "corrupt": self.spec,
            "counters": {
                "messages": self.messages,
                "messages_damaged": self.messages_damaged,
                "passed": self.passed,
                **self.damaging.counters(),
            },
        }
        if self.lease:
            body["lease"] = self.lease
        return body


class _Watcher:
    """The owner of the stages that watch requests for a tap on responses."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def applies(self, ordinal: int) -> bool:
        del ordinal
        return True

    def stage(self, pipe: Host) -> Stage:
        return RequestStage(self._tap, pipe)


class _FramedStage:
    """What both have in common: a framer between feed and sink. It holds less than a message's bounds."""

    sink: Sink
    held = 0

    def __init__(self, tap: Tap, pipe: Host, framer: Framer) -> None:
        self._tap = tap
        self._ordinal = pipe.ordinal
        self._framer = framer

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark):
            if item is Mark.END:
                self._framer.end()
            else:
                self._framer.release()
            self.sink(item)
        else:
            self._framer.feed(item)

    def passes(self, data: bytes) -> None:
        self.sink(data)

    def updated(self) -> None:
        """A tap isn't changed, only removed."""

    def detach(self) -> None:
        self._framer.release()
        self.close()

    def close(self) -> None:
        self._tap.requests.pop(self._ordinal, None)


class TapStage(_FramedStage):
    """Damages the messages of its direction."""

    def __init__(self, tap: Tap, pipe: Host) -> None:
        self._requests = tap.stream == "upstream"
        super().__init__(tap, pipe, Framer(self, requests=self._requests, fresh=pipe.fresh))

    def begins(self, head: Head) -> bool:
        if not self._requests:
            asked = self._tap.requests.get(self._ordinal)
            if asked and head.status >= 200:
                head.method, head.path = asked.popleft()
            elif not asked:
                return False  # the answer to a request from before the tap
        if not self._tap.match.meets(head.method, head.path):
            return False
        reason = _unfit(head)
        if reason:
            self._tap.pass_by(reason)
        return not reason

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        if not body:
            self.sink(head.raw + raw_body)
            return
        self._tap.messages += 1
        written = self._tap.rewrite(body)
        self.sink(head.raw + raw_body if written is None else _with_length(head.raw, len(written)) + written)

    def gave_up(self, reason: str) -> None:
        self._tap.pass_by(reason)


class RequestStage(_FramedStage):
    """Notes which requests went by, for the responses to come. All passes."""

    def __init__(self, tap: Tap, pipe: Host) -> None:
        super().__init__(tap, pipe, Framer(self, requests=True, fresh=pipe.fresh))
        self._asked = tap.requests.setdefault(pipe.ordinal, deque(maxlen=PAIRED_MAX))

    def begins(self, head: Head) -> bool:
        self._asked.append((head.method, head.path))
        return False

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        raise AssertionError("nothing is kept")

    def gave_up(self, reason: str) -> None:
        """The responses will have no request to be matched by."""


def _unfit(head: Head) -> str:
    if head.headers.get("content-encoding", "identity") != "identity":
        return "encoded"
    if "expect" in head.headers:
        return "expect"  # the sender waits for an answer before it sends the body
    if "json" not in head.headers.get("content-type", "json"):
        return "not-json"
    return ""


def _with_length(raw_head: bytes, size: int) -> bytes:
    lines = raw_head[: -len(b"\r\n\r\n")].split(b"\r\n")
    dropped = (b"content-length:", b"transfer-encoding:", b"trailer:")
    kept = [line for n, line in enumerate(lines) if n == 0 or not line.lower().startswith(dropped)]
    return b"\r\n".join([*kept, b"Content-Length: %d" % size, b"", b""])


def _no_constant(name: str) -> object:
    raise ValueError(name)
