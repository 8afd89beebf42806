"""A reference table: what is usual in each column, so that quantiles don't depend on how the input is cut into batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.corrupt.adapters import Tabular, columns_of
from harness.corrupt.column import NUMBERS, Column, is_number, missing
from harness.corrupt.errors import CorruptionError

VALUES_MAX = 100_000


@dataclass(frozen=True)
class Reference:
    """Sorted samples of the numbers of each column. Build one with `Reference.of(columns)`, of clean rows."""

    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Tabular) -> Reference:
        """Of a mapping of names to arrays, a structured array or an Arrow table. Columns without
        numbers are left out. Of more than 100,000 rows it keeps as many, evenly spaced in their order."""
        kept = {name: _numbers(column) for name, column in columns_of(table).items()}
        return cls({name: _thinned(np.sort(numbers)) for name, numbers in kept.items() if len(numbers)})

    _known: dict[tuple[str, float], float] = field(default_factory=dict, compare=False, repr=False)

    def quantile(self, name: str, share: float) -> float:
        if (name, share) not in self._known:  # asked again for every batch; it looks through all numbers
            self._known[name, share] = float(np.quantile(self._of(name), share))
        return self._known[name, share]

    def rank(self, name: str, column: Column) -> NDArray[np.float64]:
        """The share of the reference that is smaller, ties counted half; missing values and what is no number: NaN."""
        usual, values = self._of(name), floats(column)
        lower = np.searchsorted(usual, values, side="left")
        upper = np.searchsorted(usual, values, side="right")
        return np.where(np.isnan(values), np.nan, (lower + upper) / (2 * len(usual)))

    def share(self, name: str, least: float, most: float) -> float:
        """The share of the reference from `least` to `most`."""
        usual = self._of(name)
        return float(np.mean((usual >= least) & (usual <= most)))

    def _of(self, name: str) -> NDArray[np.float64]:
        if name not in self.numbers:
            raise CorruptionError(
                f"column '{name}': a reference is needed for its quantiles",
                hint="give `reference`: a table of clean rows with numbers in this column",
            )
        return self.numbers[name]


def floats(column: Column) -> NDArray[np.float64]:
    """Numbers as floats; missing values and what is no number: NaN."""
    if column.dtype.kind in NUMBERS:
        return column.astype(np.float64)
    if column.dtype.kind in "mM":
        out = column.astype("int64").astype(np.float64)
        out[np.isnat(column)] = np.nan
        return out
    if column.dtype == object:
        return np.array([float(v) if is_number(v) else np.nan for v in column.tolist()], dtype=np.float64)
    return np.full(len(column), np.nan)


def _numbers(column: Column) -> NDArray[np.float64]:
    found = floats(column)
    return found[~(np.isnan(found) | missing(column))]


def _thinned(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(ordered) <= VALUES_MAX:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, VALUES_MAX).round().astype(np.intp)]
