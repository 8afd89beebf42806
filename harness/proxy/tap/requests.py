"""Faults of whole HTTP messages: an answer instead of passing on, a delay, other headers. Each hits a share of those
that match, by a draw from (seed, tap, connection ordinal, request ordinal), so that a run repeats.

Which were hit is in the mask, by those two ordinals or by a header of the request (`id: header:X-Request-Id`).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from harness import seeds
from harness.proxy.framing import Head
from harness.proxy.stage import Host
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.http import Asked, FramedStage, HttpTap, Place
from harness.proxy.tap.masklog import MaskLog

HEADER_ID = "header:"
NOTHING_KEPT = Bounds(body_bytes=0)


@dataclass(frozen=True, kw_only=True)
class Draw:
    """`id_key` is empty, or `header:` and a name."""

    seed: int
    share: float = 1.0
    id_key: str = ""


class RequestTap(HttpTap):
    """`fault` is the key that it is asked for by, and what stands as the column in the mask."""

    fault: ClassVar[str]

    def __init__(self, place: Place, draw: Draw, log: MaskLog) -> None:
        super().__init__(place)
        self._draw = draw
        self._log = log

    def id_of(self, request: Head) -> str | None:
        return request.headers.get(self._draw.id_key.removeprefix(HEADER_ID).lower())

    def hits(self, ordinal: int, asked: Asked | None, head: Head) -> bool:
        """Whether this message, whose head was filled in, is to be hit. Counts it as one that matched."""
        if asked is None or not self.match.meets(head.method, head.path):
            return False
        self.messages += 1
        return self.fraction(ordinal, asked) < self._draw.share

    def fraction(self, ordinal: int, asked: Asked, purpose: str = "share") -> float:
        return seeds.fraction(self._draw.seed, "tap", self.name, purpose, ordinal, asked.ordinal)

    def hit(self, ordinal: int, asked: Asked) -> None:
        """It is done: into the mask and the counts."""
        called = asked.id if asked.id is not None else [ordinal, asked.ordinal]
        self._log.write(called, (self.fault,), time.monotonic_ns())
        self.messages_damaged += 1

    def shown(self) -> dict[str, object]:
        return {
            **self.shown_place(),
            "share": self._draw.share,
            "id": self._draw.id_key,
            **self.shown_fault(),
            "counters": {
                **self.shown_counters(),
                "records": 0,
                "records_damaged": 0,
                "mask_next": self._log.written,
                "mask_dropped": self._log.dropped,
            },
        }

    @abstractmethod
    def shown_fault(self) -> dict[str, object]:
        """What the API shows of the fault."""


class HitStage(FramedStage):
    """Asks the tap at each head."""

    def __init__(self, tap: RequestTap, pipe: Host, *, bounds: Bounds = NOTHING_KEPT) -> None:
        super().__init__(tap, pipe, requests=tap.stream == "upstream", bounds=bounds)
        self.request_tap = tap
        self.asked: Asked | None = None

    def begins(self, head: Head) -> bool:
        self.asked = self.asked_by(head)
        return self.request_tap.hits(self.host.ordinal, self.asked, head) and self.strikes(head)

    @abstractmethod
    def strikes(self, head: Head) -> bool:
        """A message that is to be hit begins. Whether it is to be kept whole."""

    def done(self, asked: Asked | None) -> None:
        if asked is not None:
            self.request_tap.hit(self.host.ordinal, asked)
