"""What a kind of file must do: give its rows in batches, and take damaged ones back.

A batch has the columns that the damage needs, parsed, and one more, `ROW`, with each row as it stood in the file (Parquet has
two: the batch, and the place in it). The rows travel through the damage as wholes, so that late ones keep what nobody parsed,
and cells that weren't hit are written as they came. Names that begin with NUL are those of such columns: no file has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.corrupt.column import Column, Mask
from harness.errors import UsageError

ROW = "\x00row"
"""The column of rows as they came."""

KINDS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})


@dataclass(frozen=True)
class Out:
    """Rows that are ready: the damaged columns with `ROW`, and which cells to write anew, by column."""

    columns: Mapping[str, Column]
    masks: Mapping[str, Mask]


class Reader(Protocol):
    batch_rows: int
    """How many rows at a time are quick, and not much memory."""
    names: tuple[str, ...]
    """All columns of the file, in order; empty where each row says for itself (JSON lines)."""
    broken: int
    """Lines that couldn't be read, and pass as they are (where that was asked for)."""

    def batches(self, wanted: tuple[str, ...], rows: int) -> Iterator[Mapping[str, Column]]:
        """At least one, which may have no rows. Raises UsageError that names the line of what can't be read."""

    @property
    def bytes_read(self) -> int: ...


class Writer(Protocol):
    def unseen(self, out: Out) -> Mapping[str, Mask]:
        """Of the cells that became others, those that are in the file what they were: by column, where there are any."""

    def write(self, out: Out) -> None: ...

    def close(self) -> None: ...


def kind_of(path: Path, given: str) -> str:
    """Raises UsageError where neither the option nor the name tells."""
    if given:
        return given
    kind = KINDS.get(path.suffix.lower())
    if path.suffix.lower() in PACKED:
        raise UsageError(f"{path}: is packed; legal is {', '.join(KINDS)}", hint="unpack it first")
    if kind is None:
        raise UsageError(
            f"{path}: what kind of file is it? Its name ends in none of {', '.join(KINDS)}",
            hint="say it: --format csv, jsonl or parquet",
        )
    return kind
