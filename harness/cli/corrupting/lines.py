"""Files of lines, byte for byte: a mark at the beginning, ends of lines of either kind, and a last line without one all
come out as they went in.

A line is bounded: a file without line ends (another kind of file, or one from a very old machine) would be read into memory
as a whole otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import UsageError

LINE_BYTES_MAX = 16 << 20
MARK = b"\xef\xbb\xbf"
"""What some programs begin UTF-8 with (BOM)."""
_OTHER_MARKS = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}
_OTHER_KINDS = {
    b"\x1f\x8b": ("packed with gzip", "unpack it first: gunzip"),
    b"BZh": ("packed with bzip2", "unpack it first: bunzip2"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "unpack it first: unzstd"),
    b"\xfd7zX": ("packed with xz", "unpack it first: unxz"),
    b"PK\x03\x04": ("a zip archive, or a workbook such as .xlsx", "unpack it, or save it as CSV"),
    b"PAR1": ("Parquet", "--format parquet"),
}


class LinesIn:
    """Raises UsageError for what is no text in UTF-8 by its first bytes, and for lines that are too long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        start = self._file.read(4)
        for mark, (what, hint) in _OTHER_KINDS.items():
            if start.startswith(mark):
                raise UsageError(f"{path}: is {what}; legal is text", hint=hint)
        kind = _OTHER_MARKS.get(start[:2])
        if kind is not None:
            raise UsageError(
                f"{path}: is {kind}; legal is UTF-8", hint=f"convert it: iconv -f {kind} -t utf-8 {path.name}"
            )
        self.marked = start.startswith(MARK)
        self._file.seek(len(MARK) if self.marked else 0)
        self.ended = True
        """Whether the last line that was read has an end."""

    @property
    def bytes_read(self) -> int:
        return self._file.tell()

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        while line := self._file.readline(LINE_BYTES_MAX):
            number += 1
            if len(line) == LINE_BYTES_MAX:
                raise UsageError(f"{self._path}:{number}: the line is longer than {LINE_BYTES_MAX:,} bytes")
            self.ended = line.endswith(b"\n")
            yield line


class LinesOut:
    """The end of the last line is written only when another line follows, or when the input's last line had one."""

    def __init__(self, path: Path, source: LinesIn) -> None:
        self._file: BinaryIO = path.open("wb")
        self._source = source
        self._held = MARK if source.marked else b""

    def write(self, lines: bytes) -> None:
        if not lines:
            return
        end = end_of(lines)
        self._file.write(self._held)
        self._file.write(lines[: len(lines) - len(end)])
        self._held = end

    def close(self) -> None:
        if self._source.ended:
            self._file.write(self._held)
        self._file.close()


def end_of(line: bytes) -> bytes:
    return b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
