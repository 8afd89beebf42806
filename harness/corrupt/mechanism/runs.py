"""Neighbours are hit together: bursts, and one batch in n. What is a neighbour is told by the row's place in the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt import draw
from harness.corrupt.column import Mask
from harness.corrupt.errors import CorruptionError
from harness.corrupt.mechanism.base import Mechanism, Place


@dataclass(frozen=True, kw_only=True)
class Burst(Mechanism):
    """Stretches of `length` rows are hit as a whole, each with the chance of the dose."""

    name: ClassVar[str] = "burst"

    length: int

    def check(self) -> None:
        _at_least(2, "length", self.length)

    def keys(self, place: Place) -> draw.Ids:
        return place.places // self.length


@dataclass(frozen=True, kw_only=True)
class Batch(Mechanism):
    """Of batches of `size` rows, one in `every` may be hit; which, `offset` tells (0: the first)."""

    name: ClassVar[str] = "batch"

    size: int
    every: int
    offset: int = 0

    def check(self) -> None:
        _at_least(1, "size", self.size)
        _at_least(1, "every", self.every)
        if not 0 <= self.offset < self.every:
            raise CorruptionError(f"mechanism.offset: {self.offset} is not legal; legal is 0 to {self.every - 1}")

    def eligible(self, place: Place) -> Mask:
        return np.asarray((place.places // self.size) % self.every == self.offset)


def _at_least(least: int, key: str, value: int) -> None:
    if value < least:
        raise CorruptionError(f"mechanism.{key}: {value} is not legal; legal is a whole number from {least}")
