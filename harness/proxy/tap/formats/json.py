"""JSON. A body is opened only along the record path, and of each record only the cells that the damage needs.

All else stays the text that it was (`msgspec.Raw`), also when the body is written anew: 1.10 isn't respelled 1.1, and
no digit of a long number is lost. What may change is white space between values on the way to a record that was hit,
and of two equal keys in one object the first goes. Decoding whole documents was rejected for both speed and respelling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats.form import Format, Unread, Wanted, holds
from harness.proxy.tap.recordpath import RECORDS_MAX, RecordPath

Object = dict[str, msgspec.Raw]
Place = tuple[Any, int | str]
"""An opened container and a key in it. Its values are opened containers, or text as it came."""

as_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
as_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
as_value = msgspec.json.Decoder().decode
encode = msgspec.json.encode

WRONG = (msgspec.MsgspecError, ValueError, RecursionError)
_SPACE = b" \t\r\n"


class Document:
    """A body of which the records on a path are open."""

    unread = 0

    def __init__(self, body: bytes, wanted: Wanted) -> None:
        self._root: list[Any] = [msgspec.Raw(body.strip(_SPACE))]
        self._slots: list[tuple[Any, int | str, Object]] = []
        self.rows: list[dict[str, object]] = []
        self.ids: list[object] = []
        try:
            for holder, key in _places(self._root, wanted.path):
                self._open(holder, key, wanted)
        except WRONG:
            raise Unread("not-json") from None

    def _open(self, holder: Any, key: int | str, wanted: Wanted) -> None:
        cells = as_object(_at(holder, key))
        self._slots.append((holder, key, cells))
        self.rows.append({name: as_value(cells[name]) for name in wanted.columns if name in cells})
        self.ids.append(as_value(cells[wanted.id_key]) if wanted.id_key in cells else None)

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        written: list[Hit] = []
        for hit in hits:
            values = {name: value for name, value in hit.values.items() if holds(value)}
            if not values:
                continue
            holder, key, cells = self._slots[hit.row]
            for name, value in values.items():
                cells[name] = msgspec.Raw(encode(value))
            holder[key] = cells
            written.append(hit if len(values) == len(hit.values) else replace(hit, values=values))
        return encode(self._root[0]), written


def _places(root: list[Any], path: RecordPath) -> list[Place]:
    """Where the records are: containers and the keys in them. On the way containers are opened in place.

    Raises one of WRONG; so it does for a body of which any part is no JSON.
    """
    places: list[Place] = [(root, 0)]
    as_raw = _at(root, 0)
    if _first(as_raw) not in (b"{", b"["):
        as_value(as_raw)
        return []
    for step in path:
        places = [inner for holder, key in places for inner in _children(holder, key, step)][:RECORDS_MAX]
    found: list[Place] = []
    for holder, key in places:
        if _first(_at(holder, key)) == b"[":
            inside: list[object] = list(as_list(_at(holder, key)))
            holder[key] = inside
            found.extend((inside, n) for n in range(len(inside)) if _first(_at(inside, n)) == b"{")
        elif _first(_at(holder, key)) == b"{":
            found.append((holder, key))
    return found[:RECORDS_MAX]


def _children(holder: Any, key: int | str, step: str | int | None) -> list[Place]:
    held = holder[key]
    opened = _opened(held) if isinstance(held, msgspec.Raw) else held
    if opened is None:
        return []
    holder[key] = opened
    if isinstance(opened, list):
        if step is None:
            return [(opened, n) for n in range(len(opened))]
        return [(opened, step)] if isinstance(step, int) and step < len(opened) else []
    return [(opened, step)] if isinstance(step, str) and step in opened else []


def _opened(raw: msgspec.Raw) -> dict[str, Any] | list[Any] | None:
    first = _first(raw)
    if first == b"[":
        return list(as_list(raw))
    return dict(as_object(raw)) if first == b"{" else None


def _at(holder: Any, key: int | str) -> msgspec.Raw:
    raw = holder[key]
    assert isinstance(raw, msgspec.Raw)
    return raw


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _owns(media_type: str) -> bool:
    return "json" in media_type


JSON = Format("json", _owns, Document)
