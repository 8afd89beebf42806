"""What a toxic's attribute may be. All of Toxiproxy's attributes are whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Attribute:
    default: int = 0
    least: int = 0
    most: int = HOUR_MS


class Settings(Protocol):
    """What a stage sees of its toxic: the attributes as they are now, and where to count."""

    attributes: dict[str, int]
    seed: int

    def affect(self, stage_affected: bool) -> None: ...
