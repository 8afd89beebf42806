"""JSON lines: an object a line. Of each only the wanted fields are read; lines that nothing happened to stay as they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.cli.corrupting.files import ROW, Out
from harness.corrupt import ABSENT
from harness.corrupt.column import Column, objects
from harness.errors import UsageError

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


class Row(NamedTuple):
    """The line with its end, and its fields (None for a line that couldn't be read)."""

    line: bytes
    fields: dict[str, msgspec.Raw] | None


class JsonLinesReader:
    names: tuple[str, ...] = ()

    def __init__(self, path: Path, *, pass_broken: bool) -> None:
        self._path = path
        self._file = path.open("rb")
        self._pass_broken = pass_broken
        self.broken = 0

    @property
    def bytes_read(self) -> int:
        return self._file.tell()

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        batch: list[Row] = []
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                batch.append(self._row(number, line))
            if len(batch) == rows:
                yield self._columns(batch, wanted)
                batch = []
        if batch:
            yield self._columns(batch, wanted)

    def _row(self, number: int, line: bytes) -> Row:
        try:
            return Row(line, _object(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not self._pass_broken:
                raise UsageError(
                    f"{self._path}:{number}: no JSON object: {error}",
                    hint="let such lines pass unharmed: --broken pass",
                ) from None
            self.broken += 1
            return Row(line, None)

    def _columns(self, batch: list[Row], wanted: tuple[str, ...]) -> Mapping[str, Column]:
        columns = {name: objects([_field(row, name) for row in batch]) for name in wanted}
        return {**columns, ROW: objects(batch)}


def _field(row: Row, name: str) -> object:
    if row.fields is None:
        return None
    return _value(row.fields[name]) if name in row.fields else ABSENT


class JsonLinesWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, out: Out) -> None:
        rows: list[Row] = out.columns[ROW].tolist()
        touched: dict[int, list[str]] = {}
        for name, mask in out.masks.items():
            for n in mask.nonzero()[0].tolist():
                touched.setdefault(n, []).append(name)
        lines = [row.line if row.line.endswith(b"\n") else row.line + b"\n" for row in rows]
        for n, names in touched.items():
            if rows[n].fields is not None:
                lines[n] = self._changed(rows[n], names, out, n)
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
        return msgspec.json.encode(fields) + b"\n"

    def close(self) -> None:
        self._file.close()
