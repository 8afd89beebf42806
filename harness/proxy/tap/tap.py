"""What a link knows of a tap, whatever it taps."""

from __future__ import annotations

from typing import Protocol

from harness.proxy.stage import Owner


class Tap(Protocol):
    """One per name and link. `lease` is empty where it stands until it is removed."""

    name: str
    lease: str

    def owner(self, stream: str) -> Owner | None:
        """Who makes the stages on that direction of each connection; a tap may stand on both."""

    def shown(self) -> dict[str, object]:
        """As the API shows it: what it was asked for, and its counters."""
