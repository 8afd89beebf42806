"""At random given another column: only rows whose `column` meets a condition may be hit (a client, a country, a producer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.corrupt.column import Mask, missing
from harness.corrupt.mechanism.base import Place
from harness.corrupt.mechanism.condition import Condition


@dataclass(frozen=True, kw_only=True)
class Where(Condition):
    """The dose is the share of the rows that meet the condition. Where the column is missing, the row isn't hit."""

    name: ClassVar[str] = "where"

    column: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def eligible(self, place: Place) -> Mask:
        return self.meets(place.table.columns[self.column], name=self.column, reference=place.reference)

    def undecided(self, place: Place) -> int:
        return int(missing(place.table.columns[self.column]).sum())
