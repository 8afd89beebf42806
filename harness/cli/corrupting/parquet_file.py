"""Parquet, by pyarrow (the extra `arrow`). All columns travel as arrays, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.cli.corrupting.files import Out
from harness.corrupt.adapters import as_arrow, columns_of
from harness.corrupt.column import Column
from harness.errors import UsageError


def _pyarrow() -> tuple[Any, Any]:
    """Raises UsageError where the extra isn't installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError("Parquet needs pyarrow, which isn't installed", hint="pip install 'mldrill[arrow]'") from None


class ParquetReader:
    broken = 0

    def __init__(self, path: Path) -> None:
        pa, parquet = _pyarrow()
        try:
            self._file = parquet.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path}: no Parquet file: {error}") from None
        self.schema = self._file.schema_arrow
        self.names = tuple(self.schema.names)
        self._size = path.stat().st_size
        self._rows = 0

    @property
    def bytes_read(self) -> int:
        return int(self._size * self._rows / max(1, self._file.metadata.num_rows))

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        del wanted
        for batch in self._file.iter_batches(batch_size=rows):
            self._rows += batch.num_rows
            yield columns_of(batch)


class ParquetWriter:
    """A column keeps its type while its values fit; one that holds numbers and text at once becomes text, from the first
    batch on where its damage can do that."""

    def __init__(self, path: Path, reader: ParquetReader, texts: tuple[str, ...]) -> None:
        self._path = path
        self._reader = reader
        self._texts = texts
        self._writer: Any = None

    def write(self, out: Out) -> None:
        pa, parquet = _pyarrow()
        table = as_arrow({name: column for name, column in out.columns.items() if not name.startswith("\x00")})
        if self._writer is None:
            self._schema = self._schema_of(pa, table)
            self._writer = parquet.ParquetWriter(self._path, self._schema)
        try:
            self._writer.write_table(
                pa.table([self._cast(pa, table, field) for field in self._schema], schema=self._schema)
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise UsageError(f"{self._path}: a damaged value doesn't fit its column: {error}") from None

    def _schema_of(self, pa: Any, table: Any) -> Any:
        fields = []
        for field in table.schema:
            known = self._reader.schema.field(field.name) if field.name in self._reader.names else field
            wider = field.type != known.type and not pa.types.is_null(field.type) and field.name in self._texts
            fields.append(pa.field(field.name, pa.string() if wider or field.name in self._texts else known.type))
        return pa.schema(fields)

    def _cast(self, pa: Any, table: Any, field: Any) -> Any:
        column = table.column(field.name)
        if pa.types.is_string(field.type) and not pa.types.is_string(column.type):
            return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        return column.cast(field.type)

    def close(self) -> None:
        if self._writer is None:
            _, parquet = _pyarrow()
            self._writer = parquet.ParquetWriter(self._path, self._reader.schema)
        self._writer.close()
