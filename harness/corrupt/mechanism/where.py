"""One producer: only records whose `column` equals a value may be hit (one client, one country, one device)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column, Mask


@dataclass(frozen=True, kw_only=True)
class Where:
    """`equals` is compared with its type: the text "7" is not the number 7."""

    name: ClassVar[str] = "where"

    column: str
    equals: str | int | float | bool

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def eligible(self, columns: Mapping[str, Column], *, count: int) -> Mask:
        del count
        values = columns[self.column].tolist()
        return np.array([self._meets(value) for value in values], dtype=bool)

    def _meets(self, value: object) -> bool:
        return value == self.equals and isinstance(value, bool) == isinstance(self.equals, bool)
