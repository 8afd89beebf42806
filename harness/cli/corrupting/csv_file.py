"""CSV with a header row. Python's csv reads it; a row that nothing happened to is written as the text that it was.

A cell that looks like a number as JSON writes them is one (007 isn't), `true` and `false` are what they say, an empty cell is
a missing value, all else is text. Empty lines are no rows, and are left out. Cells are parted by commas, or, where the header
has none outside quotes, by what it has of semicolons and tabs; the output is parted in the same way.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.cli.corrupting.files import ROW, Out
from harness.cli.corrupting.lines import LinesIn, LinesOut
from harness.corrupt import ABSENT
from harness.corrupt.column import Column, Mask, objects
from harness.errors import UsageError

DIGITS_MAX = 300
PASS = "let such lines pass unharmed: --broken pass"
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WORDS: dict[str, object] = {"": None, "true": True, "false": False}


class Row(NamedTuple):
    """The text with its line end, and its cells (None for a line that couldn't be read)."""

    text: str
    cells: list[str] | None


class CsvReader:
    batch_rows = 5_000

    def __init__(self, path: Path, *, pass_broken: bool) -> None:
        self._path = path
        self.lines = LinesIn(path)
        raw = iter(self.lines)
        first = list(islice(raw, 1))
        self.separator = _separator(first[0]) if first else ","
        self._raw = chain(first, raw)
        self._pass_broken = pass_broken
        self._line = 0
        self._open: list[str] = []  # lines of the row that is being read
        self._again: deque[str] = deque()  # lines that an unclosed quote had swallowed
        self.broken = 0
        self._rows = self._read()
        header = next(self._rows, None)
        if header is None or header.cells is None:
            raise UsageError(f"{path}: empty; a header row with the names of the columns is needed")
        self.header = header
        self.names = tuple(header.cells)
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise UsageError(f"{path}:1: two columns are called '{min(twice)}'")

    @property
    def bytes_read(self) -> int:
        return self.lines.bytes_read

    def _texts(self) -> Iterator[str]:
        while True:
            if self._again:
                line = self._again.popleft()
            else:
                raw = next(self._raw, None)
                if raw is None:
                    return
                try:
                    line = raw.decode()
                except UnicodeDecodeError as error:
                    line = raw.decode(errors="surrogateescape")
                    if not self._pass_broken:
                        raise UsageError(
                            f"{self._path}:{self._line + 1}: byte {error.start + 1} of the line is not UTF-8",
                            hint=f"convert it (iconv -f latin1 -t utf-8), or {PASS}",
                        ) from None
            self._line += 1
            self._open.append(line)
            yield line

    def _read(self) -> Iterator[Row]:
        reader = csv.reader(self._texts(), strict=True, delimiter=self.separator)
        while True:
            began = self._line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._refuse(began, _words(error))
                first, *rest = self._open
                self._again.extendleft(reversed(rest))
                self._line -= len(rest)
                self._open.clear()
                yield Row(first, None)
                reader = csv.reader(self._texts(), strict=True, delimiter=self.separator)
                continue
            text = self._open[0] if len(self._open) == 1 else "".join(self._open)
            self._open.clear()
            if not cells:
                continue
            if self._pass_broken and not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
                self.broken += 1
                yield Row(text, None)
            else:
                yield Row(text, cells)

    def _refuse(self, line: int, why: str) -> None:
        """Or count it."""
        if not self._pass_broken or not hasattr(self, "names"):  # a header is needed in any case
            raise UsageError(f"{self._path}:{line}: {why}", hint=PASS if hasattr(self, "names") else "")
        self.broken += 1

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        at = {name: self.names.index(name) for name in wanted if name in self.names}
        width = len(self.names)
        batch: list[Row] = []
        for row in self._rows:
            if row.cells is not None and len(row.cells) != width:
                self._refuse(self._line, f"{len(row.cells)} cells, and the header has {width}")
                row = Row(row.text, None)
            batch.append(row)
            if len(batch) == rows:
                yield self._columns(batch, at)
                batch = []
        yield self._columns(batch, at)

    def _columns(self, batch: list[Row], at: Mapping[str, int]) -> Mapping[str, Column]:
        columns = {
            name: objects([None if cells is None else value(cells[n]) for _, cells in batch]) for name, n in at.items()
        }
        return {**columns, ROW: objects(batch)}


class CsvWriter:
    """`wanted` are the columns that were read: what is then not among those that come out is gone."""

    def __init__(self, path: Path, reader: CsvReader, wanted: tuple[str, ...]) -> None:
        self._wanted = wanted
        self._file = LinesOut(path, reader.lines)
        self._reader = reader
        self._names: tuple[str, ...] | None = None
        # It quotes only what its own line end has.
        self._csv: Any = csv.writer(_Given(), lineterminator="\r\n", delimiter=reader.separator)
        self._end = "\r\n" if reader.header.text.endswith("\r\n") else "\n"
        mark = re.escape(reader.separator)
        self._one = re.compile(rf'"[^"]*(?:""[^"]*)*"|[^{mark}]*')
        self._special = re.compile(rf'[{mark}"\r\n]')

    def unseen(self, out: Out) -> Mapping[str, Mask]:
        """12 and "12" are the same text; so are a gap and what isn't there."""
        rows: list[Row] = out.columns[ROW].tolist()
        found: dict[str, Mask] = {}
        for name, mask in out.masks.items():
            if name not in self._reader.names or name not in out.columns:
                continue
            n, column = self._reader.names.index(name), out.columns[name]
            same = [at for at in mask.nonzero()[0].tolist() if (old := rows[at].cells) and old[n] == cell(column[at])]
            if same:
                found[name] = np.zeros(len(mask), dtype=bool)
                found[name][same] = True
        return found

    def write(self, out: Out) -> None:
        names = self._names_of(out.columns)
        if self._names is None:
            self._names = names
            same = names == self._reader.names
            self._write([self._reader.header.text if same else self._line(list(names))])
        self._write(self._same(out) if names == self._reader.names else self._other(out, names))

    def _write(self, texts: list[str]) -> None:
        """The last line of a file may have no end, and stand in the middle of the output."""
        ended = [text if text.endswith("\n") else text + self._end for text in texts]
        self._file.write("".join(ended).encode(errors="surrogateescape"))

    def _names_of(self, columns: Mapping[str, Column]) -> tuple[str, ...]:
        read = self._reader.names
        new = [name for name in columns if not name.startswith("\x00") and name not in read]
        return (*(name for name in read if name in columns or name not in self._wanted), *new)

    def _same(self, out: Out) -> list[str]:
        rows: list[Row] = out.columns[ROW].tolist()
        touched: dict[int, dict[int, object]] = {}
        for name, mask in out.masks.items():
            n, column = self._reader.names.index(name), out.columns[name]
            for row in mask.nonzero()[0].tolist():
                touched.setdefault(row, {})[n] = column[row]
        texts = [text for text, _ in rows]
        for at, cells in touched.items():
            if rows[at].cells is not None:
                old, end = self._written(rows[at])
                new = [self._in_place(old[n], cell(cells[n])) if n in cells else old[n] for n in range(len(old))]
                texts[at] = self._whole(new) + (end or self._end)
        return texts

    def _other(self, out: Out, names: tuple[str, ...]) -> list[str]:
        rows: list[Row] = out.columns[ROW].tolist()
        new = [name for name in names if name not in self._reader.names]
        written = [name for name in names if name in new or name in out.masks]
        texts = []
        for n, row in enumerate(rows):
            if row.cells is None:
                texts.append(row.text)
                continue
            old, end = self._written(row)
            cells = dict(zip(self._reader.names, old, strict=True))
            for name in written:
                if name in new or out.masks[name][n]:
                    cells[name] = self._in_place(cells.get(name, ""), cell(out.columns[name][n]))
            texts.append(self._whole([cells[name] for name in names]) + (end or self._end))
        return texts

    def _written(self, row: Row) -> tuple[list[str], str]:
        """The cells as they stand in the file, with their quotes, and the end of the line."""
        assert row.cells is not None
        end = "\r\n" if row.text.endswith("\r\n") else "\n" if row.text.endswith("\n") else ""
        body = row.text[: len(row.text) - len(end)]
        if '"' not in body:
            return body.split(self._reader.separator), end
        found, at = [], -1
        while at < len(body):
            piece = self._one.match(body, at + 1)
            assert piece is not None  # it may be empty
            found.append(piece.group())
            at = piece.end()
        return found, end

    def _in_place(self, old: str, text: str) -> str:
        """In quotes where what stood there was, or where it must be."""
        return '"' + text.replace('"', '""') + '"' if old[:1] == '"' or self._special.search(text) else text

    def _whole(self, cells: list[str]) -> str:
        """A row of one empty cell would be an empty line, which is no row."""
        return self._reader.separator.join(cells) if cells != [""] else '""'

    def _line(self, cells: list[str]) -> str:
        line: str = self._csv.writerow(cells)
        return line[:-2] + self._end

    def close(self) -> None:
        self._file.close()


class _Given:
    """What is written is given back."""

    def write(self, line: str) -> str:
        return line


def _separator(header: bytes) -> str:
    unquoted = b"".join(header.split(b'"')[::2])
    return next((mark.decode() for mark in (b",", b";", b"\t") if mark in unquoted), ",")


def _words(error: csv.Error) -> str:
    """Python's own are about how a program should open a file, and end."""
    if "unexpected end of data" in str(error):
        return "a quote is opened, and nothing closes it"
    return "a carriage return outside quotes" if "new-line character" in str(error) else str(error)


def value(text: str) -> object:
    found = _NUMBER.fullmatch(text) if len(text) <= DIGITS_MAX else None
    if found is None:
        return _WORDS.get(text, text)
    return int(text) if found.lastindex is None else float(text)


def cell(value: object) -> str:
    if value is None or value is ABSENT or (isinstance(value, float) and value != value):
        return ""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)
