"""What all faults of links share: their arguments, what a link can have there, how a probe's readings become an effect.

The witness sends requests of its own through the link, from where the victim stands, and compares them with the same before
the injection. What the proxy counts is a receipt and nobody's proof.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.contract.faults import Component, Look, PlannedFault, Prepared, Reading
from harness.contract.probe import PLAIN, LinkProbe, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points, sampled
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, LinkWay, Target

BASELINE_PROBES = 5
WITNESS_EVERY_S = 0.1
BULK_EVERY_S = 0.5
"""Large answers are asked for less often: a witness must not be a load."""
PROBE_S_MAX = 2.0
HOUR_S = 3600.0
SEEN_S = 0.1
"""What a fault must add to a probe, so that it is told from the machine's own hiccups."""
LEAST_BYTES = 100
"""What any HTTP answer or request has, where nobody says that there is more."""
PADDING_BYTES = 4000
"""Sent along in a header where requests are hit: what servers take by default."""
OFTEN_S = 0.3
SHOWS_MIN = 0.25
"""Share of the probes that must be hit: 24 without a hit, some seconds, then show that it is absent."""
GATHERING_S_MAX = 12.0
CUT, TAP, PER_REQUEST = "", "tap", "per request"

FAULT_OF = {
    "latency": "link.latency",
    "timeout": "link.timeout",
    "reset_peer": "link.reset",
    CUT: "link.cut",
    "bandwidth": "link.bandwidth",
    "slicer": "link.slice",
    "slow_close": "link.slow-close",
    "limit_data": "link.truncate",
}
"""What a link can have by a toxic that isn't only ours."""

LINK = ArgumentDeclaration("link", "link", required=True, help="the link that is broken")
STREAM = ArgumentDeclaration(
    "stream", "string", default="downstream", choices=("upstream", "downstream"), help="requests or responses"
)
SHARE = ArgumentDeclaration("share", "share", default=1.0, help="share of the connections that is hit")
PER = ArgumentDeclaration(
    "per",
    "string",
    default="connection",
    choices=("connection", "request"),
    help="what the share is drawn for: a connection as a whole, or each HTTP request on it",
)


def planned(fault: PlannedFault, label: str, way: LinkWay | None) -> PlannedFault:
    """With what is the same for all faults of links."""
    return msgspec.structs.replace(
        fault,
        way=msgspec.UNSET if way is None else way.by,
        components=(Component("link", fault.arguments["link"]),),
        look=Look(label=label, glyph="N"),
        witness_within_s=3.0,
        witness_every_s=WITNESS_EVERY_S,
    )


def way(fault: PlannedFault, inventory: Inventory, *needs: str) -> LinkWay | None:
    """How the link is broken. Raises `UsageError` where it can't have one of these toxics (or
    a cut, a tap, a share of requests)."""
    link = fault.arguments["link"]
    found = inventory.ways.get(link)
    if found is None or found.toxics is None:
        return found
    lacking = [need for need in needs if need not in found.toxics]
    if lacking:
        legal = [name for toxic, name in FAULT_OF.items() if toxic in found.toxics]
        raise UsageError(
            f"link: '{link}' can't have {fault.fault}: that takes {' and '.join(one or 'a cut' for one in lacking)}, and the link"
            f" goes by {found.by}; legal there: {', '.join(legal) or 'no link fault'}. A fault proxy of mldrill's own on the link"
            " has all"
        )
    return found


def needs_of(fault: PlannedFault, toxic: str) -> tuple[str, ...]:
    """The toxic, and a share of requests where one is wanted."""
    return (toxic, PER_REQUEST) if fault.arguments.get("per") == "request" else (toxic,)


def toxic_at(fault: PlannedFault, type: str, attributes: Mapping[str, int]) -> tuple[Point, Json]:
    """The point, and the toxic that is set there."""
    arguments = fault.arguments
    value: dict[str, Json] = {
        "type": type,
        "stream": arguments.get("stream", "downstream"),
        "toxicity": arguments.get("share", 1.0),
        "attributes": dict(attributes),
    }
    if arguments.get("per", "connection") != "connection":
        value["per"] = arguments["per"]
    return Point(PointKind.TOXIC, f"{arguments['link']}/fault-{fault.index}"), value


def check_s(name: str, seconds: float, *, least_s: float) -> None:
    """Raises `UsageError` for a time out of range."""
    if not least_s <= seconds <= HOUR_S:
        raise UsageError(f"{name}: {seconds:g} s is out of range; legal: from {least_s * 1000:g}ms to 1h")


def probe_of(fault: PlannedFault, inventory: Inventory) -> LinkProbe:
    """What the link's witness asks."""
    return inventory.probes.get(fault.arguments["link"], LinkProbe("GET", "/health", "/health"))


def bytes_of(fault: PlannedFault, inventory: Inventory) -> int:
    """How many bytes of a probe go in the direction that is hit, at least."""
    if fault.arguments.get("stream") == "upstream":
        return PADDING_BYTES
    return max(LEAST_BYTES, probe_of(fault, inventory).bulk_bytes)


def declare(fault: PlannedFault, size: int) -> str:
    """What to write in target.yaml, so that a probe carries so much."""
    link = fault.arguments["link"]
    if fault.arguments.get("stream") == "upstream":
        return f"a request of the witness carries {PADDING_BYTES} bytes and no more"
    return (
        f"links.{link}.probe in target.yaml: {{bulk: /a/large/answer, bytes: {size}B}} would do, with a path whose answer has"
        " as much"
    )


def bulk_ask(fault: PlannedFault) -> ProbeAsk:
    """A probe with many bytes in the direction that is hit."""
    upstream = fault.arguments.get("stream") == "upstream"
    return ProbeAsk(padding=PADDING_BYTES) if upstream else ProbeAsk(bulk=True)


def baseline(fault: PlannedFault, target: Target, ask: ProbeAsk, *, plain: bool = False) -> list[ProbeReading]:
    """The link as it is; `plain`: whether it is answered and when is all that is wanted.

    Raises `EnvironmentProblem` where it isn't answered before anything was done, or nobody can tell how.
    """
    link = fault.arguments["link"]
    found = [target.probe(link, ask=ask) for _ in range(BASELINE_PROBES)]
    for one in found:
        if not one.answered:
            raise EnvironmentProblem(f"link '{link}' is not answered before the injection: {one.error or 'no answer'}")
        if not (one.ended or plain):
            raise EnvironmentProblem(
                f"link '{link}': its caller's container has no python3, and without it nobody tells how an answer came"
            )
    return found


Facts = Mapping[str, Json]
Looks = Callable[[PlannedFault, Facts, ProbeReading], bool | None]
"""(fault, facts of before, what a probe got) -> hit or not, None where it tells neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A fault of a link that shows in what probes get. `facts` come from probes of before; `plans` refuses and gives the label;
    `settles` gives the facts anew where what is normal may have changed since.

    `plain`: times of answers are enough, so that any caller can tell. `twice`: one hit may be the machine's own hiccup, so it
    takes two in a row (or, of a share, two among those remembered).
    """

    declaration: FaultDeclaration
    needs: Callable[[PlannedFault], tuple[str, ...]]
    plans: Callable[[PlannedFault, Inventory], str]
    wanted: Callable[[PlannedFault], tuple[Point, Json]]
    ask: Callable[[PlannedFault], ProbeAsk]
    looks: Looks
    facts: Callable[[PlannedFault, Sequence[ProbeReading]], dict[str, Json]] = lambda _, probes: {
        "baseline_s": statistics.median(one.seconds for one in probes)
    }
    settles: Callable[[Facts, ProbeReading, dict[str, Any]], Facts] = lambda facts, _, __: facts
    share: Callable[[PlannedFault, Facts], float] = lambda fault, _: float(fault.arguments.get("share", 1.0))
    plain: bool = False
    twice: bool = False
    every_s: float = WITNESS_EVERY_S

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for what the link can't have, and for doses that the witness couldn't see."""
        found = way(fault, inventory, *self.needs(fault))
        label = f"{fault.arguments['link']} {self.plans(fault, inventory)}"
        gathered = sampled.needed(self.share(fault, {}), least=1)
        looks_each = max(1, self.ask(fault).requests)
        every_s = self.every_s
        gathering_s = every_s * (times_to_look(gathered, looks_each) - 1)
        if gathering_s > GATHERING_S_MAX:
            raise UsageError(
                f"share: {self.share(fault, {}):g} is too small: the witness would take {gathering_s:.0f} s to show that it is"
                f" gone, and {GATHERING_S_MAX:g} s are what a cleanup has"
            )
        return msgspec.structs.replace(
            planned(fault, label, found),
            witness_every_s=every_s,
            witness_within_s=max(3.0, gathering_s + 2 * PROBE_S_MAX),
            witness_blind_s=gathering_s,
            witness_timeout_s=2 * PROBE_S_MAX,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Measures the link as it is. Raises `EnvironmentProblem` where it isn't answered, or can't show the fault."""
        facts = self.facts(fault, baseline(fault, target, self.ask(fault), plain=self.plain))
        return Prepared(undos=points.undos(fault, target, [self.wanted(fault)]), facts=facts)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets it."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """What requests get now, against those of before."""
        first = target.probe(fault.arguments["link"], ask=self.ask(fault))
        seen = (first, *first.rest)
        facts = self.settles(prepared.facts, first, memory)
        told = [self.looks(fault, facts, one) for one in seen] if first.ended or self.plain else [None]
        looks = [one for one in told if one is not None]
        detail: dict[str, Json] = {"requests": len(seen), "hit": sum(looks), **shown(first, facts)}
        healthy = all(one.answered for one in seen) and not any(looks)
        if not looks:
            return Reading(Effect.UNKNOWN, {**detail, "why": first.error or "it tells nothing"}, healthy=False)
        return Reading(self._effect(looks, self.share(fault, facts), memory), detail, healthy=healthy)

    def _effect(self, looks: list[bool], share: float, memory: dict[str, Any]) -> Effect:
        if not self.twice:
            return sampled.judged(looks, share=share, least=1, memory=memory)
        if share >= 1.0:
            now, before = any(looks), memory.get("hit", False)
            memory["hit"] = now
            return Effect.ABSENT if not now else Effect.PRESENT if before or sum(looks) > 1 else Effect.UNKNOWN
        effect = sampled.judged(looks, share=share, least=2, memory=memory)
        return Effect.UNKNOWN if effect is Effect.PRESENT and sum(memory["looks"]) < 2 else effect

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def times_to_look(looks: int, each: int) -> int:
    """How often one must look, with so many looks each time."""
    return -(-looks // each)


def shown(probe: ProbeReading, facts: Facts) -> dict[str, Json]:
    """A probe in a witness's detail."""
    beyond = {"beyond_s": round(probe.seconds - facts["baseline_s"], 6)} if "baseline_s" in facts else {}
    return {
        "answered": probe.answered,
        **beyond,
        "ended": probe.ended,
        "seconds": round(probe.seconds, 6),
        "received": probe.received,
        "reads": probe.reads,
        "gap_s": round(probe.gap_s, 6),
        "status": probe.status,
    }


def plain_ask(_: PlannedFault) -> ProbeAsk:
    """One small request."""
    return PLAIN
