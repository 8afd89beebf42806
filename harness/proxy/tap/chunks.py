"""Chunked bodies (RFC 9112, 7.1) piece by piece: what a piece says, and how to give it on as chunks of another size.

httptools hides where a chunk ends; who rewrites a body in passing must know, to hand over in the midst of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

LINE_BYTES_MAX = 16 << 10


class At(Enum):
    SIZE = auto()
    BODY = auto()
    BREAK = auto()  # the line end behind a chunk's bytes
    TRAILER = auto()
    END = auto()


class Chunks:
    """`left` bytes of the chunk at hand are still to come; `line` is the part of a line that has come so far."""

    def __init__(self) -> None:
        self.at = At.SIZE
        self.left = 0
        self.line = b""

    def feed(self, data: bytes) -> Iterator[tuple[At, bytes]]:
        """What came, as soon as it is whole: (BODY, bytes), (BREAK, b""), (TRAILER, a line with its end).

        The last chunk's size is the first of the TRAILER lines. Raises ValueError for what is no chunked body.
        """
        at = 0
        while at < len(data):
            if self.at is At.BODY:
                piece = data[at : at + self.left]
                at += len(piece)
                self.left -= len(piece)
                if not self.left:
                    self.at = At.BREAK
                yield At.BODY, piece
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self.line += data[at:end]
            at = end
            if len(self.line) > LINE_BYTES_MAX:
                raise ValueError("a line of a chunked body is too long")
            if self.line.endswith(b"\n"):
                line, self.line = self.line, b""
                yield from self._ended(line)

    def _ended(self, line: bytes) -> Iterator[tuple[At, bytes]]:
        if self.at is At.BREAK:
            self.at = At.SIZE
            yield At.BREAK, b""
        elif self.at is At.SIZE:
            self.left = int(line.partition(b";")[0], 16)
            self.at = At.BODY if self.left else At.TRAILER
            if not self.left:
                yield At.TRAILER, line
        else:
            if not line.strip():
                self.at = At.END
            yield At.TRAILER, line


def chunk(data: bytes) -> bytes:
    """A chunk of these bytes; none of nothing, which would end the body."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
