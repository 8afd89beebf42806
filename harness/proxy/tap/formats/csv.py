"""CSV as in RFC 4180: a header row, commas, quotes. Python's csv reads it; rows that weren't hit stay as they came.

In a row that was hit, the other cells keep their text and quotes. A cell that looks like a number as JSON writes them
is one (007 isn't), an empty cell is a missing value, all else is text; an id 7 draws as the number 7 of JSON does.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace

from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats.form import Format, Unread, Wanted, holds

MEDIA_TYPES = ("text/csv", "application/csv", "application/x-csv")
DIGITS_MAX = 300

_BOM = "\ufeff"
_CELL = re.compile(r'(?:"(?:[^"]|"")*"|[^,"][^,]*|)(?=,|$)')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_QUOTED = re.compile(r'[,"\r\n]')


class Table:
    unread = 0

    def __init__(self, body: bytes, wanted: Wanted) -> None:
        try:
            text = body.decode()
            self._bom = _BOM if text.startswith(_BOM) else ""
            self._pieces, records = _split(text[len(self._bom) :])
        except (UnicodeDecodeError, csv.Error):
            raise Unread("not-csv") from None
        header = records[0][1] if records else []
        self._end = "\r\n" if self._pieces and self._pieces[0].endswith("\r\n") else "\n"
        self._at = {name: header.index(name) for name in (*wanted.columns, wanted.id_key) if name in header}
        self._where = [n for n, _ in records[1:]]
        self._width = len(header)
        needed = [(name, self._at[name]) for name in wanted.columns if name in self._at]
        id_at = self._at.get(wanted.id_key, len(header))
        self.rows: list[dict[str, object]] = []
        self.ids: list[object] = []
        for _, cells in records[1:]:
            self.rows.append({name: _value(cells[at]) for name, at in needed if at < len(cells)})
            self.ids.append(_value(cells[id_at]) if id_at < len(cells) else None)

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        pieces = list(self._pieces)
        written: list[Hit] = []
        for hit in hits:
            n = self._where[hit.row]
            line = pieces[n].rstrip("\r\n")
            if hit.times != 1:
                pieces[n] = self._end.join([line] * hit.times) + pieces[n][len(line) :] if hit.times else ""
                written.append(hit)
                continue
            cells = _raw_cells(line)
            values = {
                name: value
                for name, value in hit.values.items()
                if holds(value) and name in self._at and self._at[name] < len(cells)
            }
            if values:
                for name, value in values.items():
                    cells[self._at[name]] = _cell(value, quoted=cells[self._at[name]].startswith('"'))
                pieces[n] = (",".join(cells) or '""') + pieces[n][len(line) :]
                written.append(hit if len(values) == len(hit.values) else replace(hit, values=values))
        return (self._bom + "".join(pieces)).encode(), written


def _split(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The text of each record with its line ends (blank lines too), and the cells of those that aren't blank."""
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, strict=True)
    pieces: list[str] = []
    records: list[tuple[int, list[str]]] = []
    at = 0
    for cells in reader:
        if cells:
            records.append((len(pieces), cells))
        pieces.append("".join(lines[at : reader.line_num]))
        at = reader.line_num
    return pieces, records


def _raw_cells(line: str) -> list[str]:
    """The cells with their quotes, as csv has just read them. What csv reads beyond RFC 4180 is written anew."""
    cells: list[str] = []
    at = 0
    for _ in range(len(line) + 1):
        found = _CELL.match(line, at)
        if found is None:
            return [_cell(text, quoted=False) for text in next(csv.reader(io.StringIO(line, newline="")))]
        cells.append(found.group())
        at = found.end() + 1
        if at > len(line):
            break
    return cells


def _value(text: str) -> object:
    found = _NUMBER.fullmatch(text) if len(text) <= DIGITS_MAX else None
    if found is None:
        return text or None
    return int(text) if found.groups() == (None, None) else float(text)


def _cell(value: object, *, quoted: bool) -> str:
    text = "" if value is None else ("false", "true")[value] if isinstance(value, bool) else str(value)
    return '"' + text.replace('"', '""') + '"' if quoted or _QUOTED.search(text) else text


def _owns(media_type: str) -> bool:
    return media_type in MEDIA_TYPES


CSV = Format("csv", _owns, Table)
