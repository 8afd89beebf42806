"""Completely at random: any record may be hit, whatever it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.corrupt.column import Column, Mask


@dataclass(frozen=True, kw_only=True)
class AtRandom:
    name: ClassVar[str] = "at-random"

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    def eligible(self, columns: Mapping[str, Column], *, count: int) -> Mask:
        del columns
        return np.ones(count, dtype=bool)
