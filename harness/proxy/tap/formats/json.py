"""JSON. A body is opened only along the record path, and of each record only the cells that the damage needs.

All else stays the text that it was (`msgspec.Raw`), also when the body is written anew: 1.10 isn't respelled 1.1, and
no digit of a long number is lost. What may change is white space between values on the way to a record that was hit,
and of two equal keys in one object the first goes. Decoding whole documents was rejected for both speed and respelling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from harness.proxy.tap.damaging import Gone, Hit, Moved
from harness.proxy.tap.formats.form import Format, Unread, Wanted, holds
from harness.proxy.tap.recordpath import RECORDS_MAX, RecordPath

Object = dict[str, msgspec.Raw]


class Place(NamedTuple):
    """An opened container and a key in it, whose values are opened containers or text as it came; and the element of a list
    that is dropped or doubled with what stands there: that of the last list on the way. None: it stands in no list."""

    holder: Any
    key: int | str
    element: tuple[list[Any], int] | None = None


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
        self._slots: list[tuple[Place, Object]] = []
        self.rows: list[dict[str, object]] = []
        self.ids: list[object] = []
        try:
            for place in _places(self._root, wanted.path):
                self._open(place, wanted)
        except WRONG:
            raise Unread("not-json") from None

    def _open(self, place: Place, wanted: Wanted) -> None:
        cells = as_object(_at(place.holder, place.key))
        self._slots.append((place, cells))
        self.rows.append({name: as_value(cells[name]) for name in wanted.columns if name in cells})
        self.ids.append(as_value(cells[wanted.id_key]) if wanted.id_key in cells else None)

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        """A record that stands in no list is neither dropped nor doubled: what is asked for it isn't written."""
        written: list[Hit] = []
        times: dict[int, tuple[list[Any], dict[int, int]]] = {}
        for hit in hits:
            place, cells = self._slots[hit.row]
            values = {name: value for name, value in hit.values.items() if _writable(value, name, cells)}
            if hit.times != 1 and place.element is not None:
                inside, n = place.element
                times.setdefault(id(inside), (inside, {}))[1][n] = hit.times
                written.append(hit)
            elif values:
                place.holder[place.key] = _with(cells, values)
                written.append(hit if len(values) == len(hit.values) else replace(hit, values=values))
        for inside, of_each in times.values():
            inside[:] = [value for n, value in enumerate(inside) for _ in range(of_each.get(n, 1))]
        return encode(self._root[0]), written


def _writable(value: object, name: str, cells: Object) -> bool:
    """A field that isn't there can't be taken out, nor have another name."""
    if isinstance(value, Gone | Moved):
        return (value.name if isinstance(value, Moved) else name) in cells
    return holds(value)


def _with(cells: Object, values: dict[str, object]) -> Object:
    """The record with these values; what moves is taken before it is gone, as the text that it was."""
    new = {
        n: cells[v.name] if isinstance(v, Moved) else msgspec.Raw(encode(v)) for n, v in values.items() if v != Gone()
    }
    gone = {name for name, value in values.items() if isinstance(value, Gone)}
    return {name: text for name, text in (cells | new).items() if name not in gone}


def _places(root: list[Any], path: RecordPath) -> list[Place]:
    """Where the records are: containers and the keys in them. On the way containers are opened in place.

    Raises one of WRONG; so it does for a body of which any part is no JSON.
    """
    places: list[Place] = [Place(root, 0)]
    as_raw = _at(root, 0)
    if _first(as_raw) not in (b"{", b"["):
        as_value(as_raw)
        return []
    for step in path:
        places = [inner for place in places for inner in _children(place, step)]
    found: list[Place] = []
    for place in places:
        first = _first(_at(place.holder, place.key))
        if first == b"[":
            inside: list[object] = list(as_list(_at(place.holder, place.key)))
            place.holder[place.key] = inside
            found.extend(Place(inside, n, (inside, n)) for n in range(len(inside)) if _first(_at(inside, n)) == b"{")
        elif first == b"{":
            found.append(place)
    if len(found) > RECORDS_MAX:
        raise Unread("too-many-records")
    return found


def _children(place: Place, step: str | int | None) -> list[Place]:
    held = place.holder[place.key]
    opened = _opened(held) if isinstance(held, msgspec.Raw) else held
    if opened is None:
        return []
    place.holder[place.key] = opened
    if isinstance(opened, list):
        if step is None:
            return [Place(opened, n, (opened, n)) for n in range(len(opened))]
        return [Place(opened, step, place.element)] if isinstance(step, int) and step < len(opened) else []
    return [Place(opened, step, place.element)] if isinstance(step, str) and step in opened else []


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
