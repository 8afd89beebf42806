"""A body of lines that is rewritten while it passes, however long it is: whole lines go on as soon as they are there.

What is held is at most one line that isn't complete, and the end of a chunk until the line break behind it has come.
So it can be given up at any byte: what is held goes on, in a chunk that what is still to come completes.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.proxy.tap.chunks import At, Chunks, chunk


class LineStream:
    """`rewrite` gets whole lines. A line beyond `line_max` passes as it is, and `too_long` is told."""

    def __init__(
        self,
        rewrite: Callable[[bytes], bytes],
        give: Callable[[bytes], None],
        *,
        chunked: bool,
        line_max: int,
        too_long: Callable[[], None],
    ) -> None:
        self._rewrite = rewrite
        self._give = give
        self._chunks = Chunks() if chunked else None
        self._line_max = line_max
        self._too_long = too_long
        self._line = b""
        self._ending = b""  # of a chunk whose line break hasn't come yet
        self._skipping = False  # within a line that was too long
        self.done = False
        self.taken = 0  # how often whole lines were there

    @property
    def waits(self) -> bool:
        """For the end of a line."""
        return bool(self._line)

    def feed(self, data: bytes) -> None:
        if self._chunks is None:
            self._take(data)
            return
        for at, piece in self._chunks.feed(data):
            if at is At.BODY:
                if self._chunks.left:
                    self._take(piece)
                else:
                    self._ending = piece
            elif at is At.BREAK:
                ending, self._ending = self._ending, b""
                self._take(ending)
            else:
                self._last_line()
                self._give(piece)
        self.done = self._chunks.at is At.END

    def end(self) -> None:
        """The connection's end, which is the body's where nothing else tells it."""
        if self._chunks is None:
            self._last_line()
        self.release()

    def release(self) -> None:
        """Gives on what is held, such that the bytes to come follow."""
        held = self._line + self._ending
        self._line = self._ending = b""
        self.done = True
        chunks = self._chunks
        if chunks is None:
            self._put(held)
        elif chunks.at is At.BODY and (held or chunks.left):
            self._put(b"%x\r\n%s" % (len(held) + chunks.left, held))
        elif chunks.at is At.BREAK:
            self._put(b"%x\r\n%s%s" % (len(held), held, chunks.line))
        else:
            self._put(chunk(held) + chunks.line)

    def _take(self, data: bytes) -> None:
        if self._skipping:
            end = data.find(b"\n") + 1
            self._skipping = not end
            self._out(data[: end or len(data)])
            data = data[end:] if end else b""
        cut = data.rfind(b"\n") + 1
        if cut:
            self.taken += 1
            whole, self._line = self._line + data[:cut], data[cut:]
            self._out(self._rewrite(whole))
        else:
            self._line += data
        if len(self._line) > self._line_max:
            self._too_long()
            self.let_go()

    def let_go(self) -> None:
        """Gives on the line that isn't complete, and the rest of it as it comes."""
        line, self._line = self._line, b""
        self._skipping = True
        self._out(line)

    def _last_line(self) -> None:
        if self._line:
            line, self._line = self._line, b""
            self._out(self._rewrite(line))

    def _out(self, data: bytes) -> None:
        self._put(chunk(data) if self._chunks is not None else data)

    def _put(self, data: bytes) -> None:
        if data:
            self._give(data)
