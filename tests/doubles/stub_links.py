"""What a probe gets through a link on which toxics and taps stand, reckoned instead of waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from harness.contract.probe import ProbeAsk, ProbeReading
from harness.contract.undo import Json

LIMIT_S = 2.0
SMALL_BYTES, BULK_BYTES, REQUEST_BYTES = 200, 4000, 150
Draw = Callable[..., float]


@dataclass
class Exchange:
    """One request and its answer, on its way through what stands on the link."""

    seconds: float
    sent: int
    received: int
    draw: Draw
    reads: int = 1
    gap_s: float = 0.0
    close_s: float = 0.001
    status: int = 200
    digest: str = "sound"
    headers: dict[str, str] = field(default_factory=lambda: {"server": "stub", "date": "now"})
    ended: str = "answered"

    def carried(self, toxic: Json) -> int:
        return self.sent if toxic.get("stream") == "upstream" else self.received

    def meet(self, toxic: Json) -> None:
        attributes = toxic["attributes"]
        match toxic["type"]:
            case "latency":
                self.seconds += attributes["latency"] / 1000
            case "timeout":
                self.seconds, self.ended, self.received = LIMIT_S, "hung", 0
            case "reset_peer":
                self.ended, self.received = "reset", 0
            case "bandwidth":
                self.seconds += self.carried(toxic) / (attributes["rate"] * 1000)
            case "slicer":
                slices = -(-self.carried(toxic) // attributes["average_size"])
                self.seconds += (slices - 1) * attributes["delay"] / 1e6
                self.reads = slices
            case "slow_close":
                self.close_s += attributes["delay"] / 1000
            case "limit_data":
                if self.carried(toxic) >= attributes["bytes"]:
                    self.ended, self.received = "closed early", min(self.received, attributes["bytes"])
            case "stall":
                segments = -(-self.carried(toxic) // attributes["segment"])
                lost = sum(self.draw("lost", n) * 1000 < attributes["loss"] for n in range(segments))
                self.seconds += lost * attributes["stall"] / 1000
            case "corrupt":
                if self.draw("corrupt") > (1 - attributes["rate"] / 1e6) ** self.received:
                    self.digest = str(self.draw("bits"))

    def tapped(self, tap: Json) -> None:
        if "status" in tap:
            self.status = tap["status"]
        if "delay_ms" in tap:
            self.seconds += tap["delay_ms"] / 1000
        if "headers" in tap:
            gone = {name.lower() for name in tap["headers"]["remove"]}
            self.headers = {name: value for name, value in self.headers.items() if name not in gone}
            self.headers |= {name.lower(): value for name, value in tap["headers"]["set"].items()}

    def read(self) -> ProbeReading:
        if self.seconds > LIMIT_S:
            self.seconds, self.ended = LIMIT_S, "hung"
        answered = self.ended == "answered"
        return ProbeReading(
            answered=answered,
            seconds=self.seconds,
            status=self.status if answered else None,
            error=""
            if answered
            else {"hung": "no answer in time", "reset": "connection reset"}.get(self.ended, self.ended),
            ended=self.ended,
            received=self.received,
            reads=self.reads,
            close_s=self.close_s if self.close_s < LIMIT_S else None,
            headers=self.headers,
            digest=self.digest if answered else "",
        )


def probe(ask: ProbeAsk, *, seconds: float, toxics: Sequence[Json], taps: Sequence[Json], draw: Draw) -> ProbeReading:
    """`draw` gives a number from 0 to 1 for names, the same for the same."""
    told: list[ProbeReading] = []
    for number in range(ask.requests):
        one = Exchange(
            seconds,
            sent=REQUEST_BYTES + ask.padding,
            received=BULK_BYTES if ask.bulk else SMALL_BYTES,
            draw=lambda *names, number=number: draw(number, *names),
        )
        for index, toxic in enumerate(toxics):
            unit = number if toxic.get("per") == "request" else 0
            if one.ended == "answered" and draw(unit, "toxicity", index) < toxic["toxicity"]:
                one.meet(toxic)
        for index, tap in enumerate(taps):
            if one.ended == "answered" and draw(number, "share", index) < tap.get("share", 1.0):
                one.tapped(tap)
        told.append(one.read())
        if not told[-1].answered:
            break
    return msgspec.structs.replace(told[0], rest=tuple(told[1:]))
