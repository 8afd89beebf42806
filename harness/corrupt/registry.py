"""Which types and mechanisms there are, and what they must be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from harness.corrupt.column import Column, Mask
from harness.corrupt.damage.missing import Missing
from harness.corrupt.damage.scale import Scale
from harness.corrupt.mechanism.at_random import AtRandom
from harness.corrupt.mechanism.where import Where


class Damage(Protocol):
    """A type of damage: a frozen dataclass whose fields are its parameters."""

    name: ClassVar[str]
    per_value: ClassVar[bool]
    """Whether each value is drawn by itself, or a record as a whole."""

    def damaged(self, column: Column, *, name: str) -> Column: ...


class Mechanism(Protocol):
    """Who may be hit: a frozen dataclass whose fields are its parameters."""

    name: ClassVar[str]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at."""

    def eligible(self, columns: Mapping[str, Column], *, count: int) -> Mask: ...


DAMAGES: dict[str, type[Scale] | type[Missing]] = {kind.name: kind for kind in (Scale, Missing)}
MECHANISMS: dict[str, type[AtRandom] | type[Where]] = {kind.name: kind for kind in (AtRandom, Where)}
