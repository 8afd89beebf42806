"""Whether a file has what its damage needs: a damage that found not one value it could change is a mistake, and is told.

CSV and JSON lines say what a value is row by row, so that only the end of the file can tell that no row had the column, or
that a column to be scaled holds no number at all. A few such rows among others are no mistake: they pass as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.corrupt import ABSENT, Corruption
from harness.corrupt.column import NUMBERS, Column, is_number
from harness.corrupt.errors import CorruptionError, unknown
from harness.corrupt.types.base import NumberDamage
from harness.corrupt.types.text import AsText, Mojibake, NewCategory, Truncated, Typo

_NEED = {
    NumberDamage: "numbers",
    AsText: "numbers",
    Mojibake: "text",
    NewCategory: "text",
    Truncated: "text",
    Typo: "text",
}
FIELDS_MAX = 1000


class Needs:
    """`look` at each batch as it came, `check` at the end."""

    def __init__(self, chain: Sequence[Corruption], needed: Sequence[str]) -> None:
        self._chain = chain
        self._nowhere = set(needed)
        self._without = {
            (n, name): need
            for n, step in enumerate(chain, start=1)
            for name in step.columns
            if name in needed and (need := _need(step)) is not None and not self._made_before(n, name)
        }
        self._example: dict[str, object] = {}
        self._fields: dict[str, None] = {}
        self._rows = 0

    def _made_before(self, n: int, name: str) -> bool:
        """What an earlier step makes of a column is not for the file to say."""
        return any(name in step.columns for step in self._chain[: n - 1])

    def look(self, batch: Mapping[str, Column]) -> None:
        self._rows += len(next(iter(batch.values())))
        self._nowhere -= {name for name in self._nowhere if any(value is not ABSENT for value in batch[name])}
        if self._nowhere and not self._fields:
            for column in batch.values():
                for row in column[:FIELDS_MAX].tolist() if column.dtype == object else ():
                    self._fields.update(dict.fromkeys(getattr(row, "fields", None) or ()))
        for key in [key for key, need in self._without.items() if self._has(batch[key[1]], key[1], need)]:
            del self._without[key]

    def _has(self, column: Column, name: str, need: str) -> bool:
        if column.dtype != object:
            return need == "numbers" and column.dtype.kind in NUMBERS
        for value in column.tolist():
            if is_number(value) if need == "numbers" else isinstance(value, str):
                return True
            if value is not None and value is not ABSENT:
                self._example.setdefault(name, value)
        return False

    def check(self) -> None:
        """Raises CorruptionError."""
        if not self._rows:
            return
        for name in self._nowhere:
            raise unknown("columns", name, known=self._fields)
        for (n, name), need in self._without.items():
            if name in self._example:  # a column without any value is what it is: nothing was hit
                found = repr(self._example[name])[:80]
                raise CorruptionError(
                    f"step {n}: column '{name}': {self._chain[n - 1].name} needs {need}, and none of {self._rows:,} rows "
                    f"has any there; the first value is {found}"
                )


def _need(step: Corruption) -> str | None:
    return next((need for kind, need in _NEED.items() if isinstance(step.damage, kind)), None)
