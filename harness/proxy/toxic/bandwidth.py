"""Lets `rate` KB (1,000 bytes) a second pass, exactly over time: pieces of 20 ms, each given when its last byte is due.

Toxiproxy's pieces are of 100 ms; shorter ones come closer to a slow line, and cost 50 wakings a second. What a division
leaves is carried to the next piece, so that no rate drifts. A rate of 0 is refused: it would hang for good.
"""

from __future__ import annotations

from harness.proxy.stage import Host
from harness.proxy.toxic.parts.declaration import EACH, MS, Attribute, Declaration, Settings
from harness.proxy.toxic.parts.wire import Piece, Wire

PIECE_MS = 20
RATE_MAX = 100_000_000


class BandwidthStage(Wire):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._carry = 0

    def _time(self, size: int) -> tuple[int, int]:
        return divmod(size * MS + self._carry, self.toxic.attributes["rate"])

    def piece(self, left: int, unit: int, idle_ns: int) -> Piece:
        del unit, idle_ns
        size = min(left, self.toxic.attributes["rate"] * PIECE_MS)
        return Piece(size, self._time(size)[0], affected=True)

    def gone(self, size: int, unit: int) -> None:
        del unit
        self._carry = self._time(size)[1]

    def updated(self) -> None:
        self._carry = 0  # it was a part of the old rate
        super().updated()


TOXIC = Declaration(
    "bandwidth",
    stage=BandwidthStage,
    attributes={"rate": Attribute(least=1, most=RATE_MAX, least_served=1)},
    per=EACH,
)
