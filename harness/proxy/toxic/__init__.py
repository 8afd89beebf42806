"""The toxics: one small file each, registered in `TYPES`.

To add one: write a file with an `ATTRIBUTES` table and a stage class, and list it here. A stage gets its toxic (for
the attributes as they are now, and `affect` to count what it really did) and the pipe that it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness import seeds
from harness.proxy.stage import Host, Stage
from harness.proxy.toxic import latency, reset_peer, timeout
from harness.proxy.toxic.attribute import Attribute


@dataclass(frozen=True)
class ToxicType:
    attributes: Mapping[str, Attribute]
    stage: Callable[[Toxic, Host], Stage]


TYPES: dict[str, ToxicType] = {
    "latency": ToxicType(latency.ATTRIBUTES, latency.LatencyStage),
    "timeout": ToxicType(timeout.ATTRIBUTES, timeout.TimeoutStage),
    "reset_peer": ToxicType(reset_peer.ATTRIBUTES, reset_peer.ResetPeerStage),
}


@dataclass(eq=False)
class Toxic:
    """One toxic on one direction of a link, with its counters of what was really affected."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]
    seed: int
    lease: str = ""
    connections: int = 0
    chunks: int = 0

    def applies(self, ordinal: int) -> bool:
        """Drawn once for (seed, link and toxic, connection): an update changes the bound, never the draw."""
        return self.toxicity >= 1 or seeds.fraction(self.seed, "toxicity", ordinal) < self.toxicity

    def stage(self, pipe: Host) -> Stage:
        return TYPES[self.type].stage(self, pipe)

    def affect(self, stage_affected: bool) -> None:
        """Counts a chunk; `stage_affected` says whether its connection was counted before."""
        self.chunks += 1
        if not stage_affected:
            self.connections += 1

    def shown(self, *, counters: bool) -> dict[str, object]:
        """In Toxiproxy's order of keys. What it doesn't have is only there when asked for, or set."""
        body: dict[str, object] = {
            "attributes": self.attributes,
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": int(self.toxicity) if self.toxicity.is_integer() else self.toxicity,
        }
        if self.lease:
            body["lease"] = self.lease
        if counters:
            body["affected"] = {"connections": self.connections, "chunks": self.chunks}
        return body
