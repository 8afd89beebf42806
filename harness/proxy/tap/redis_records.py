"""The records of a stream entry: the entry's own fields, or a JSON document in one of them. Read, and written back.

An entry's fields are texts; as in CSV, what looks like a number as JSON writes them is one, and an empty text is a
missing value. Only what was really changed is written anew: all other fields and entries stay the bytes that they were.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats.form import Unread, Wanted, holds
from harness.proxy.tap.formats.json import Document
from harness.proxy.tap.redis_entries import Entry
from harness.proxy.tap.redis_values import Splice, Value, in_place

DIGITS_MAX = 300
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class Home(Protocol):
    """Where some rows stand, with their own ids. A hit's row counts from this home's first."""

    @property
    def rows(self) -> list[dict[str, object]]: ...

    @property
    def ids(self) -> list[object]: ...

    def write(self, hits: Sequence[Hit]) -> tuple[list[Splice], list[Hit]]:
        """The changes, and the hits as they were really written."""


class DocumentHome:
    """A JSON document in one text. Raises Unread."""

    def __init__(self, place: Value, wanted: Wanted) -> None:
        self._place = place
        self._document = Document(place.text, wanted)
        self.rows, self.ids = self._document.rows, self._document.ids
        if not self.rows:
            raise Unread("no-records")

    def write(self, hits: Sequence[Hit]) -> tuple[list[Splice], list[Hit]]:
        text, written = self._document.write(hits)
        return ([in_place(self._place, text)] if written else []), written


@dataclass(frozen=True)
class FieldsHome:
    """The fields of an entry are one record; `rows` and `ids` have one element."""

    places: dict[str, Value]
    rows: list[dict[str, object]]
    ids: list[object]

    @classmethod
    def read(cls, entry: Entry, wanted: Wanted) -> FieldsHome:
        """Raises Unread."""
        needed = {name.encode(): name for name in (*wanted.columns, wanted.id_key)}
        places: dict[str, Value] = {}
        row: dict[str, object] = {}
        for name, value in zip(entry.fields[::2], entry.fields[1::2], strict=True):
            column = needed.get(name.text)
            if column is None:
                continue
            if column in places:
                raise Unread("field-twice")
            places[column] = value
            try:
                row[column] = typed(value.text.decode())
            except UnicodeDecodeError:
                raise Unread("not-utf8") from None
        return cls(places, [row], [row.get(wanted.id_key)])

    def write(self, hits: Sequence[Hit]) -> tuple[list[Splice], list[Hit]]:
        changes: list[Splice] = []
        written: list[Hit] = []
        for hit in hits:
            values = {name: value for name, value in hit.values.items() if name in self.places and holds(value)}
            changes += [in_place(self.places[name], text_of(value).encode()) for name, value in values.items()]
            if values:
                written.append(replace(hit, values=values))
        return changes, written


def typed(text: str) -> object:
    """A number where the text is one, None where it is empty."""
    found = _NUMBER.fullmatch(text) if len(text) <= DIGITS_MAX else None
    if found is None:
        return text or None
    return int(text) if found.groups() == (None, None) else float(text)


def text_of(value: object) -> str:
    return "" if value is None else ("false", "true")[value] if isinstance(value, bool) else str(value)


def home_of(entry: Entry, field: bytes, wanted: Wanted) -> Home:
    """Raises Unread. `field` is empty for the entry's own fields."""
    if not field:
        return FieldsHome.read(entry, wanted)
    for name, value in zip(entry.fields[::2], entry.fields[1::2], strict=True):
        if name.text == field:
            return DocumentHome(value, wanted)
    raise Unread("no-such-field")
