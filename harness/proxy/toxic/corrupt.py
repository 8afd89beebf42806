"""Flips `bits` bits in `rate` of a million bytes. Lengths and order stay; what is told about a hit byte is its place.

Which bytes are hit is drawn as gaps from one to the next, so that it costs what is hit and not what passes, and how the
stream is cut into chunks changes nothing. The checksums of a real network would find most of this; TLS, bad memory and
bad disks are what it stands for.
"""

from __future__ import annotations

import math
import random

from harness import seeds
from harness.proxy.stage import Host, Item
from harness.proxy.toxic.parts.base import BaseStage
from harness.proxy.toxic.parts.declaration import EACH, Attribute, Declaration, Settings

MILLION = 1_000_000
RATE_MAX = 100_000
"""A tenth of all bytes: beyond it one chunk would keep all other connections waiting."""

MASKS = {bits: [mask for mask in range(256) if mask.bit_count() == bits] for bits in range(1, 9)}


class CorruptStage(BaseStage):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._draws = random.Random(seeds.derive(toxic.seed, "corrupt", pipe.ordinal))
        self._offset = 0
        self._next = self._gap()

    def _gap(self) -> int:
        share = self.toxic.attributes["rate"] / MILLION
        return int(math.log(1 - self._draws.random()) / math.log1p(-share))

    def feed(self, item: Item) -> None:
        self.sink(self._flipped(item, hit=True) if isinstance(item, bytes) else item)

    def past(self, data: bytes) -> None:
        self.sink(self._flipped(data, hit=False))

    def _flipped(self, data: bytes, *, hit: bool) -> bytes:
        """Draws are spent on bytes that aren't hit too, so that a place keeps its draw."""
        start, self._offset = self._offset, self._offset + len(data)
        if self._next >= self._offset:
            return data
        changed = bytearray(data)
        places = 0
        masks = MASKS[self.toxic.attributes["bits"]]
        while self._next < self._offset:
            changed[self._next - start] ^= masks[int(self._draws.random() * len(masks))]
            self._next += 1 + self._gap()
            places += 1
        if not hit:
            return data
        self.affect(places, unit=self.unit)
        return bytes(changed)

    def updated(self) -> None:
        self._next = self._offset + self._gap()


TOXIC = Declaration(
    "corrupt",
    stage=CorruptStage,
    attributes={
        "rate": Attribute(least=1, most=RATE_MAX),
        "bits": Attribute(default=1, least=1, most=8),
    },
    per=EACH,
    ours=True,
)
