"""JSON lines: an object a line. Of each only the wanted fields are read; lines that nothing happened to stay as they came.

Of a line that was hit, the fields that weren't keep their text; the blanks between them go. Empty lines are no rows, and are
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.cli.corrupting.files import ROW, Out
from harness.cli.corrupting.lines import LinesIn, LinesOut, end_of
from harness.corrupt import ABSENT
from harness.corrupt.column import Column, Mask, objects
from harness.errors import UsageError

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


class Row(NamedTuple):
    """The line with its end, and its fields (None for a line that couldn't be read)."""

    line: bytes
    fields: dict[str, msgspec.Raw] | None


class JsonLinesReader:
    batch_rows = 5_000
    names: tuple[str, ...] = ()

    def __init__(self, path: Path, *, pass_broken: bool) -> None:
        self._path = path
        self.lines = LinesIn(path)
        self._pass_broken = pass_broken
        self.broken = 0

    @property
    def bytes_read(self) -> int:
        return self.lines.bytes_read

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        batch: list[Row] = []
        values: list[list[object]] = []
        for number, line in enumerate(self.lines, start=1):
            if not line.isspace():
                fields, found = self._read(number, line, wanted)
                batch.append(Row(line, fields))
                values.append(found)
            if len(batch) == rows:
                yield _columns(batch, values, wanted)
                batch, values = [], []
        yield _columns(batch, values, wanted)

    def _read(
        self, number: int, line: bytes, wanted: tuple[str, ...]
    ) -> tuple[dict[str, msgspec.Raw] | None, list[object]]:
        try:
            fields = _object(line)
            if not line.isascii():
                line.decode()  # text that nobody wants is skipped unread
            return fields, [_value(fields[name]) if name in fields else ABSENT for name in wanted]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not self._pass_broken:
                raise UsageError(
                    f"{self._path}:{number}: no JSON object: {error}",
                    hint="let such lines pass unharmed: --broken pass",
                ) from None
            self.broken += 1
            return None, [None] * len(wanted)


def _columns(batch: list[Row], values: list[list[object]], wanted: tuple[str, ...]) -> Mapping[str, Column]:
    columns = {name: objects([found[n] for found in values]) for n, name in enumerate(wanted)}
    return {**columns, ROW: objects(batch)}


class JsonLinesWriter:
    def __init__(self, path: Path, reader: JsonLinesReader) -> None:
        self._file = LinesOut(path, reader.lines)

    def unseen(self, out: Out) -> Mapping[str, Mask]:
        """JSON tells apart what the damage tells apart."""
        return {}

    def write(self, out: Out) -> None:
        rows: list[Row] = out.columns[ROW].tolist()
        touched: dict[int, list[str]] = {}
        for name, mask in out.masks.items():
            for n in mask.nonzero()[0].tolist():
                touched.setdefault(n, []).append(name)
        # The last line of a file may have no end, and stand in the middle of the output.
        lines = [line if line.endswith(b"\n") else line + b"\n" for line, _ in rows]
        for n, names in touched.items():
            if rows[n].fields is not None:
                lines[n] = self._changed(rows[n], names, out, n) + end_of(lines[n])
        self._file.write(b"".join(lines))

    def _changed(self, row: Row, names: list[str], out: Out, n: int) -> bytes:
        assert row.fields is not None
        fields = dict(row.fields)
        for name in names:
            value = out.columns[name][n] if name in out.columns else ABSENT
            if value is ABSENT:
                fields.pop(name, None)
            else:
                fields[name] = msgspec.Raw(msgspec.json.encode(value.item() if hasattr(value, "item") else value))
        return msgspec.json.encode(fields)

    def close(self) -> None:
        self._file.close()
