"""Parquet, by pyarrow (the extra `arrow`).

Only the columns that the damage needs become arrays; all others, and the cells that weren't hit, stay in Arrow from file to
file, so that no type has to survive a way through numpy. A row travels as its batch and its place in it: what is late keeps
its batch alive, and no more than that.

The damage sees the values that it would see in JSON lines, so that the same rows and seed are hit in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from harness.cli.corrupting.files import Out
from harness.cli.corrupting.parquet_types import as_objects, field_types
from harness.corrupt import ABSENT, Corruption
from harness.corrupt.adapters import columns_of
from harness.corrupt.column import Column, Mask, objects
from harness.errors import UsageError

READ_BYTES = 1 << 20
GROUP_ROWS = 100_000
"""As many rows are written at once: small groups make a file large and slow."""
BATCH, PLACE = "\x00batch", "\x00place"


def modules() -> tuple[Any, Any]:
    """pyarrow and its Parquet part. Raises UsageError where the extra isn't installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError("Parquet needs pyarrow, which isn't installed", hint="pip install 'mldrill[arrow]'") from None


class ParquetReader:
    batch_rows = 20_000
    broken = 0

    def __init__(self, path: Path, chain: Sequence[Corruption] = ()) -> None:
        self._pa, parquet = modules()
        self._path = path
        try:
            # Not its usual way, which keeps all that it has read for as long as the file is open.
            self._file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES)
        except (self._pa.ArrowException, OSError) as error:
            raise UsageError(f"{path}: no Parquet file: {error}") from None
        self.schema = self._file.schema_arrow
        self.names = tuple(self.schema.names)
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise UsageError(f"{path}: two columns are called '{min(twice)}'")
        self.types: Mapping[str, Any] = field_types(self._pa, self.schema, chain)
        self.retyped = {
            field.name: f"{field.type} became {self.types[field.name]}"
            for field in self.schema
            if self.types[field.name] != field.type
        }
        self._objects = as_objects(chain)
        self._size = path.stat().st_size
        self._rows = 0

    @property
    def bytes_read(self) -> int:
        return int(self._size * self._rows / max(1, self._file.metadata.num_rows))

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        there = [name for name in wanted if name in self.names]
        try:
            for batch in self._file.iter_batches(batch_size=rows):
                self._rows += batch.num_rows
                yield self._columns(batch, there)
        except (self._pa.ArrowException, OSError) as error:
            raise UsageError(f"{self._path}: can't be read behind row {self._rows:,}: {error}") from None
        if not self._rows:
            yield self._columns(self._pa.RecordBatch.from_pylist([], schema=self.schema), there)

    def _columns(self, batch: Any, there: Sequence[str]) -> Mapping[str, Column]:
        columns = columns_of(batch.select(there)) if there else {}
        taken = {
            name: objects(batch.column(name).to_pylist())
            if name in self._objects and column.dtype.kind in "fiub"
            else column
            for name, column in columns.items()
        }
        whole = np.empty(batch.num_rows, dtype=object)
        whole.fill(batch)
        return {**taken, BATCH: whole, PLACE: np.arange(batch.num_rows)}


class ParquetWriter:
    """A column keeps its type where its damage allows that, and else has another one from the first batch on."""

    def __init__(self, path: Path, reader: ParquetReader, wanted: tuple[str, ...]) -> None:
        self._pa, self._parquet = modules()
        self._path = path
        self._reader = reader
        self._wanted = wanted
        self._writer: Any = None
        self._rows = 0
        self._group: list[Any] = []

    def unseen(self, out: Out) -> Mapping[str, Mask]:
        """What isn't there is a null, as a gap is."""
        found: dict[str, Mask] = {}
        for name, mask in out.masks.items():
            column = out.columns.get(name)
            if column is None or column.dtype != object or name not in self._reader.names:
                continue
            gone = [at for at in mask.nonzero()[0].tolist() if column[at] is ABSENT]
            if gone:
                null = self._rows_as_they_came(out).column(name).is_null().to_numpy()
                found[name] = np.zeros(len(mask), dtype=bool)
                found[name][gone] = null[gone]
        return found

    def write(self, out: Out) -> None:
        names = self._names_of(out.columns)
        if self._writer is None:
            schema = self._pa.schema(
                [self._field(name) for name in names], metadata=_without_pandas(self._reader.schema.metadata)
            )
            self._writer = self._parquet.ParquetWriter(self._path, schema)
        table = self._rows_as_they_came(out)
        columns = [self._column(table, name, out) for name in names]
        self._group.append(self._pa.table(columns, schema=self._writer.schema))
        self._rows += table.num_rows
        if sum(part.num_rows for part in self._group) >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(self._pa.concat_tables(self._group), row_group_size=2 * GROUP_ROWS)
        self._group = []

    def _names_of(self, columns: Mapping[str, Column]) -> list[str]:
        kept = [name for name in self._reader.names if name in columns or name not in self._wanted]
        return kept + [name for name in columns if not name.startswith("\x00") and name not in kept]

    def _field(self, name: str) -> Any:
        type_ = self._reader.types[name]
        if name not in self._reader.names:
            return self._pa.field(name, type_)
        field = self._reader.schema.field(name).with_type(type_)
        return field.with_nullable(True) if name in self._wanted else field

    def _rows_as_they_came(self, out: Out) -> Any:
        pa, batches, places = self._pa, out.columns[BATCH].tolist(), out.columns[PLACE]
        if not batches:
            return pa.table(self._reader.schema.empty_table())
        if batches[0] is batches[-1] and len(places) == batches[0].num_rows:
            whole = all(batch is batches[0] for batch in batches) and (places == np.arange(len(places))).all()
            if whole:
                return pa.Table.from_batches([batches[0]])
        starts: dict[int, int] = {}
        used = {id(batch): batch for batch in batches}
        rows = 0
        for key, batch in used.items():
            starts[key] = rows
            rows += batch.num_rows
        at = places + np.fromiter((starts[id(batch)] for batch in batches), dtype=np.int64, count=len(batches))
        return pa.Table.from_batches(list(used.values())).take(pa.array(at))

    def _column(self, table: Any, name: str, out: Out) -> Any:
        pa, type_ = self._pa, self._reader.types[name]
        try:
            if name not in self._reader.names:
                return self._values(out.columns[name], type_)
            old = table.column(name)
            mask = out.masks.get(name)
            kept = old if old.type == type_ else self._cast(old, type_)
            if mask is None or not mask.any():
                return kept
            return self._replaced(kept, mask, self._values(out.columns[name][mask], type_))
        except (pa.ArrowException, OverflowError) as error:
            raise UsageError(
                f"column '{name}', behind row {self._rows:,} of the output: a damaged value doesn't fit "
                f"its type {type_}: {error}"
            ) from None

    def _cast(self, old: Any, type_: Any) -> Any:
        """Arrow writes 29.0 as 29, CSV and JSON don't."""
        pa = self._pa
        if pa.types.is_string(type_) and pa.types.is_floating(old.type):
            return pa.chunked_array([self._values(objects(old.to_pylist()), type_)])
        return old.cast(type_)

    def _replaced(self, old: Any, mask: Mask, new: Any) -> Any:
        """By taking from both, which works on every type."""
        both = self._pa.chunked_array([*old.chunks, new], type=old.type)
        at = np.arange(len(old))
        at[mask] = len(old) + np.arange(len(new))
        return both.take(self._pa.array(at))

    def _values(self, values: Column, type_: Any) -> Any:
        pa = self._pa
        if values.dtype.kind in "mM":
            return pa.array(values).cast(type_)
        listed = [None if value is ABSENT else value for value in values.tolist()]
        if pa.types.is_string(type_) or pa.types.is_large_string(type_):
            return pa.array([None if v is None else _text(v) for v in listed], type_)
        if pa.types.is_dictionary(type_):
            return pa.array(listed, type_.value_type).cast(type_)
        if pa.types.is_integer(type_):  # a gap among whole numbers is no NaN
            listed = [None if isinstance(v, float) and v != v else _whole(v) for v in listed]
        return pa.array(listed, type_)

    def close(self) -> None:
        if self._group:
            self._write_group()
        if self._writer is not None:
            self._writer.close()


def _text(value: object) -> str:
    """As JSON has it."""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _whole(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _without_pandas(metadata: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes] | None:
    """What pandas notes about the columns may not hold any more."""
    return None if metadata is None else {key: value for key, value in metadata.items() if key != b"pandas"}
