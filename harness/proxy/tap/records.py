"""A record tap: the bodies of HTTP messages are parsed, damaged by harness/corrupt, and written back valid.

A message is rewritten only when something in it was hit; else it goes on byte for byte. JSON lines in chunks, or until
the connection's end, are rewritten while they pass; every other body is kept until it is whole.
"""

from __future__ import annotations

import re
import time

from harness.proxy.framing import Head
from harness.proxy.stage import Host, Item, Mark, Stage
from harness.proxy.tap.bounds import OVER_TIME, Bounds, Pace
from harness.proxy.tap.damaging import Damaging, Undamageable
from harness.proxy.tap.formats import AUTO, FORMATS, Format, Unread, Wanted, format_of
from harness.proxy.tap.http import FramedStage, HttpTap, Place, with_length
from harness.proxy.tap.linestream import LineStream

_NO_TRAILERS = re.compile(rb"(^|\n)0+[ \t]*(;[^\r\n]*)?\r\n\r\n$")


class RecordTap(HttpTap):
    """`form` is the name of a format, or `auto`; `record` is how `wanted.path` was written."""

    def __init__(
        self,
        place: Place,
        damaging: Damaging,
        *,
        wanted: Wanted,
        bounds: Bounds,
        form: str,
        record: str,
        spec: dict[str, object],
    ) -> None:
        super().__init__(place)
        self.damaging = damaging
        self.bounds = bounds
        self._wanted = wanted
        self._form = form
        self._record = record
        self._spec = spec
        self._pace = Pace(bounds.within_ms)

    def stage(self, pipe: Host) -> Stage:
        return RecordStage(self, pipe)

    def format_for(self, head: Head) -> Format | None:
        return FORMATS[self._form] if self._form != AUTO else format_of(head.headers.get("content-type", ""))

    def rewrite(self, body: bytes, form: Format) -> bytes | None:
        """The damaged body, or None where it stays as it is."""
        self.messages += 1
        return self._rewritten(body, form) if not form.by_line else self._rewritten_lines(body, form)

    def rewrite_lines(self, body: bytes, form: Format) -> bytes:
        """Whole lines of a longer body."""
        written = self._rewritten_lines(body, form)
        return body if written is None else written

    def _rewritten_lines(self, body: bytes, form: Format) -> bytes | None:
        """A batch at a time."""
        lines = _lines(body)
        parts = [b"".join(lines[n : n + self.bounds.batch]) for n in range(0, len(lines), self.bounds.batch)]
        written = [self._rewritten(part, form) for part in parts]
        if all(part is None for part in written):
            return None
        return b"".join(old if new is None else new for old, new in zip(parts, written, strict=True))

    def _rewritten(self, body: bytes, form: Format) -> bytes | None:
        if not self._pace.fits(len(body)):
            self.pass_by(OVER_TIME)
            return None
        start_ns = time.perf_counter_ns()
        try:
            return self._damaged(body, form)
        except Unread as unread:
            self.pass_by(unread.reason)
        except Undamageable:
            self.pass_by("not-damageable")
        except Exception:  # whatever is wrong with a body or a damage: the link's traffic must go on, and it is counted
            self.pass_by("failed")
        finally:
            self._pace.took(len(body), time.perf_counter_ns() - start_ns)
        return None

    def _damaged(self, body: bytes, form: Format) -> bytes | None:
        parsed = form.parse(body, self._wanted)
        if parsed.unread:
            self.passed["unread-line"] = self.passed.get("unread-line", 0) + parsed.unread
        if not parsed.rows:
            raise Unread("no-records")
        if len(parsed.rows) > self.bounds.batch and not form.by_line:
            raise Unread("too-many-records")
        hits = self.damaging.hits(parsed.rows, parsed.ids)
        if not hits:
            return None
        text, written = parsed.write(hits)
        if unwritten := self.damaging.unwritten(hits, written):
            self.passed["unwritable"] = self.passed.get("unwritable", 0) + unwritten
        if not written:
            return None
        self.damaging.wrote(written)
        self.messages_damaged += 1
        return text

    def shown(self) -> dict[str, object]:
        return {
            **self.shown_place(),
            "format": self._form,
            "record": self._record,
            "id": self._wanted.id_key,
            "batch": self.bounds.batch,
            "body_bytes": self.bounds.body_bytes,
            "within_ms": self.bounds.within_ms,
            "corrupt": self._spec,
            "counters": {**self.shown_counters(), **self.damaging.counters(), "added_ms": self._pace.shown()},
        }


class RecordStage(FramedStage):
    """Damages the messages of its direction."""

    def __init__(self, tap: RecordTap, pipe: Host) -> None:
        super().__init__(tap, pipe, requests=tap.stream == "upstream", bounds=tap.bounds)
        self._records = tap
        self._form: Format | None = None
        self._lines: LineStream | None = None
        self._lines_begin = False  # the next bytes given on are still the head

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark) and self._lines is not None:
            self._end_lines(item)
        super().feed(item)

    def begins(self, head: Head) -> bool:
        self._lines = None
        asked = self.asked_by(head)
        if asked is None or not self.tap.match.meets(head.method, head.path) or not _has_body(head):
            return False
        self._form = self._records.format_for(head)
        reason = self._unfit(head)
        if reason:
            self.tap.pass_by(reason)
            return False
        if self._form is not None and self._form.by_line and not _has_length(head):
            self.tap.messages += 1
            self._stream_lines(self._form, chunked="transfer-encoding" in head.headers)
            return False
        return True

    def _unfit(self, head: Head) -> str:
        headers = head.headers
        if headers.get("content-encoding", "identity") != "identity":
            return "encoded"
        if "expect" in headers:
            return "expect"  # the sender waits for an answer before it sends the body
        if int(headers.get("content-length", 0)) > self.bounds.body_bytes:
            return "too-large"
        return "" if self._form is not None else "content-type"

    def _stream_lines(self, form: Format, *, chunked: bool) -> None:
        def rewrite(lines: bytes) -> bytes:
            return self._records.rewrite_lines(lines, form)

        def too_long() -> None:
            self.tap.pass_by("too-large")

        bound = self.bounds.body_bytes
        self._lines = LineStream(rewrite, self.give, chunked=chunked, line_max=bound, too_long=too_long)
        self._lines_begin = True

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        written = None
        if "transfer-encoding" in head.headers and not _NO_TRAILERS.search(raw_body, max(0, len(raw_body) - 99)):
            self.tap.pass_by("trailers")  # a body with a length has none
        elif body and self._form is not None:
            written = self._records.rewrite(body, self._form)
        self.give(head.raw + raw_body if written is None else with_length(head.raw, len(written)) + written)

    def passes(self, data: bytes) -> None:
        if self._lines is None or self._lines_begin:
            self._lines_begin = False
            self.give(data)
            return
        try:
            self._lines.feed(data)
        except ValueError:
            self._lines = None  # the framer has found the same, or will
            self.give(data)
            return
        if self._lines.done:
            self._lines = None

    def _end_lines(self, item: Item) -> None:
        lines, self._lines = self._lines, None
        if lines is not None and item is Mark.END:
            lines.end()
        elif lines is not None:
            lines.release()

    def detach(self) -> None:
        self.framer.release()
        if self._lines is not None:
            self._lines.release()
        self.close()

    def waits_for(self) -> int | None:
        if self._lines is not None and self._lines.waits:
            return self._lines.taken
        return super().waits_for()

    def let_go(self) -> None:
        if self._lines is not None:
            self._lines.let_go()
        else:
            super().let_go()


def _lines(body: bytes) -> list[bytes]:
    return [line + b"\n" for line in body.split(b"\n")[:-1]] + [line for line in (body.rpartition(b"\n")[2],) if line]


def _has_length(head: Head) -> bool:
    """Requests without any length have no body."""
    return "transfer-encoding" not in head.headers and ("content-length" in head.headers or not head.status)


def _has_body(head: Head) -> bool:
    if not head.status:
        return "transfer-encoding" in head.headers or head.headers.get("content-length", "0") != "0"
    return head.method != "HEAD" and head.status not in (204, 304)
