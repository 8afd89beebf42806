"""One file through a chain of corruptions, with a mask file beside it: a line for each row that was damaged, moved or lost."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from harness import corrupt
from harness.cli.corrupting.csv_file import CsvReader, CsvWriter
from harness.cli.corrupting.files import ROW, Out, Reader, Writer
from harness.cli.corrupting.json_lines import JsonLinesReader, JsonLinesWriter
from harness.cli.corrupting.needs import Needs
from harness.cli.corrupting.parquet_file import ParquetReader, ParquetWriter
from harness.corrupt.column import ABSENT, Column, Mask
from harness.corrupt.errors import unknown
from harness.corrupt.table import Cause, Unchanged, in_vain
from harness.corrupt.types.base import TableDamage

REFERENCE_ROWS = 100_000
ID = "\x00id"
"""The rows' ids as they came: the damage may hit their column too."""


@dataclass
class Told:
    """What one corruption did, over all."""

    rows: int = 0
    cells: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    spared: int = 0
    unchanged: Mapping[str, Unchanged] = field(default_factory=dict)

    def add(self, cause: Cause) -> None:
        self.rows += int(cause.touched.sum())
        for name, mask in cause.cells.items():
            self.cells[name] = self.cells.get(name, 0) + int(mask.sum())
        self.dropped += len(cause.dropped)
        self.spared += cause.spared
        self.unchanged = in_vain(self.unchanged, cause.unchanged)


@dataclass
class Summary:
    rows_in: int = 0
    rows_out: int = 0
    broken: int = 0
    causes: dict[str, Told] = field(default_factory=dict)
    retyped: Mapping[str, str] = field(default_factory=dict)
    """Columns whose type is another one in OUT, for all their cells, and what became what."""

    @property
    def hit(self) -> bool:
        return any(told.rows or told.dropped for told in self.causes.values())


def columns_needed(chain: Sequence[corrupt.Corruption]) -> tuple[str, ...]:
    """Of the file; a column that one step makes and the next one damages isn't there yet."""
    made: set[str] = set()
    needed: dict[str, None] = {}
    for step in chain:
        own = step.mechanism.reads if isinstance(step.damage, TableDamage) and step.damage.makes else step.reads
        needed.update(dict.fromkeys(name for name in own if name not in made))
        if isinstance(step.damage, TableDamage):
            made.update(step.damage.touches(step.columns))
    return tuple(needed)


def open_reader(path: Path, kind: str, *, pass_broken: bool, chain: Sequence[corrupt.Corruption] = ()) -> Reader:
    """Raises UsageError, CorruptionError or OSError."""
    if kind == "csv":
        return CsvReader(path, pass_broken=pass_broken)
    return JsonLinesReader(path, pass_broken=pass_broken) if kind == "jsonl" else ParquetReader(path, chain)


def _writer(path: Path, reader: Reader, wanted: tuple[str, ...]) -> Writer:
    if isinstance(reader, CsvReader):
        return CsvWriter(path, reader, wanted)
    if isinstance(reader, ParquetReader):
        return ParquetWriter(path, reader, wanted)
    assert isinstance(reader, JsonLinesReader)
    return JsonLinesWriter(path, reader)


def reference_of(path: Path, kind: str, wanted: tuple[str, ...]) -> corrupt.Reference:
    """The first 100,000 rows of a file. Raises UsageError or OSError."""
    reader = open_reader(path, kind, pass_broken=True)
    kept: dict[str, list[Column]] = {name: [] for name in wanted}
    rows = 0
    for batch in reader.batches(wanted, reader.batch_rows):
        for name in wanted:
            if name in batch:
                kept[name].append(batch[name])
                rows = max(rows, sum(map(len, kept[name])))
        if rows >= REFERENCE_ROWS:
            break
    return corrupt.Reference.of({name: np.concatenate(parts) for name, parts in kept.items() if parts})


def run(
    source: Path,
    out: Path,
    mask: Path,
    *,
    kind: str,
    chain: Sequence[corrupt.Corruption],
    id_column: str,
    reference: corrupt.Reference,
    pass_broken: bool,
    progress: Callable[[int], None],
    batch_rows: int | None = None,
) -> Summary:
    """Raises UsageError, CorruptionError or OSError; what was written by then is the caller's to take away."""
    reader = open_reader(source, kind, pass_broken=pass_broken, chain=chain)
    needed = columns_needed(chain)
    _check_columns(reader, needed, id_column)
    wanted = tuple(dict.fromkeys((*needed, *((id_column,) if id_column else ()))))
    stream = corrupt.Stream(chain, reference=reference)
    writer = _writer(out, reader, wanted)
    summary = Summary(causes={step.name: Told() for step in chain})
    needs = Needs(chain, needed)
    with mask.open("wb") as masks, _no_search_for_cycles():
        log = _MaskFile(masks)
        for batch in reader.batches(wanted, batch_rows or reader.batch_rows):
            needs.look(batch)
            ids = batch[id_column] if id_column else None
            summary.rows_in += len(next(iter(batch.values())))
            damaged = corrupt.told(stream.feed(batch if ids is None else {**batch, ID: ids}, ids=ids))
            _give(_readable(damaged) if reader.broken else damaged, writer, log, summary)
            progress(reader.bytes_read)
        rest = stream.finish()
        if rest is not None:
            damaged = corrupt.told(rest)
            _give(_readable(damaged) if reader.broken else damaged, writer, log, summary)
    needs.check()
    writer.close()
    summary.broken = reader.broken
    if isinstance(reader, ParquetReader):
        summary.retyped = reader.retyped
    return summary


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """A batch is some thousand small objects, without cycles: Python's search among them takes as long as all the rest."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _check_columns(reader: Reader, needed: Sequence[str], id_column: str) -> None:
    """Where the file says at once which columns it has."""
    if not reader.names:
        return
    for name in needed:
        if name not in reader.names:
            raise unknown("columns", name, known=reader.names)
    if id_column and id_column not in reader.names:
        raise unknown("--id", id_column, known=reader.names)


def _readable(damaged: corrupt.Damaged) -> corrupt.Damaged:
    """Lines that couldn't be read pass as they are, so nothing was done to their cells."""
    whole = np.array([row[1] is not None for row in damaged.columns[ROW].tolist()], dtype=bool)
    causes = tuple(replace(c, cells={name: mask & whole for name, mask in c.cells.items()}) for c in damaged.causes)
    return replace(damaged, masks={name: mask & whole for name, mask in damaged.masks.items()}, causes=causes)


def _as_written(damaged: corrupt.Damaged, writer: Writer) -> corrupt.Damaged:
    """What a corruption did to a cell by itself, and nobody can see in the file, it did not do: "12" for 12 in CSV. Cells that
    several of them changed in turn stay theirs."""
    for name, same in writer.unseen(Out(damaged.columns, damaged.masks)).items():
        of = [name in cause.cells and cause.cells[name] for cause in damaged.causes]
        alone = same & (np.sum([mask for mask in of if mask is not False], axis=0) == 1)
        if not alone.any():
            continue
        causes = tuple(_without(cause, name, alone, damaged.columns[name]) for cause in damaged.causes)
        damaged = replace(damaged, masks={**damaged.masks, name: damaged.masks[name] & ~alone}, causes=causes)
    return damaged


def _without(cause: Cause, name: str, cells: Mask, column: Column) -> Cause:
    if name not in cause.cells or not (its := cause.cells[name] & cells).any():
        return cause
    told = [value for value in column[its].tolist() if value is not None and value is not ABSENT and value != ""]
    vain = in_vain(cause.unchanged, {name: Unchanged(len(told), told[0])} if told else {})
    return replace(cause, cells={**cause.cells, name: cause.cells[name] & ~cells}, unchanged=vain)


def _give(damaged: corrupt.Damaged, writer: Writer, log: _MaskFile, summary: Summary) -> None:
    damaged = _as_written(damaged, writer)
    writer.write(Out(damaged.columns, damaged.masks))
    log.write(damaged, first=summary.rows_out)
    summary.rows_out += len(damaged.ordinals)
    for cause in damaged.causes:
        summary.causes[cause.name].add(cause)


_lines = msgspec.json.Encoder(enc_hook=str).encode_lines


class _MaskFile:
    """`{"row": place in the input, "out": place in the output, "id": ..., "cause": ..., "columns": [...]}`, a line each;
    rows that are gone have no `out`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, damaged: corrupt.Damaged, *, first: int) -> None:
        ids = damaged.columns.get(ID)
        lines: list[dict[str, object]] = []
        for cause in damaged.causes:
            for n in np.flatnonzero(cause.touched).tolist():
                line: dict[str, object] = {"row": int(damaged.ordinals[n]), "out": first + n}
                if ids is not None:
                    one = ids[n]
                    line["id"] = None if one is ABSENT else one.item() if hasattr(one, "item") else one
                names = [name for name, mask in cause.cells.items() if mask[n]]
                lines.append({**line, "cause": cause.name, **({"columns": names} if names else {})})
            lines += [{"row": int(row), "cause": cause.name, "dropped": True} for row in cause.dropped]
        self._file.write(_lines(lines))
