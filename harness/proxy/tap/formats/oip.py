"""The Open Inference Protocol, version 2, as JSON: tensors are columns, the n-th row of each makes record n.

A tensor of shape [n] or [n, 1] is one column of its name; one of shape [n, k, ...] gives `name[0]`, `name[1]`, ... in
row-major order. n is the largest first dimension of the message; tensors with another have no rows and stay as they
are. A record's id is its value in the tensor that the tap names, else `<id of the message>#<row>`.

A damaged value keeps its tensor's datatype. Integers are rounded to the nearest; what the type can't hold (a null
anywhere; NaN and infinity, which JSON has not; a number out of range) isn't written, so that value passes unharmed.
All that wasn't hit keeps its text, flat data stay flat and nested data nested. Binary tensors have no data here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats.form import Format, Unread, Wanted
from harness.proxy.tap.formats.json import WRONG, as_list, as_object, as_value, encode

ROWS_MAX = 100_000
NEEDED = {"name", "shape", "datatype", "data"}

as_text = msgspec.json.Decoder(str).decode
as_shape = msgspec.json.Decoder(list[int]).decode

_ELEMENT = re.compile(r"(.+)\[(\d{1,6})\]")
_INTEGER = re.compile(r"(U?)INT(8|16|32|64)")
_FLOAT_MAX = {"FP16": 65504.0, "BF16": 3.3895e38, "FP32": 3.4028234e38, "FP64": float("inf")}


@dataclass
class Tensor:
    """`data` is the list that is written back; `flat` says for each element in which list it stands, and where."""

    cells: dict[str, Any]
    datatype: str
    rows: int
    width: int
    data: list[Any]
    flat: list[tuple[list[Any], int]]

    def value(self, row: int, element: int) -> object:
        holder, at = self.flat[row * self.width + element]
        return as_value(holder[at])

    def put(self, row: int, element: int, value: object) -> None:
        holder, at = self.flat[row * self.width + element]
        holder[at] = msgspec.Raw(encode(value))
        self.cells["data"] = self.data


class Inference:
    unread = 0

    def __init__(self, body: bytes, wanted: Wanted) -> None:
        try:
            self._message: dict[str, Any] = dict(as_object(body))
            tensors = self._tensors({*wanted.columns, wanted.id_key, *map(_tensor_of, wanted.columns)})
            request_id = as_value(self._message["id"]) if "id" in self._message else None
        except WRONG:
            raise Unread("not-oip") from None
        count = max((tensor.rows for tensor in tensors.values()), default=0)
        self._columns = {name: found for name in wanted.columns if (found := _column(name, tensors, count)) is not None}
        ids = _column(wanted.id_key, tensors, count)
        try:
            self.rows: list[dict[str, object]] = [
                {name: tensor.value(n, at) for name, (tensor, at) in self._columns.items()} for n in range(count)
            ]
            self.ids: list[object] = [_id(ids, request_id, n) for n in range(count)]
        except WRONG:
            raise Unread("not-oip") from None

    def _tensors(self, names: set[str]) -> dict[str, Tensor]:
        """Those with such names. They are opened in place."""
        found: dict[str, Tensor] = {}
        if not {"inputs", "outputs"} & self._message.keys():
            raise Unread("not-oip")
        for side in ("inputs", "outputs"):
            if side not in self._message:
                continue
            opened: list[Any] = list(as_list(self._message[side]))
            self._message[side] = opened
            for n, raw in enumerate(opened):
                cells: dict[str, Any] = dict(as_object(raw))
                name = as_text(cells["name"]) if cells.keys() >= NEEDED else ""
                tensor = _open(cells) if name in names else None
                if tensor is not None:
                    found[name] = tensor
                    opened[n] = cells
        return found

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        written: list[Hit] = []
        for hit in hits:
            values: dict[str, object] = {}
            for name, value in hit.values.items():
                if name not in self._columns:  # a new name: a tensor keeps the one that it has
                    continue
                tensor, element = self._columns[name]
                fitting = _fitted(value, tensor.datatype)
                if fitting is not None and fitting != tensor.value(hit.row, element):
                    tensor.put(hit.row, element, fitting)
                    values[name] = fitting
            if values:
                written.append(replace(hit, values=values))
        return encode(self._message), written


def _open(cells: dict[str, Any]) -> Tensor | None:
    """None for a tensor without rows. Raises one of WRONG where the data don't have the shape."""
    shape = as_shape(cells["shape"])
    if not shape:
        return None
    if min(shape) < 0 or shape[0] > ROWS_MAX:
        raise ValueError(shape)
    data: list[Any] = list(as_list(cells["data"]))
    level: list[tuple[list[Any], int]] = [(data, n) for n in range(len(data))]
    if len(shape) > 1 and level and bytes(memoryview(data[0])[:1]) == b"[":
        for size in shape[1:]:
            for holder, at in level:
                holder[at] = list(as_list(holder[at]))
                if len(holder[at]) != size:
                    raise ValueError(size)
            level = [(holder[at], n) for holder, at in level for n in range(len(holder[at]))]
    if len(level) != math.prod(shape):
        raise ValueError(len(level))
    return Tensor(cells, as_text(cells["datatype"]), shape[0], math.prod(shape[1:]), data, level)


def _tensor_of(column: str) -> str:
    found = _ELEMENT.fullmatch(column)
    return found.group(1) if found else column


def _column(name: str, tensors: dict[str, Tensor], rows: int) -> tuple[Tensor, int] | None:
    """A tensor that is one column, or one element of each row of a wider one."""
    tensor = tensors.get(name)
    element = 0
    if tensor is None:
        found = _ELEMENT.fullmatch(name)
        tensor = tensors.get(found.group(1)) if found else None
        if tensor is None or found is None or tensor.width == 1:
            return None
        element = int(found.group(2))
    elif tensor.width != 1:
        return None
    return (tensor, element) if tensor.rows == rows and element < tensor.width else None


def _id(column: tuple[Tensor, int] | None, request_id: object, row: int) -> object:
    if column is not None:
        return column[0].value(row, column[1])
    return None if request_id is None else f"{request_id}#{row}"


def _fitted(value: object, datatype: str) -> object:
    """The value as the datatype holds it, None where it can't."""
    if datatype in ("BOOL", "BYTES"):
        return value if isinstance(value, bool if datatype == "BOOL" else str) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    integer = _INTEGER.fullmatch(datatype)
    if integer is None:
        return value if abs(value) <= _FLOAT_MAX.get(datatype, -1.0) else None
    bits = int(integer.group(2))
    low, high = (0, 2**bits - 1) if integer.group(1) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return round(value) if low <= round(value) <= high else None


def _owns(media_type: str) -> bool:
    """Only by name: the protocol's bodies are called application/json, as all others are."""
    del media_type
    return False


OIP = Format("oip", _owns, Inference)
