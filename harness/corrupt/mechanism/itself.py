"""Not at random: a cell is hit for what it says itself (only large amounts go missing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.corrupt.column import Mask
from harness.corrupt.mechanism.base import Place
from harness.corrupt.mechanism.condition import Condition


@dataclass(frozen=True, kw_only=True)
class Itself(Condition):
    """The dose is the share of the cells that meet the condition."""

    name: ClassVar[str] = "itself"

    @property
    def of_cell(self) -> bool:
        return True

    def eligible(self, place: Place) -> Mask:
        return self.meets(place.table.columns[place.name], name=place.name, reference=place.reference)
