"""Reads a history back, typed and whole, and says what is wrong with one that can't be read.

Everything right of the history starts here. It is read eagerly: whoever holds a `History` holds one that can be scored.
Rejected: a lazy iterator, whose garbage in the middle would surface in the middle of a report.

What always holds: events come in the order of the file; a kind that this version does not know is kept; only a last
line without its newline is read past (`torn`), anything else that is no event is an error with its line number.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from harness.errors import HistoryError
from harness.history.digest import digest_of, whole_lines
from harness.history.events import AnyEvent, UnknownEvent
from harness.history.header import HISTORY_SCHEMA, Header
from harness.history.lines import encode_line
from harness.history.writer import HISTORY_BYTES_MAX

CHUNK_BYTES = 2**20

_EVENT = msgspec.json.Decoder(AnyEvent)
_HEADER = msgspec.json.Decoder(Header)
_OBJECT = msgspec.json.Decoder(dict[str, object])
KINDS = frozenset(
    str(kind.__struct_config__.tag)
    for kind in AnyEvent.__args__  # the members of the union
)


class _FirstLine(msgspec.Struct, frozen=True):
    """What even a history of another version must say of itself."""

    kind: str
    schema: int


@dataclass(frozen=True, slots=True)
class History:
    """A run as recorded. `items` are all events in order, those of unknown kinds among them."""

    header: Header
    items: tuple[AnyEvent | UnknownEvent, ...]
    digest: str
    torn: bool = False
    unknown: int = 0
    """How many of the items are of unknown kinds."""

    def events(self) -> Iterator[AnyEvent]:
        """The events of known kinds, in order."""
        if not self.unknown:
            return iter(cast("tuple[AnyEvent, ...]", self.items))
        return (item for item in self.items if not isinstance(item, UnknownEvent))


def read(path: Path) -> History:
    """The history in the file. Raises `HistoryError` naming the file and, where there is one, the line."""
    try:
        if path.stat().st_size > HISTORY_BYTES_MAX:
            raise HistoryError(f"{path}: larger than any history that is written ({HISTORY_BYTES_MAX} bytes)")
        data = path.read_bytes()
    except OSError as error:
        raise HistoryError(
            f"{path}: can't be read: {error.strerror or error}", hint="`drill report` lists the runs that there are"
        ) from error
    return parse(data, name=str(path))


def parse(data: bytes, *, name: str = "history") -> History:
    """The history in these bytes; `name` is what errors call it."""
    end = whole_lines(data)
    header_end = data.find(b"\n", 0, end) + 1
    header = _header(data[:header_end], name=name)
    with collector_paused():
        items = _items(data, header_end, end, name=name)
    unknown = sum(type(item) is UnknownEvent for item in items)
    return History(header=header, items=tuple(items), digest=digest_of(data), torn=end < len(data), unknown=unknown)


@contextmanager
def collector_paused() -> Iterator[None]:
    """A long history is millions of objects and no cycle: the collector would look at all of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _items(data: bytes, start: int, end: int, *, name: str) -> list[AnyEvent | UnknownEvent]:
    items: list[AnyEvent | UnknownEvent] = []
    line = 2
    while start < end:
        stop = min(end, data.find(b"\n", min(start + CHUNK_BYTES, end - 1)) + 1)
        chunk = data[start:stop]
        try:
            items += _EVENT.decode_lines(chunk)
        except (msgspec.DecodeError, UnicodeDecodeError):
            items += _line_by_line(chunk, first=line, name=name)
        line += chunk.count(b"\n")
        start = stop
    return items


def recorded(header: Header, events: Iterable[AnyEvent]) -> History:
    """The history of a run that was held in memory, numbered and with the digest that its file would have."""
    numbered = tuple(msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(events, 1))
    data = b"".join(map(encode_line, (header, *numbered)))
    return History(header=header, items=numbered, digest=digest_of(data))


def _header(line: bytes, *, name: str) -> Header:
    if not line.strip():
        raise HistoryError(
            f"{name}:1: no header: the run ended before it began, or this is no history",
            hint="A history is the history.jsonl of a run's folder",
        )
    try:
        first = msgspec.json.decode(line, type=_FirstLine)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(
            f"{name}:1: no header of a history: {error}", hint="A history is the history.jsonl of a run's folder"
        ) from error
    if first.kind != "header" or first.schema != HISTORY_SCHEMA:
        raise HistoryError(
            f"{name}:1: found {first.kind} of schema {first.schema}; this version reads header of schema"
            f" {HISTORY_SCHEMA}",
            hint="Score it with the version of mldrill that recorded it: the header's harness_version",
        )
    try:
        return _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{name}:1: the header is damaged: {error}") from error


def _line_by_line(chunk: bytes, *, first: int, name: str) -> Iterator[AnyEvent | UnknownEvent]:
    for number, line in enumerate(chunk.split(b"\n")[:-1], first):
        try:
            yield _EVENT.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield _unknown(line, where=f"{name}:{number}", error=error)


def _unknown(line: bytes, *, where: str, error: Exception) -> UnknownEvent:
    """The event, if only its kind is unknown; else what is wrong with it."""
    try:
        raw = _OBJECT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as broken:
        raise HistoryError(
            f"{where}: no event: {broken}", hint="Something other than the harness wrote into this file"
        ) from broken
    kind, t_ns, seq = raw.get("kind"), raw.get("t_ns"), raw.get("seq", 0)
    if isinstance(kind, str) and kind not in KINDS and isinstance(t_ns, int) and isinstance(seq, int):
        return UnknownEvent(seq=seq, t_ns=t_ns, kind=kind, raw=raw)
    raise HistoryError(f"{where}: no event of a known kind: {error}") from error
