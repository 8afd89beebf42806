"""What the tests of taps share: taps made as the API makes them, on a connection without sockets or a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.proxy.stage import Item, Mark, Owner, Stage
from harness.proxy.tap.asked import http_tap
from harness.proxy.tap.masklog import MaskLog

MS = 1_000_000


class FakeTimer:
    def __init__(self, due_ns: int, call: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Wire:
    """One connection through one tap: what is sent into either direction, and what came out of it."""

    def __init__(self, tap: Any, *, ordinal: int = 0, fresh: bool = True) -> None:
        self.tap = tap
        self.ordinal = ordinal
        self.fresh = fresh
        self.t_ns = 0
        self.timers: list[FakeTimer] = []
        self.out: dict[str, bytes] = {"upstream": b"", "downstream": b""}
        self.marks: dict[str, list[Mark]] = {"upstream": [], "downstream": []}
        self._stages: dict[str, Stage] = {}
        for stream in self.out:
            owner: Owner | None = tap.owner(stream)
            if owner is not None:
                stage = owner.stage(self)
                stage.sink = self._sink(stream)
                self._stages[stream] = stage

    def _sink(self, stream: str) -> Callable[[Item], None]:
        def sink(item: Item) -> None:
            if isinstance(item, Mark):
                self.marks[stream].append(item)
            else:
                self.out[stream] += item

        return sink

    def up(self, item: Item) -> None:
        self._feed("upstream", item)

    def down(self, item: Item) -> None:
        self._feed("downstream", item)

    def _feed(self, stream: str, item: Item) -> None:
        stage = self._stages.get(stream)
        if stage is None:
            self._sink(stream)(item)
        else:
            stage.feed(item)

    def held(self) -> int:
        return sum(stage.held for stage in self._stages.values())

    def detach(self) -> None:
        for stream in list(self._stages):
            self._stages.pop(stream).detach()

    # what stages may use

    def now_ns(self) -> int:
        return self.t_ns

    def wake_at(self, due_ns: int, call: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(due_ns, call))
        return self.timers[-1]

    def close_connection(self) -> None:
        raise AssertionError("a tap closed the connection")

    def reset_connection(self) -> None:
        raise AssertionError("a tap reset the connection")

    def pass_time(self, ms: int) -> None:
        """The timers due within that time, in order."""
        end_ns = self.t_ns + ms * MS
        while due := [timer for timer in self.timers if not timer.cancelled and timer.due_ns <= end_ns]:
            first = min(due, key=lambda timer: timer.due_ns)
            self.timers.remove(first)
            self.t_ns = max(self.t_ns, first.due_ns)
            first.call()
        self.t_ns = end_ns


def made(*, seed: int = 7, **fields: object) -> tuple[Any, MaskLog]:
    """A tap by the fields of its API call, and its mask log."""
    log = MaskLog()
    return http_tap({"name": "tap", **fields}, seed, lambda _: log), log


def mask(log: MaskLog) -> list[tuple[object, tuple[str, ...]]]:
    page: Any = log.page(0, 100_000)
    return [(record["id"], tuple(record["columns"])) for record in page["records"]]


def post(body: bytes, *, content_type: str = "application/json", path: str = "/x", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(body: bytes, *, status: str = "200 OK", content_type: str = "application/json", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def body_of(message: bytes) -> bytes:
    """Of one message with a length: fails if the length is wrong."""
    head, _, body = message.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    assert lengths == [b"Content-Length: %d" % len(body)]
    return body
