"""Links: slow, silent, reset or cut, by the fault proxy that stands in them.

The witness sends a request of its own through the link, from where the victim stands, and compares it with the same
request before the injection. What the proxy counts is a receipt and nobody's proof.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points, sampled
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, LinkWay, Target

BASELINE_PROBES = 5
WITNESS_EVERY_S = 0.1
WAITED_S = 1.0
"""A probe that gave up after so long has met a delay; one refused sooner has met something else."""
HOUR_S = 3600.0

TOXIC_OF = {"link.latency": "latency", "link.timeout": "timeout", "link.reset": "reset_peer", "link.cut": ""}

_LINK = ArgumentDeclaration("link", "link", required=True, help="the link that is broken")
_STREAM = ArgumentDeclaration(
    "stream", "string", default="downstream", choices=("upstream", "downstream"), help="requests or responses"
)
_SHARE = ArgumentDeclaration("share", "share", default=1.0, help="share of the connections that is hit")


def _planned(fault: PlannedFault, label: str, way: LinkWay | None) -> PlannedFault:
    return msgspec.structs.replace(
        fault,
        way=msgspec.UNSET if way is None else way.by,
        components=(Component("link", fault.arguments["link"]),),
        look=Look(label=label, glyph="N"),
        witness_within_s=3.0,
        witness_every_s=WITNESS_EVERY_S,
    )


def _way(fault: PlannedFault, inventory: Inventory, toxic: str) -> LinkWay | None:
    """Raises `UsageError` where the link can't have it; a cut link has no toxic."""
    link = fault.arguments["link"]
    way = inventory.ways.get(link)
    if way is not None and way.toxics is not None and toxic not in way.toxics:
        possible = [name for name, own in TOXIC_OF.items() if own in way.toxics]
        raise UsageError(
            f"link: '{link}' can't have {fault.fault}: it goes by {way.by}; legal there: {', '.join(possible) or 'no link fault'}"
        )
    return way


def _toxic(fault: PlannedFault, type: str, *, toxicity: float, attributes: dict[str, int]) -> tuple[Point, Json]:
    point = Point(PointKind.TOXIC, f"{fault.arguments['link']}/fault-{fault.index}")
    stream = fault.arguments["stream"]
    return point, {"type": type, "stream": stream, "toxicity": toxicity, "attributes": attributes}


def _check_ms(name: str, seconds: float, *, least_s: float) -> None:
    if not least_s <= seconds <= HOUR_S:
        raise UsageError(f"{name}: {seconds:g} s is out of range; legal: from {least_s * 1000:g}ms to 1h")


class Latency:
    """Everything on the link takes longer.

    Slow is a round trip longer than before by at least half the dose. One slow look may be the machine's own hiccup, so the
    effect is present after two in a row; between the two it is unknown.
    """

    declaration = FaultDeclaration(
        name="link.latency",
        summary="every answer over a link is late",
        needs=frozenset({Capability.LINK}),
        arguments=(
            _LINK,
            ArgumentDeclaration("latency", "duration", required=True, help="how late, such as 300ms"),
            ArgumentDeclaration("jitter", "duration", default=0.0, help="give or take so much, up to half the latency"),
            _STREAM,
        ),
        dose="latency",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N1", "N2"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` where the jitter would hide the latency from the witness."""
        latency, jitter = fault.arguments["latency"], fault.arguments["jitter"]
        _check_ms("latency", latency, least_s=0.005)
        if not 0 <= jitter <= latency / 2:
            raise UsageError(
                f"jitter: {jitter:g} s is more than half the latency, which could not be told from none;"
                f" legal: up to {latency / 2:g} s"
            )
        way = _way(fault, inventory, TOXIC_OF[fault.fault])
        return _planned(fault, f"{fault.arguments['link']} +{latency * 1000:g} ms", way)

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Measures the link as it is. Raises `EnvironmentProblem` where it isn't answered before anything was done."""
        link = fault.arguments["link"]
        probes = [target.probe(link) for _ in range(BASELINE_PROBES)]
        lost = next((probe for probe in probes if not probe.answered), None)
        if lost is not None:
            raise EnvironmentProblem(f"link '{link}' is not answered before the injection: {lost.error or 'no answer'}")
        attributes = {name: round(fault.arguments[name] * 1000) for name in ("latency", "jitter")}
        wanted = [_toxic(fault, "latency", toxicity=1.0, attributes=attributes)]
        baseline_s = statistics.median(probe.seconds for probe in probes)
        return Prepared(undos=points.undos(fault, target, wanted), facts={"baseline_s": baseline_s})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Adds the toxic."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """One round trip against those of before."""
        probe = target.probe(fault.arguments["link"])
        beyond_s = probe.seconds - prepared.facts["baseline_s"]
        enough_s = fault.dose / 2 if probe.answered else min(fault.dose / 2, WAITED_S)
        slow = beyond_s >= enough_s
        detail: dict[str, Json] = {
            "seconds": round(probe.seconds, 6),
            "beyond_s": round(beyond_s, 6),
            "answered": probe.answered,
        }
        slow_before = memory.get("slow", False)
        memory["slow"] = slow
        if slow:
            return Reading(Effect.PRESENT if slow_before else Effect.UNKNOWN, detail, healthy=False)
        if not probe.answered:
            return Reading(Effect.UNKNOWN, {**detail, "why": probe.error}, healthy=False)
        return Reading(Effect.ABSENT, detail, healthy=True)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


@dataclass(frozen=True, slots=True)
class Broken:
    """A link that gives no answer, in one of several ways. `wanted` gives the point and its value, `check` refuses."""

    declaration: FaultDeclaration
    wanted: Callable[[PlannedFault], tuple[Point, Json]]
    check: Callable[[Mapping[str, Json]], None]
    verb: str

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for times out of range."""
        self.check(fault.arguments)
        way = _way(fault, inventory, TOXIC_OF[fault.fault])
        planned = _planned(fault, f"{fault.arguments['link']} {self.verb}", way)
        blind_s = WITNESS_EVERY_S * (sampled.needed(fault.dose, least=1) - 1)
        return msgspec.structs.replace(planned, witness_blind_s=blind_s)

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """What stands there now, to be put back."""
        return Prepared(undos=points.undos(fault, target, [self.wanted(fault)]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Breaks the link."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a probe got no answer; absent where as many were answered as the share asks for."""
        probe = target.probe(fault.arguments["link"])
        effect = sampled.judged([not probe.answered], share=fault.dose, least=1, memory=memory)
        detail: dict[str, Json] = {"answered": probe.answered, "seconds": round(probe.seconds, 6), "error": probe.error}
        return Reading(effect, detail, healthy=probe.answered)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _check_after(arguments: Mapping[str, Json]) -> None:
    _check_ms("after", arguments["after"], least_s=0.0)


def _after(fault: PlannedFault, type: str) -> tuple[Point, Json]:
    attributes = {"timeout": round(fault.arguments["after"] * 1000)}
    return _toxic(fault, type, toxicity=fault.arguments["share"], attributes=attributes)


TIMEOUT = Broken(
    declaration=FaultDeclaration(
        name="link.timeout",
        summary="nothing comes over a link any more, and connections end only after a while, or never",
        needs=frozenset({Capability.LINK}),
        arguments=(
            _LINK,
            _SHARE,
            ArgumentDeclaration(
                "after", "duration", default=0.0, help="connections are closed after so long; 0s: never"
            ),
            _STREAM,
        ),
        dose="share",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "N4"),
    ),
    wanted=lambda fault: _after(fault, "timeout"),
    check=_check_after,
    verb="silent",
)
RESET = Broken(
    declaration=FaultDeclaration(
        name="link.reset",
        summary="connections over a link are reset",
        needs=frozenset({Capability.LINK}),
        arguments=(
            _LINK,
            _SHARE,
            ArgumentDeclaration("after", "duration", default=0.0, help="so long after the first bytes came"),
            _STREAM,
        ),
        dose="share",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N3",),
    ),
    wanted=lambda fault: _after(fault, "reset_peer"),
    check=_check_after,
    verb="reset",
)
CUT = Broken(
    declaration=FaultDeclaration(
        name="link.cut",
        summary="a link is down: connections are refused, open ones are closed",
        needs=frozenset({Capability.LINK}),
        arguments=(_LINK,),
        dose="",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "P4"),
    ),
    wanted=lambda fault: (Point(PointKind.LINK_UP, fault.arguments["link"]), False),
    check=lambda _: None,
    verb="cut",
)
LATENCY = Latency()
