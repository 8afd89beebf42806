"""Judging an effect that hits only a share of what is looked at.

One hit shows it. Its absence takes as many looks without a hit as a share of that size would let pass once in a thousand
times: with n independent looks, (1 - share)^n <= 0.001. Fewer looks tell nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.contract.words import Effect

MISSED = 0.001
LOOKS_MAX = 5000


def needed(share: float, *, least: int) -> int:
    """How many looks without a hit show that it is absent."""
    if share >= 1.0:
        return least
    return max(least, min(LOOKS_MAX, math.ceil(math.log(MISSED) / math.log1p(-share))))


def judged(looks: Sequence[bool], *, share: float, least: int, memory: dict[str, Any]) -> Effect:
    """The effect, by the last looks: those given and those remembered."""
    enough = needed(share, least=least)
    recent: list[bool] = [*memory.get("looks", ()), *looks][-enough:]
    memory["looks"] = recent
    if any(recent):
        return Effect.PRESENT
    return Effect.ABSENT if len(recent) >= enough else Effect.UNKNOWN
