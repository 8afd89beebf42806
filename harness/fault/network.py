"""Networks: a service taken off its networks, or two services parted while each still reaches the rest.

The witness sends requests of its own over links of the declared graph, from where the caller stands. A fault proxy in between
doesn't hide the effect: what it can't reach, it doesn't answer. That a container is listed on no network proves nothing: it
might be reached by another way.

Always true: only links that were answered before the injection are looked at. A link whose end has died is no proof of a broken
network, so it is unknown then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.probe import ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target, containers

OUTSIDE = "outside"
GONE = "gone"
PROBE_S_MAX = 3.0
"""A probe that nobody answers takes so long at most, with whatever it takes to start it."""
HEAL_S = 10.0

Links = Sequence[tuple[str, tuple[str, str]]]
"""Names of links, each with its two ends."""


def _links(target: Target) -> Links:
    return [(name, (link.from_, link.to)) for name, link in target.spec.links.items()]


def _touching(service: str, links: Links) -> list[str]:
    """Links of a service, those first by which a neighbour calls it: they are seen from where the victim isn't."""
    called = [(name, ends) for name, ends in links if ends[1] == service]
    inner = [name for name, ends in called if ends[0] != OUTSIDE]
    return [*inner, *(name for name, _ in called if name not in inner), *(n for n, e in links if e[0] == service)]


def _between(one: str, other: str, links: Links) -> list[str]:
    return [name for name, ends in links if set(ends) == {one, other}]


def _answered(target: Target, links: Iterable[str]) -> str | None:
    """The first that is answered."""
    return next((name for name in links if target.probe(name).answered), None)


def _told(probes: dict[str, ProbeReading]) -> dict[str, Json]:
    return {name: "answered" if probe.answered else probe.error for name, probe in probes.items()}


def _dead(target: Target, services: Iterable[str]) -> list[str]:
    return [name for name in services if target.process(name).state == GONE]


class Disconnect:
    """A service is taken off one of its networks, or off all."""

    declaration = FaultDeclaration(
        name="network.disconnect",
        summary="a service is taken off its networks: it runs, and nobody reaches it",
        needs=frozenset({Capability.DISCONNECT}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="who is cut off"),
            ArgumentDeclaration("network", "string", help="one of its networks; left out: all of them"),
        ),
        dose="",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "P4"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a service that no link touches: nobody could see the effect."""
        service = fault.arguments["service"]
        if not _touching(service, list(inventory.links.items())):
            legal = sorted({end for ends in inventory.links.values() for end in ends} - {OUTSIDE})
            raise UsageError(
                f"service: no link leads to or from '{service}', so nobody could see that it is cut off;"
                f" legal: {', '.join(legal) or 'none'}"
            )
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service} off {fault.arguments['network'] or 'its networks'}", glyph="N"),
            witness_within_s=8.0,
            witness_every_s=0.3,
            witness_timeout_s=2 * PROBE_S_MAX,
            heal_within_s=HEAL_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Finds a link that is answered now. Raises `EnvironmentProblem` where there is none, or the service is on no network."""
        service, network = fault.arguments["service"], fault.arguments["network"]
        names = [network] if network is not None else sorted(containers(target).networks(service))
        wanted: list[tuple[Point, Json]] = [(Point(PointKind.NETWORK, f"{service}/{name}"), None) for name in names]
        undos = points.undos(fault, target, wanted)
        if not undos or any(undo.restore is None for undo in undos):
            raise EnvironmentProblem(f"service '{service}' is not on {network or 'any network'} before the injection")
        link = _answered(target, _touching(service, _links(target)))
        if link is None:
            raise EnvironmentProblem(f"no link to or from service '{service}' is answered before the injection")
        return Prepared(undos=undos, facts={"link": link})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Takes it off."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while the link is not answered though the service runs."""
        service, link = fault.arguments["service"], prepared.facts["link"]
        probe = target.probe(link)
        detail = _told({link: probe})
        if probe.answered:
            return Reading(Effect.ABSENT, detail, healthy=True)
        ends = [end for end in _ends(target, link) if end != OUTSIDE]
        if dead := _dead(target, ends):
            return Reading(Effect.UNKNOWN, {**detail, "why": f"{', '.join(dead)} is down"}, healthy=False)
        return Reading(Effect.PRESENT, {**detail, "victim": service}, healthy=False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _ends(target: Target, link: str) -> tuple[str, str]:
    found = target.spec.links[link]
    return found.from_, found.to


class Partition:
    """Two services don't reach each other, by whatever way, while each still reaches others."""

    declaration = FaultDeclaration(
        name="network.partition",
        summary="two services no longer reach each other; each still reaches the rest",
        needs=frozenset({Capability.PARTITION}),
        arguments=(
            ArgumentDeclaration("between", "services", required=True, help="the two, such as [gateway, features]"),
        ),
        dose="",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N2", "N4"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for other than two services, or two that no link joins: nobody could see the effect."""
        between = fault.arguments["between"]
        if len(between) != 2:
            raise UsageError(f"between: {len(between)} services; legal: two, such as [gateway, features]")
        links = _between(between[0], between[1], list(inventory.links.items()))
        if not links:
            joined = {" and ".join(sorted(ends)) for ends in inventory.links.values() if OUTSIDE not in ends}
            raise UsageError(
                f"between: no link joins '{between[0]}' and '{between[1]}', so nobody could see that they are parted;"
                f" legal: {'; '.join(sorted(joined)) or 'none'}"
            )
        # The links between the two each wait in vain; those beside them are answered at once, or their end is lost.
        slowest_s = PROBE_S_MAX * (len(links) + 2)
        return msgspec.structs.replace(
            fault,
            components=(*(Component("link", name) for name in links), *(Component("service", one) for one in between)),
            look=Look(label=f"{between[0]} parted from {between[1]}", glyph="N"),
            witness_within_s=slowest_s + 2.0,
            witness_every_s=0.3,
            witness_timeout_s=slowest_s,
            heal_within_s=HEAL_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Finds links that are answered now: between the two, and beside them. Raises `EnvironmentProblem` where none is, or
        where no network joins the two that could be taken away."""
        one, other = fault.arguments["between"]
        between = [name for name in _between(one, other, _links(target)) if target.probe(name).answered]
        if not between:
            raise EnvironmentProblem(f"no link between '{one}' and '{other}' is answered before the injection")
        undos = points.undos(fault, target, [(Point(PointKind.PARTITION, f"{one}|{other}"), None)])
        if undos[0].restore is None:
            raise EnvironmentProblem(f"no network joins '{one}' and '{other}': there is nothing to part them by")
        beside: dict[str, Json] = {}
        for service in (one, other):
            rest = [name for name in _touching(service, _links(target)) if name not in between]
            if (found := _answered(target, rest)) is not None:
                beside[service] = found
        if not beside:
            raise EnvironmentProblem(
                f"neither '{one}' nor '{other}' has another link that is answered: a partition couldn't be told from a"
                " disconnection",
                hint="network.disconnect takes one of them off its networks",
            )
        return Prepared(undos=undos, facts={"between": between, "beside": beside})

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Parts them."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while no link between the two is answered and those beside them are; one of them lost altogether, for
        whatever reason, is no partition, and then it is unknown."""
        between = {name: target.probe(name) for name in prepared.facts["between"]}
        beside = {name: target.probe(name) for name in prepared.facts["beside"].values()}
        detail = _told(between | beside)
        passing = [probe.answered for probe in between.values()]
        if any(passing):
            return Reading(Effect.ABSENT, detail, healthy=all(passing) and all(p.answered for p in beside.values()))
        if not all(probe.answered for probe in beside.values()):
            return Reading(Effect.UNKNOWN, {**detail, "why": "more than the two is cut off"}, healthy=False)
        try:
            dead = _dead(target, fault.arguments["between"])
        except HarnessError as error:
            return Reading(Effect.UNKNOWN, {**detail, "why": error.message}, healthy=False)
        if dead:
            return Reading(Effect.UNKNOWN, {**detail, "why": f"{', '.join(dead)} is down"}, healthy=False)
        return Reading(Effect.PRESENT, detail, healthy=False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


DISCONNECT = Disconnect()
PARTITION = Partition()
