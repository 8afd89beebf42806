"""What a tap may cost: records at once, bytes held, time added. Beyond a bound messages pass unharmed and are counted.

`within_ms` bounds two things. A message, or a line, whose rest hasn't come after that long goes on as it is (`late`).
And the work on it is measured: that can't be cut off, nothing stops a parser half-way, so it is predicted. For each
size of message (in powers of two) the pace remembers what such messages took of late; while that is above the bound,
messages of that size, or larger ones if none of theirs was tried, pass as `over-time`. Each that passed so takes a
tenth off what is remembered, so that a busy moment doesn't silence a tap for good. What is guaranteed: nothing waits
longer than the bound for its own rest, and work takes longer than the bound only on messages from which it is learnt
that it does; `added_ms` has the real mean and maximum of the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BATCH = 10_000
BATCH_MAX = 100_000
BODY_BYTES = 1 << 20
BODY_BYTES_MAX = 16 << 20
WITHIN_MS = 1000
WITHIN_MS_MAX = 60_000

OVER_TIME = "over-time"

_NEW_WEIGHT = 0.5
_FADE = 0.9
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Bounds:
    batch: int = BATCH
    body_bytes: int = BODY_BYTES
    within_ms: int = WITHIN_MS


@dataclass
class Pace:
    """`fits` is asked before a message is worked on, `took` told afterwards."""

    within_ms: int
    messages: int = 0
    total_ns: int = 0
    max_ns: int = 0
    remembered: dict[int, float] = field(default_factory=dict)

    def fits(self, size: int) -> bool:
        kind = size.bit_length()
        # Of sizes never tried, the nearest smaller one tells the least that it would take.
        known = max((tried for tried in self.remembered if tried <= kind), default=None)
        if known is None or self.remembered[known] <= self.within_ms * _NS_PER_MS:
            return True
        self.remembered[known] *= _FADE
        return False

    def took(self, size: int, ns: int) -> None:
        self.messages += 1
        self.total_ns += ns
        self.max_ns = max(self.max_ns, ns)
        kind = size.bit_length()
        before = self.remembered.get(kind, float(ns))
        self.remembered[kind] = before + _NEW_WEIGHT * (ns - before)

    def shown(self) -> dict[str, float]:
        mean_ns = self.total_ns / self.messages if self.messages else 0.0
        return {"max": round(self.max_ns / _NS_PER_MS, 3), "mean": round(mean_ns / _NS_PER_MS, 3)}
