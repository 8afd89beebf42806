"""Links: slow, silent, reset or cut, by the fault proxy that stands in them.

The witness sends a request of its own through the link, from where the victim stands, and compares it with the same
request before the injection. What the proxy counts is a receipt and nobody's proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.contract.faults import Cure, CureKind, PlannedFault, Prepared, Reading
from harness.contract.probe import ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass
from harness.errors import UsageError
from harness.fault import linked, points, sampled
from harness.fault.linked import LINK, PER, SHARE, STREAM, Probed
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, LinkWay, Target

WITNESS_EVERY_S = linked.WITNESS_EVERY_S
WAITED_S = 1.0
"""A probe that gave up after so long has met a delay; one refused sooner has met something else."""
ON_ONE = 4
"""Requests on one connection, where each is drawn for."""
BLOCKED_S_MAX = 1.0
"""A real Toxiproxy takes as long as its `timeout` to remove a reset, and an undo must not wait."""


def _ask(fault: PlannedFault) -> ProbeAsk:
    return ProbeAsk(requests=ON_ONE if fault.arguments.get("per") == "request" else 1)


# --- late ---------------------------------------------------------------------------------------------------------------


def _latency(fault: PlannedFault, _: Inventory) -> str:
    latency, jitter = fault.arguments["latency"], fault.arguments["jitter"]
    linked.check_s("latency", latency, least_s=0.005)
    if not 0 <= jitter <= latency / 2:
        raise UsageError(
            f"jitter: {jitter:g} s is more than half the latency, which could not be told from none;"
            f" legal: up to {latency / 2:g} s"
        )
    return f"+{latency * 1000:g} ms"


def _late(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    """By at least half the dose. One that gave up sooner has met something else."""
    beyond_s = probe.seconds - facts["baseline_s"]
    enough_s = fault.dose / 2 if probe.answered else min(fault.dose / 2, WAITED_S)
    return True if beyond_s >= enough_s else False if probe.answered else None


LATENCY = Probed(
    declaration=FaultDeclaration(
        name="link.latency",
        summary="every answer over a link is late",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("latency", "duration", required=True, help="how late, such as 300ms"),
            ArgumentDeclaration("jitter", "duration", default=0.0, help="give or take so much, up to half the latency"),
            STREAM,
            SHARE,
            PER,
        ),
        dose="latency",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N1", "N2"),
    ),
    needs=lambda fault: linked.needs_of(fault, "latency"),
    plans=_latency,
    wanted=lambda fault: linked.toxic_at(
        fault, "latency", {name: round(fault.arguments[name] * 1000) for name in ("latency", "jitter")}
    ),
    ask=_ask,
    looks=_late,
    plain=True,
    twice=True,
)


# --- no answer ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broken:
    """A link that gives no answer, in one of several ways. `wanted` gives the point and its value, `check` refuses."""

    declaration: FaultDeclaration
    wanted: Callable[[PlannedFault], tuple[Point, Json]]
    check: Callable[[Mapping[str, Json], LinkWay | None], None]
    verb: str
    toxic: str

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for times out of range, and for what the link can't have."""
        found = linked.way(fault, inventory, *linked.needs_of(fault, self.toxic))
        self.check(fault.arguments, found)
        drafted = linked.planned(fault, f"{fault.arguments['link']} {self.verb}", found)
        blind_s = WITNESS_EVERY_S * (sampled.needed(fault.dose, least=1) - 1)
        return msgspec.structs.replace(drafted, witness_blind_s=blind_s)

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """What stands there now, to be put back."""
        return Prepared(undos=points.undos(fault, target, [self.wanted(fault)]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Breaks the link."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present where a probe got no answer; absent where as many were answered as the share asks for."""
        probe = target.probe(fault.arguments["link"], ask=_ask(fault))
        lost = [not one.answered for one in (probe, *probe.rest)]
        effect = sampled.judged(lost, share=fault.dose, least=1, memory=memory)
        detail: dict[str, Json] = {"answered": probe.answered, "seconds": round(probe.seconds, 6), "error": probe.error}
        return Reading(effect, detail, healthy=not any(lost))

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _check_after(arguments: Mapping[str, Json], way: LinkWay | None) -> None:
    del way
    linked.check_s("after", arguments["after"], least_s=0.0)


def _check_reset(arguments: Mapping[str, Json], way: LinkWay | None) -> None:
    _check_after(arguments, way)
    theirs = way is not None and way.toxics is not None
    if theirs and arguments["after"] > BLOCKED_S_MAX:
        raise UsageError(
            f"after: {arguments['after']:g} s is too long for a Toxiproxy, which takes as long to remove the reset;"
            f" legal there: up to {BLOCKED_S_MAX:g}s"
        )


def _after(fault: PlannedFault, type: str) -> tuple[Point, Json]:
    return linked.toxic_at(fault, type, {"timeout": round(fault.arguments["after"] * 1000)})


TIMEOUT = Broken(
    declaration=FaultDeclaration(
        name="link.timeout",
        summary="nothing comes over a link any more, and connections end only after a while, or never",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            SHARE,
            ArgumentDeclaration(
                "after", "duration", default=0.0, help="connections are closed after so long; 0s: never"
            ),
            STREAM,
        ),
        dose="share",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "N4"),
    ),
    wanted=lambda fault: _after(fault, "timeout"),
    check=_check_after,
    verb="silent",
    toxic="timeout",
)
RESET = Broken(
    declaration=FaultDeclaration(
        name="link.reset",
        summary="connections over a link are reset",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            SHARE,
            ArgumentDeclaration("after", "duration", default=0.0, help="so long after the first bytes came"),
            STREAM,
            PER,
        ),
        dose="share",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N3",),
    ),
    wanted=lambda fault: _after(fault, "reset_peer"),
    check=_check_reset,
    verb="reset",
    toxic="reset_peer",
)
CUT = Broken(
    declaration=FaultDeclaration(
        name="link.cut",
        summary="a link is down: connections are refused, open ones are closed",
        needs=frozenset({Capability.LINK}),
        arguments=(LINK,),
        dose="",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "P4"),
    ),
    wanted=lambda fault: (Point(PointKind.LINK_UP, fault.arguments["link"]), False),
    check=lambda _, __: None,
    verb="cut",
    toxic=linked.CUT,
)
