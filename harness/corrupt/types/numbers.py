"""Damage to numbers: another unit, an offset, a sign, rounding, clipping, outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.corrupt.column import Column
from harness.corrupt.errors import CorruptionError
from harness.corrupt.hit import WHOLE_MOST, Hit
from harness.corrupt.types.base import NumberDamage


@dataclass(frozen=True, kw_only=True)
class Scale(NumberDamage):
    """Another unit: multiplied by `factor` (euros sent as cents: 100). A row is wrong in its unit as a whole."""

    name: ClassVar[str] = "scale"

    factor: float

    @property
    def keeps_whole(self) -> bool:
        return self.factor.is_integer()

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        return value * (int(self.factor) if self.factor.is_integer() and _whole(value) else self.factor)


@dataclass(frozen=True, kw_only=True)
class Offset(NumberDamage):
    """`by` is added: a sensor out of true, Kelvin for Celsius."""

    name: ClassVar[str] = "offset"

    by: float

    @property
    def keeps_whole(self) -> bool:
        return self.by.is_integer()

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        return value + (int(self.by) if self.by.is_integer() and _whole(value) else self.by)


@dataclass(frozen=True, kw_only=True)
class Sign(NumberDamage):
    """The other sign: credits booked as debits."""

    name: ClassVar[str] = "sign"

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        return -value


@dataclass(frozen=True, kw_only=True)
class Round(NumberDamage):
    """To `decimals` places; -2 is to hundreds."""

    name: ClassVar[str] = "round"

    decimals: int = 0

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "i":
            return _rounded(value, 10 ** max(0, -self.decimals))
        return round(value, self.decimals) if isinstance(value, int) else np.round(value, self.decimals)


@dataclass(frozen=True, kw_only=True)
class Clip(NumberDamage):
    """Nothing under `least` or over `most`: a field that is too narrow, a saturated sensor."""

    name: ClassVar[str] = "clip"

    least: float | None = None
    most: float | None = None

    @property
    def keeps_whole(self) -> bool:
        return all(bound is None or bound.is_integer() for bound in (self.least, self.most))

    def check(self) -> None:
        if self.least is None and self.most is None:
            raise CorruptionError("least: missing; clip needs least or most")

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        if isinstance(value, int):
            low = value if self.least is None else max(value, int(self.least))
            return low if self.most is None else min(low, int(self.most))
        clipped = np.clip(value, self.least, self.most)
        return clipped.astype(value.dtype) if isinstance(value, np.ndarray) else clipped


@dataclass(frozen=True, kw_only=True)
class Outlier(NumberDamage):
    """Far from all that is usual: the reference's median, `far` interquartile ranges up or down, as drawn."""

    name: ClassVar[str] = "outlier"
    per_value: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    far: float = 10.0

    @property
    def keeps_whole(self) -> bool:
        return False

    def change(self, value: Any, hit: Hit, draw: Any) -> Any:
        low, middle, high = (hit.reference.quantile(hit.name, share) for share in (0.25, 0.5, 0.75))
        away = self.far * ((high - low) or abs(middle) or 1.0)
        # Between half as far and half again, so that outliers don't all say the same.
        share = np.asarray(draw) * 2
        up = share >= 1
        share -= up
        share += 0.5
        share *= np.where(up, away, -away)
        share += middle
        return share


def _rounded(numbers: Column, unit: int) -> Column:
    """To whole units, halves to the even one. numpy's own goes by floats, which are wrong above 2 to the power of 53."""
    if unit == 1 or unit > WHOLE_MOST:
        return numbers if unit == 1 else np.zeros_like(numbers)
    units, rest = np.divmod(numbers, unit)
    return np.asarray((units + ((rest > unit // 2) | ((rest == unit // 2) & (units % 2 == 1)))) * unit)


def _whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype.kind in "iu")
