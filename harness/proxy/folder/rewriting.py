"""The records of a file, damaged while the file streams through: a batch of whole records at a time.

The result is that of damaging the whole file at once, since draws belong to ids, or to ordinals that are counted
through. A record that can't be read (broken, not UTF-8, too long) passes as it is and is counted, and the records around
it are still damaged: a batch that its format can't read is halved until the broken record stands alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damaging import Damage, Damaging, Undamageable
from harness.proxy.tap.formats import Format, Unread, Wanted
from harness.proxy.tap.masklog import MaskLog

HEADED = ("csv",)
"""Formats whose first record names the columns; line breaks within quotes don't end a record."""


@dataclass(frozen=True)
class Plan:
    """What a tap wants done to a file, as the worker gets it. `ordinal` numbers the file's first record.

    `key` tells taps apart that had the same name. `form` is None where a file's suffix says it.
    """

    key: int
    form: Format | None
    wanted: Wanted
    damage: Damage
    bounds: Bounds
    ordinal: int


@dataclass
class Rewriting:
    """One plan on one file. `feed` and `end` give what goes on."""

    plan: Plan
    form: Format
    passed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.damaging = Damaging(self.plan.wanted.columns, self.plan.damage, MaskLog())
        self.damaging.records = self.plan.ordinal
        self._ends: Callable[[bytes], list[int]] = _record_ends if self.form.name in HEADED else _line_ends
        self._header: bytes | None = None if self.form.name in HEADED else b""
        self._buffer = b""
        self._skipping = False  # within a line that is too long
        self._raw = False

    def feed(self, data: bytes) -> bytes:
        if self._raw:
            return data
        out: list[bytes] = []
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                return data
            self._skipping = False
            out.append(data[:end])
            data = data[end:]
        buffer = self._buffer + data
        ends = self._ends(buffer)
        out += self._rewritten([buffer[a:b] for a, b in zip([0, *ends], ends, strict=False)])
        self._buffer = buffer[ends[-1] if ends else 0 :]
        if len(self._buffer) > self.plan.bounds.body_bytes:
            out.append(self._too_long())
        return b"".join(out)

    def end(self) -> bytes:
        """The file ended; its last record may have no line break."""
        last, self._buffer = self._buffer, b""
        return b"".join(self._rewritten([last])) if last else b""

    def let_go(self) -> bytes:
        """The tap is gone, or has no more time: what is held goes on, and the rest of the file as it is."""
        held, self._buffer = self._buffer, b""
        self._raw = True
        return held

    def count(self, reason: str, number: int = 1) -> None:
        self.passed[reason] = self.passed.get(reason, 0) + number

    def _too_long(self) -> bytes:
        self.count("too-large")
        if self.form.name in HEADED:
            return self.let_go()  # nobody knows whether its end is within quotes
        held, self._buffer = self._buffer, b""
        self._skipping = True
        return held

    def _rewritten(self, records: list[bytes]) -> list[bytes]:
        out: list[bytes] = []
        batch: list[bytes] = []
        for record in records:
            if self._header is None:
                if record.strip():
                    self._header = record
                out.append(record)
            elif len(record) > self.plan.bounds.body_bytes:
                self.count("too-large")
                out += (self._damaged(batch), record)
                batch = []
            else:
                batch.append(record)
                if len(batch) == self.plan.bounds.batch:
                    out.append(self._damaged(batch))
                    batch = []
        out.append(self._damaged(batch))
        return out

    def _damaged(self, records: list[bytes]) -> bytes:
        body = b"".join(records)
        header = self._header or b""
        if not body.strip():
            return body
        try:
            return self._written(body, header)
        except Unread as unread:
            if len(records) == 1:
                self.count(unread.reason)
                return body
            half = len(records) // 2
            return self._damaged(records[:half]) + self._damaged(records[half:])
        except Undamageable:
            self.count("not-damageable", len(records))
        except Exception:  # whatever is wrong with a body or a damage: the file must go on, and it is counted
            self.count("failed", len(records))
        return body

    def _written(self, body: bytes, header: bytes) -> bytes:
        parsed = self.form.parse(header + body, self.plan.wanted)
        if parsed.unread:
            self.count("unread-line", parsed.unread)
        hits = self.damaging.hits(parsed.rows, parsed.ids)
        if not hits:
            return body
        text, written = parsed.write(hits)
        if unwritten := self.damaging.unwritten(hits, written):
            self.count("unwritable", unwritten)
        self.damaging.wrote(written)
        return text[len(header) :]


def _line_ends(data: bytes) -> list[int]:
    ends: list[int] = []
    at = data.find(b"\n") + 1
    while at:
        ends.append(at)
        at = data.find(b"\n", at) + 1
    return ends


def _record_ends(data: bytes) -> list[int]:
    """As Python's csv has it: a quote opens a cell only at the cell's start."""
    ends = _line_ends(data)
    if b'"' not in data:
        return ends
    found: list[int] = []
    quoted = False
    start = 0
    for end in ends:
        quoted = _still_quoted(data[start:end], quoted)
        if not quoted:
            found.append(end)
        start = end
    return found


def _still_quoted(line: bytes, quoted: bool) -> bool:
    at = 0
    if not quoted and line.removeprefix(b"\xef\xbb\xbf").startswith(b'"'):
        quoted, at = True, line.index(b'"') + 1
    for _ in range(len(line)):  # each round takes at least one quote
        if quoted:
            at = line.find(b'"', at) + 1
            if not at:
                return True
            if line[at : at + 1] == b'"':
                at += 1  # two quotes are one in the text
            else:
                quoted = False
        else:
            at = line.find(b',"', at) + 2
            if at < 2:
                return False
            quoted = True
    return quoted
