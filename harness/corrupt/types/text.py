"""Damage to text and categories: numbers as text, other codes, new categories, typos, mojibake, cut-off text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import NUMBERS, Column, is_number, missing, need_text, objects
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import Hit
from harness.corrupt.types.base import CellDamage, DType

OBJECTS = np.dtype(object)


@dataclass(frozen=True, kw_only=True)
class AsText(CellDamage):
    """Numbers arrive as text, with `decimal` for the point: 12.5 as "12,5"."""

    name: ClassVar[str] = "as-text"

    decimal: str = ","

    @property
    def mixes(self) -> bool:
        return True

    def dtype(self, column: Column, *, name: str) -> DType:
        if column.dtype.kind not in NUMBERS and column.dtype != object:
            raise CorruptionError(f"column '{name}': as-text needs numbers, not {column.dtype}")
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        values = hit.values.tolist()
        if hit.values.dtype.kind not in NUMBERS or not values:
            return objects([self._one(value) for value in values])
        # The text of a list is made at once; that of its numbers one by one takes half as long again.
        texts = str(values)[1:-1].split(", ")
        if self.decimal != "." and hit.values.dtype.kind == "f":
            texts = [text.replace(".", self.decimal) for text in texts]
        out = objects(texts)
        for gap in np.flatnonzero(missing(hit.values)).tolist():
            out[gap] = values[gap]
        return out

    def _one(self, value: object) -> object:
        return str(value).replace(".", self.decimal) if is_number(value) and value == value else value


@dataclass(frozen=True, kw_only=True)
class Remap(CellDamage):
    """Codes mean something else now: `codes` says which became which; others stay."""

    name: ClassVar[str] = "remap"

    codes: Mapping[str, str]

    def check(self) -> None:
        if not self.codes:
            raise CorruptionError("codes: empty; remap needs at least one code and what it became")

    def dtype(self, column: Column, *, name: str) -> DType:
        if column.dtype.kind in "iu":
            for code in (*self.codes, *self.codes.values()):
                if not code.lstrip("-").isdigit():
                    raise CorruptionError(
                        f"codes: '{code}' is no whole number, and column '{name}' holds {column.dtype}"
                    )
            return np.dtype(np.int64)
        if column.dtype.kind not in "UO":
            raise CorruptionError(f"column '{name}': remap needs codes (text or whole numbers), not {column.dtype}")
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        before = hit.values
        if before.dtype.kind in "iu":
            return np.array([int(self.codes.get(str(value), value)) for value in before.tolist()], dtype=np.int64)
        return objects([self._one(value) for value in before.tolist()])

    def _one(self, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            became = self.codes.get(str(value), str(value))
            return int(became) if became.lstrip("-").isdigit() else became
        return self.codes.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class NewCategory(CellDamage):
    """A category that nobody has seen: `value`, and with `kinds` over 1 as many of them, numbered."""

    name: ClassVar[str] = "new-category"

    value: str = "unseen"
    kinds: int = 1

    def check(self) -> None:
        if self.kinds < 1:
            raise CorruptionError(f"kinds: {self.kinds} is not legal; legal is a whole number from 1")

    def dtype(self, column: Column, *, name: str) -> DType:
        need_text(column, name=name, kind=self.name)
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        if self.kinds == 1:
            return objects([self.value] * len(hit.rows))
        drawn = (hit.fractions("kind") * self.kinds).astype(int).tolist()
        return objects([f"{self.value}-{kind}" for kind in drawn])


@dataclass(frozen=True, kw_only=True)
class Typo(CellDamage):
    """One slip of the finger: a letter left out, doubled, or changed with its neighbour. Text of one letter is doubled."""

    name: ClassVar[str] = "typo"

    def dtype(self, column: Column, *, name: str) -> DType:
        need_text(column, name=name, kind=self.name)
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        places, slips = hit.fractions("place").tolist(), hit.fractions("slip").tolist()
        return objects([_slip(v, p, s) for v, p, s in zip(hit.values.tolist(), places, slips, strict=True)])


def _slip(value: object, place: float, slip: float) -> object:
    if not isinstance(value, str) or not value:
        return value
    at = int(place * len(value))
    if len(value) > 1:
        left = min(at, len(value) - 2)
        if slip < 1 / 3 and value[left] != value[left + 1]:
            return value[:left] + value[left + 1] + value[left] + value[left + 2 :]
        if slip < 2 / 3:
            return value[:at] + value[at + 1 :]
    return value[: at + 1] + value[at:]


@dataclass(frozen=True, kw_only=True)
class Mojibake(CellDamage):
    """UTF-8 read as Latin-1: "Müller" as "MÃ¼ller". Plain ASCII stays as it is, as it does in life."""

    name: ClassVar[str] = "mojibake"

    def dtype(self, column: Column, *, name: str) -> DType:
        need_text(column, name=name, kind=self.name)
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        return objects([v.encode().decode("latin-1") if isinstance(v, str) else v for v in hit.values.tolist()])


@dataclass(frozen=True, kw_only=True)
class Truncated(CellDamage):
    """Cut off behind `length` characters: a field that is too narrow."""

    name: ClassVar[str] = "truncated"

    length: int

    def check(self) -> None:
        if self.length < 0:
            raise CorruptionError(f"length: {self.length} is not legal; legal is a whole number from 0")

    def dtype(self, column: Column, *, name: str) -> DType:
        need_text(column, name=name, kind=self.name)
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        return objects([v[: self.length] if isinstance(v, str) else v for v in hit.values.tolist()])


@dataclass(frozen=True, kw_only=True)
class Poison(CellDamage):
    """A value that makes a consumer stumble: by default text that no parser of numbers, dates or names expects."""

    name: ClassVar[str] = "poison"
    per_value: ClassVar[bool] = False

    value: str = '\x00\uffff}{"'

    @property
    def mixes(self) -> bool:
        return True

    def dtype(self, column: Column, *, name: str) -> DType:
        return OBJECTS

    def values(self, hit: Hit) -> Column:
        return objects([self.value] * len(hit.rows))
