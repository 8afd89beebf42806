"""Where Redis's values begin and end in a stream of bytes (RESP2 and RESP3), and what is in one of them.

A tap has to know where a reply ends without keeping it: most replies are none of its business. So the scanners read
length prefixes only, step over what they announce, and keep no more than one header line; each byte is looked at once,
however the stream is cut. Only a value that was kept whole is parsed into a tree, whose nodes remember their place, so
that what isn't changed can be written back as the bytes that came.

A client library's parser was rejected: it says what a value is, not where in the bytes it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LINE_BYTES_MAX = 64 << 10  # Redis's own bound on a line
DEPTH_MAX = 32
DIGITS_MAX = 12
HEADS_MAX = 2
HEAD_BYTES_MAX = 1024

_SIMPLE = frozenset(b"+-:_#,(")
_BULK = frozenset(b"$!=")
_LISTS = frozenset(b"*~>")
_MAPS = frozenset(b"%|")
_ATTRIBUTE = ord("|")
_NULL = ord("_")


class RespError(ValueError):
    """These bytes are no value of Redis's; `args[0]` is the reason that is counted."""


class _Scanner:
    """`feed` reads on; `between` says that the last value is complete and no other has begun."""

    def __init__(self) -> None:
        self.between = True
        self._line = bytearray()  # of a header, what has come of it
        self._skip = 0  # bytes of a bulk string still to come
        self._tail = False  # ... and then its line break
        self._open: list[int] = []  # how many elements each open list still lacks, outermost first

    def feed(self, data: bytes, at: int) -> int:
        """Reads from `at` to the end of a value, or of the data, and says where that is. Raises RespError."""
        size = len(data)
        if at < size and self.between:
            self._begin()
        while at < size:
            if self._skip:
                step = min(self._skip, size - at)
                self._payload(data, at, step)
                self._skip -= step
                at += step
                if self._skip or data[at : at + 2] != b"\r\n":
                    continue
                at += 2  # the usual case at once; a line break that is cut, or none, is found as a line below
                self._tail = False
                self._finish()
                if not self._open:
                    self.between = True
                    return at
                continue
            end = data.find(b"\n", at) + 1
            if not end:
                self._line += data[at:]
                self._bounded(len(self._line))
                return size
            line = data[at:end]
            at = end
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            self._bounded(len(line))
            self._take(line)
            if not self._open:
                self.between = True
                return at
        return at

    def _begin(self) -> None:
        self.between = False
        self._open = [1]

    def _bounded(self, size: int) -> None:
        if size > LINE_BYTES_MAX:
            raise RespError("line")

    def _take(self, line: bytes) -> None:
        if not self._tail:
            self._header(line)
        elif line == b"\r\n":
            self._tail = False
            self._finish()
        else:
            raise RespError("not-redis")

    def _header(self, line: bytes) -> None:
        raise NotImplementedError

    def _payload(self, data: bytes, at: int, step: int) -> None:
        """Bytes of a bulk string."""

    def _bulk(self, size: int) -> None:
        self._skip = size
        self._tail = True

    def _list(self, count: int) -> None:
        if count == 0:
            self._finish()
            return
        if len(self._open) > DEPTH_MAX:
            raise RespError("nested")
        self._open.append(count)

    def _finish(self) -> None:
        """One value is complete, and with it perhaps those around it."""
        self._open[-1] -= 1
        while self._open and self._open[-1] == 0:
            self._open.pop()
            if self._open:
                self._open[-1] -= 1


class ReplyScanner(_Scanner):
    """What a server says: any value. An attribute belongs to the value behind it."""

    def _header(self, line: bytes) -> None:
        kind = line[0]
        if not line.endswith(b"\r\n"):
            raise RespError("not-redis")
        if kind in _SIMPLE or line in (b"$-1\r\n", b"*-1\r\n"):
            self._finish()
        elif kind in _BULK:
            self._bulk(_number(line))
        elif kind in _LISTS:
            self._list(_number(line))
        elif kind in _MAPS:
            if kind == _ATTRIBUTE:
                self._open[-1] += 1  # it is no element itself
            self._list(2 * _number(line))
        else:
            raise RespError("not-redis")


class CommandScanner(_Scanner):
    """What a client says: lists of bulk strings, or lines of words. `heads` are the first words of a command.

    A head longer than its bound is cut one byte behind it, so that it equals nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[bytes] = []
        self.size = 0
        self.inline = False
        self._word = 0  # which word of the command is coming

    @property
    def named(self) -> bool:
        """All heads of the command under way have come."""
        wanted = min(self.size, HEADS_MAX)
        return self.between or self._word > wanted or (self._word == wanted > 0 and not self._skip)

    def _begin(self) -> None:
        super()._begin()
        self.heads = []
        self.size = self._word = 0

    def _header(self, line: bytes) -> None:
        if len(self._open) > 1:
            if line[0] != ord("$") or not line.endswith(b"\r\n"):
                raise RespError("not-redis")
            if len(self.heads) < HEADS_MAX:
                self.heads.append(b"")
            self._word += 1
            self._bulk(_number(line))
            return
        self.inline = line[0] != ord("*")
        if self.inline:
            self.heads = [word[: HEAD_BYTES_MAX + 1] for word in line.split()[:HEADS_MAX]]
            self.size = len(self.heads)
            self._finish()
            return
        self.size = 0 if line == b"*-1\r\n" else _number(line)
        self._list(self.size)

    def _payload(self, data: bytes, at: int, step: int) -> None:
        if self._word <= HEADS_MAX:
            room = HEAD_BYTES_MAX + 1 - len(self.heads[-1])
            self.heads[-1] += data[at : at + min(step, room)]


def _number(line: bytes) -> int:
    digits = line[1:-2]
    if not digits.isdigit() or len(digits) > DIGITS_MAX:
        raise RespError("not-redis")
    return int(digits)


class Value(NamedTuple):
    """A value and its place. `items` of a list or map (a map's keys and values in turn), `text` of all else."""

    kind: str
    start: int
    end: int
    text: bytes = b""
    items: tuple[Value, ...] = ()

    @property
    def is_list(self) -> bool:
        return self.kind in "*~>"

    @property
    def is_text(self) -> bool:
        return self.kind in "$+="


def parse(data: bytes) -> Value:
    """The value in `data`, which a scanner found to be one and complete. Attributes are left out."""
    value, at = _value(data, 0)
    if at != len(data):
        raise RespError("not-redis")
    return value


def _value(data: bytes, start: int) -> tuple[Value, int]:
    end = data.index(b"\n", start) + 1
    kind = data[start]
    line = data[start:end]
    if kind == _ATTRIBUTE:
        for _ in range(2 * _number(line)):
            _, end = _value(data, end)
        return _value(data, end)
    if kind == _NULL or line in (b"$-1\r\n", b"*-1\r\n"):
        return Value("_", start, end), end
    if kind in _SIMPLE:
        return Value(chr(kind), start, end, line[1:-2]), end
    if kind in _BULK:
        at = end + _number(line)
        return Value(chr(kind), start, at + 2, data[end:at]), at + 2
    items: list[Value] = []
    for _ in range(_number(line) * (2 if kind in _MAPS else 1)):
        item, end = _value(data, end)
        items.append(item)
    return Value(chr(kind), start, end, items=tuple(items)), end


def bulk(text: bytes) -> bytes:
    """A bulk string, as it stands in commands and replies."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


Splice = tuple[int, int, bytes]
"""From where to where, and what is to stand there instead."""


def with_replaced(data: bytes, changes: Iterable[tuple[Value, bytes]]) -> bytes:
    """`data` with other bulk strings in these values' places."""
    return spliced(data, [in_place(value, text) for value, text in changes])


def in_place(value: Value, text: bytes) -> Splice:
    """Another bulk string in the value's place."""
    return value.start, value.end, bulk(text)


def with_times(data: bytes, inside: Value, times: Mapping[int, int]) -> list[Splice]:
    """Each element of the list `inside` as often as told by its position, else once. Empty where something stands between the
    elements: an attribute, which would then be another's."""
    head = data.index(b"\n", inside.start) + 1
    bounds = [head, *(item.end for item in inside.items)]
    if any(item.start != end for item, end in zip(inside.items, bounds, strict=False)):
        return []
    count = sum(times.get(n, 1) for n in range(len(inside.items)))
    changed = [(inside.items[n].start, inside.items[n].end, of) for n, of in times.items()]
    header = (inside.start, head, b"%c%d\r\n" % (data[inside.start], count))
    return [header, *((start, end, data[start:end] * of) for start, end, of in changed)]


def spliced(data: bytes, splices: Iterable[Splice]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for start, end, instead in sorted(splices):
        parts += (data[at:start], instead)
        at = end
    parts.append(data[at:])
    return b"".join(parts)
