"""The stream stands still now and then, as when a packet is lost and has to be sent again.

The stream is seen as segments of `segment` bytes (1,448: what an Ethernet frame carries). Each is lost with a chance of
`loss` per mille; a lost one, and all behind it, leaves `stall` ms late (200: the least time after which Linux sends
again). A segment is a place in the stream, so that how it is cut into chunks changes nothing; for small messages that
are a packet each, take a `segment` as short as they are. Per request or record, the draw is one for each of them, and
`segment` means nothing.

Stalls don't overlap: a lost segment behind a lost one waits for it and then for itself. So no more than
`segment * 1,000,000 / (loss * stall)` bytes a second pass in the long run.
"""

from __future__ import annotations

from harness import seeds
from harness.proxy.stage import Host
from harness.proxy.toxic.parts.base import NO_UNIT
from harness.proxy.toxic.parts.declaration import EACH, MS, Attribute, Declaration, Settings
from harness.proxy.toxic.parts.wire import Piece, Wire

ETHERNET_SEGMENT = 1448
RETRANSMISSION_MS = 200
SEGMENT_MAX = 1 << 20
MILLE = 1000


class StallStage(Wire):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._place = 0
        self._unit_begun = NO_UNIT

    def piece(self, left: int, unit: int, idle_ns: int) -> Piece:
        del idle_ns
        wait_ns = max(0, self.toxic.attributes["stall"] * MS)
        if unit != NO_UNIT:
            lost = unit != self._unit_begun and self._lost(unit)
            return Piece(left, wait_ns if lost else 0, affected=lost)
        segment = self.toxic.attributes["segment"]
        ordinal, within = divmod(self._place, segment)
        lost = self._lost(ordinal)
        size = min(left, segment - within)
        while not lost and size < left and not self._lost((self._place + size) // segment):
            size = min(left, size + segment)
        return Piece(size, wait_ns if lost and within == 0 else 0, affected=lost)

    def _lost(self, ordinal: int) -> bool:
        draw = seeds.fraction(self.toxic.seed, "lost", self.pipe.ordinal, ordinal)
        return draw * MILLE < self.toxic.attributes["loss"]

    def gone(self, size: int, unit: int) -> None:
        self._place += size
        self._unit_begun = unit


TOXIC = Declaration(
    "stall",
    stage=StallStage,
    attributes={
        "stall": Attribute(default=RETRANSMISSION_MS),
        "loss": Attribute(default=10, most=MILLE),
        "segment": Attribute(default=ETHERNET_SEGMENT, least=1, most=SEGMENT_MAX),
    },
    per=EACH,
    ours=True,
)
