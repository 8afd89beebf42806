"""CSV with a header row. Python's csv reads it; a row that nothing happened to is written as the text that it was.

A cell that looks like a number as JSON writes them is one (007 isn't), an empty cell is a missing value, all else is text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from harness.cli.corrupting.files import ROW, Out
from harness.corrupt import ABSENT
from harness.corrupt.column import Column, objects
from harness.errors import UsageError

DIGITS_MAX = 300
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class Row(NamedTuple):
    """The text with its line end, and its cells (None for a line that couldn't be read)."""

    text: str
    cells: list[str] | None


class CsvReader:
    def __init__(self, path: Path, *, pass_broken: bool) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        self._pass_broken = pass_broken
        self._line = 0
        self._text = ""
        self.broken = 0
        self._rows = self._read()
        header = next(self._rows, None)
        if header is None or header.cells is None:
            raise UsageError(f"{path}: empty; a header row with the names of the columns is needed")
        self.header = header
        self.names = tuple(cell.removeprefix("\ufeff") for cell in header.cells)
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise UsageError(f"{path}:1: two columns are called '{sorted(twice)[0]}'")

    @property
    def bytes_read(self) -> int:
        return self._file.tell()

    def _lines(self) -> Iterator[str]:
        for raw in self._file:
            self._line += 1
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                if not self._pass_broken:
                    raise UsageError(
                        f"{self._path}:{self._line}: byte {error.start + 1} of the line is not UTF-8",
                        hint="convert it (iconv -f latin1 -t utf-8), or let such lines pass unharmed: --broken pass",
                    ) from None
                line = raw.decode(errors="surrogateescape")
            self._text += line
            yield line

    def _read(self) -> Iterator[Row]:
        reader = csv.reader(self._lines(), strict=True)
        while True:
            began = self._line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if not self._pass_broken:
                    raise UsageError(
                        f"{self._path}:{began}: {error}", hint="let such lines pass unharmed: --broken pass"
                    ) from None
                self.broken += 1
                text, self._text = self._text, ""
                yield Row(text, None)
                reader = csv.reader(self._lines(), strict=True)
                continue
            text, self._text = self._text, ""
            if cells:
                yield Row(text, cells)

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        at = {name: self.names.index(name) for name in wanted if name in self.names}
        batch: list[Row] = []
        for row in self._rows:
            if row.cells is not None and len(row.cells) != len(self.names):
                if not self._pass_broken:
                    raise UsageError(
                        f"{self._path}:{self._line}: {len(row.cells)} cells, and the header has {len(self.names)}",
                        hint="let such lines pass unharmed: --broken pass",
                    )
                self.broken += 1
                row = Row(row.text, None)
            batch.append(row)
            if len(batch) == rows:
                yield self._columns(batch, at)
                batch = []
        if batch:
            yield self._columns(batch, at)

    def _columns(self, batch: list[Row], at: Mapping[str, int]) -> Mapping[str, Column]:
        columns = {
            name: objects([None if r.cells is None else value(r.cells[n]) for r in batch]) for name, n in at.items()
        }
        return {**columns, ROW: objects(batch)}


class CsvWriter:
    """`wanted` are the columns that were read: what is then not among those that come out is gone."""

    def __init__(self, path: Path, reader: CsvReader, wanted: tuple[str, ...]) -> None:
        self._wanted = wanted
        self._file = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._reader = reader
        self._names: tuple[str, ...] | None = None
        self._end = "\r\n" if reader.header.text.endswith("\r\n") else "\n"

    def write(self, out: Out) -> None:
        names = self._names_of(out.columns)
        if self._names is None:
            same = names == self._reader.names
            self._file.write(_ended(self._reader.header.text, self._end) if same else self._line(list(names)))
            self._names = names
        if names == self._reader.names:
            self._write_same(out)
        else:
            self._write_other(out, names)

    def _names_of(self, columns: Mapping[str, Column]) -> tuple[str, ...]:
        read = self._reader.names
        new = [name for name in columns if not name.startswith("\x00") and name not in read]
        return (*(name for name in read if name in columns or name not in self._wanted), *new)

    def _write_same(self, out: Out) -> None:
        rows: list[Row] = out.columns[ROW].tolist()
        touched: dict[int, dict[int, object]] = {}
        for name, mask in out.masks.items():
            n, column = self._reader.names.index(name), out.columns[name]
            for row in mask.nonzero()[0].tolist():
                touched.setdefault(row, {})[n] = column[row]
        texts = [row.text for row in rows]
        for at, cells in touched.items():
            old = rows[at].cells
            if old is not None:
                texts[at] = self._line([cell(cells[n]) if n in cells else text for n, text in enumerate(old)])
        self._file.write("".join(_ended(text, self._end) for text in texts))

    def _write_other(self, out: Out, names: tuple[str, ...]) -> None:
        rows: list[Row] = out.columns[ROW].tolist()
        written = [name for name in names if name not in self._reader.names or name in out.masks]
        for n, row in enumerate(rows):
            if row.cells is None:
                self._file.write(row.text)
                continue
            cells = dict(zip(self._reader.names, row.cells, strict=True))
            for name in written:
                if name not in self._reader.names or out.masks[name][n]:
                    cells[name] = cell(out.columns[name][n])
            self._file.write(self._line([cells[name] for name in names]))

    def _line(self, cells: list[str]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator=self._end).writerow(cells)
        return out.getvalue()

    def close(self) -> None:
        if self._names is None:
            self._file.write(self._reader.header.text)
        self._file.close()


def value(text: str) -> object:
    found = _NUMBER.fullmatch(text) if len(text) <= DIGITS_MAX else None
    if found is None:
        return text or None
    return int(text) if found.groups() == (None, None) else float(text)


def cell(value: object) -> str:
    if value is None or value is ABSENT or (isinstance(value, float) and value != value):
        return ""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _ended(text: str, end: str) -> str:
    """The last line of a file may have no end, and stand in the middle of the output."""
    return text if text.endswith("\n") else text + end
