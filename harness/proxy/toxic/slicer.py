"""Cuts chunks into slices of `average_size` bytes, give or take up to `size_variation`, `delay` microseconds apart.

As in Toxiproxy a chunk no longer than average and variation together goes whole, and the first slice isn't delayed.
Sizes are drawn for the place in the stream where a slice begins. Without an average size Toxiproxy dies of an endless
recursion, and with a variation as large as the average it may cut outside the chunk; both are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness import seeds
from harness.proxy.stage import Host
from harness.proxy.toxic.parts.declaration import EACH, HOUR_MS, Attribute, Declaration, Settings
from harness.proxy.toxic.parts.wire import Piece, Wire

US = 1_000
SIZE_MAX = 1 << 20


class SlicerStage(Wire):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._offset = 0

    def piece(self, left: int, unit: int, idle_ns: int) -> Piece:
        del unit
        attributes = self.toxic.attributes
        size = self._size(attributes["average_size"], max(0, attributes["size_variation"]), left)
        wait_ns = max(0, attributes["delay"] * US - idle_ns)
        return Piece(size, wait_ns, affected=size < left or wait_ns > 0)

    def _size(self, average: int, variation: int, left: int) -> int:
        if left <= average + variation:
            return left
        draw = seeds.fraction(self.toxic.seed, "slice", self.pipe.ordinal, self._offset) if variation else 0.0
        return average - variation + int(draw * (2 * variation + 1))

    def gone(self, size: int, unit: int) -> None:
        del unit
        self._offset += size


def _check(attributes: Mapping[str, int]) -> str:
    average, variation = attributes["average_size"], attributes["size_variation"]
    return "" if variation < average else f"size_variation {variation} must be less than average_size {average}"


TOXIC = Declaration(
    "slicer",
    stage=SlicerStage,
    attributes={
        "average_size": Attribute(least=1, most=SIZE_MAX, least_served=1),
        "size_variation": Attribute(most=SIZE_MAX),
        "delay": Attribute(most=HOUR_MS * US),
    },
    per=EACH,
    check=_check,
)
