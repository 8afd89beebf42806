"""Completely at random: any cell may be hit, whatever it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.corrupt.mechanism.base import Mechanism


@dataclass(frozen=True, kw_only=True)
class AtRandom(Mechanism):
    name: ClassVar[str] = "at-random"

    @property
    def everybody(self) -> bool:
        return True
