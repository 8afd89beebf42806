"""The settable points of a Docker instance: which file has each kind, and how it is taken back.

Always true: a place that isn't there is refused by name; what may not be touched is refused before anything is changed; a
container that somebody has removed needs no healing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.errors import UsageError
from harness.spec.target import TargetSpec
from harness.target import declared, links, restoring
from harness.target.docker import disk, life, limits, stress
from harness.target.docker.daemon import Daemon, Missing
from harness.target.docker.deaths import Deaths
from harness.target.docker.networks import Networks
from harness.target.docker.record import Limits, limits_of
from harness.target.docker.remake import Remake
from harness.target.docker.selection import Selection
from harness.target.docker.shaping import Shaping

PARTED = "parted"
STREAMS = ("upstream", "downstream")
"""Both: were only answers lost, requests would still arrive and be carried out."""
SILENCE: Mapping[str, Json] = {"type": "timeout", "toxicity": 1.0, "attributes": {"timeout": 0}}


class Points:
    """All points of one instance. `proxied` says whether a link leads through the proxy, `baseline` gives the limits that a
    service's container came with.
    """

    def __init__(
        self,
        spec: TargetSpec,
        *,
        daemon: Daemon,
        selection: Selection,
        deaths: Deaths,
        instance: str,
        baseline: Callable[[str], Limits],
        proxied: Callable[[str], bool],
        link_points: links.LinkPoints | Shaping,
        own: declared.DeclaredPoints,
    ) -> None:
        self._spec, self._daemon, self._selection, self._deaths = spec, daemon, selection, deaths
        self._baseline, self._proxied = baseline, proxied
        self.links, self.declared = link_points, own
        self.networks = Networks(daemon, selection, instance=instance)
        self.remake = Remake(daemon, selection, deaths)

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there, `EnvironmentProblem` when it can't be read."""
        where = point.where
        match point.kind:
            case PointKind.PROCESS:
                return life.state_of(self._daemon.inspect(self._selection.find(where).id))
            case PointKind.CPU:
                return limits.cpu_of(self._limits(where), self._baseline(where))
            case PointKind.MEMORY:
                return limits.memory_of(self._limits(where))
            case PointKind.NETWORK:
                return self.networks.joined(where)
            case PointKind.PARTITION:
                return self.networks.shared(where)
            case PointKind.DISK:
                return disk.filled(self._daemon, self._selection, where)
            case PointKind.IMAGE:
                return self.remake.image(where)
            case PointKind.ENV:
                return self.remake.variable(where)
            case PointKind.STRESS:
                return stress.standing(self._daemon, self._selection, where)
        return self._holder(point).get(point)

    def set(self, point: Point, value: Json) -> None:
        """Idempotent."""
        where = point.where
        match point.kind:
            case PointKind.PROCESS:
                container = self._selection.touch(where).id
                life.set_state(self._daemon, self._deaths, container, value, service=where)
            case PointKind.CPU:
                container = self._selection.touch(where).id
                self._daemon.update(container, limits.cpu_update(value, self._baseline(where)))
            case PointKind.MEMORY:
                container = self._selection.touch(where).id
                limits.set_memory(self._daemon, self._deaths, container, value, self._baseline(where))
            case PointKind.NETWORK:
                self.networks.join(where, value)
            case PointKind.PARTITION:
                self.networks.part(where, value)
                self._silence_links(where, parted=value is None)
            case PointKind.DISK:
                disk.fill(self._daemon, self._selection, where, value)
            case PointKind.IMAGE:
                self.remake.set_image(where, value)
            case PointKind.ENV:
                self.remake.set_variable(where, value)
            case PointKind.STRESS:
                stress.put(self._daemon, self._selection, where, value)
            case _:
                self._holder(point).set(point, value)

    def require(self, point: Point, value: Json) -> None:
        """Raises what setting it would be refused with, as far as that can be known before."""
        if value is not None and point.kind in links.KINDS and isinstance(self.links, Shaping):
            self.links.require(point, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands. A container that was removed takes its fault with it."""
        if undo.point.kind is PointKind.PROCESS and undo.injected == life.KILLED:
            undo = msgspec.structs.replace(undo, injected=life.DOWN)  # what a kill leaves behind, where nobody restarts
        try:
            return restoring.restore(undo, get=self.get, set=self.set, final=(Missing,))
        except Missing:
            return UndoOutcome.GONE

    def _silence_links(self, where: str, *, parted: bool) -> None:
        """The proxy still reaches both, so what leads through it between the two is silenced there."""
        pair = set(where.split("|"))
        for name, link in self._spec.links.items():
            if {link.from_, link.to} == pair and self._proxied(name):
                for stream in STREAMS:
                    silence = {**SILENCE, "stream": stream} if parted else None
                    self.links.set(Point(PointKind.TOXIC, f"{name}/{PARTED}-{stream}"), silence)

    def _limits(self, service: str) -> Limits:
        return limits_of(self._daemon.inspect(self._selection.find(service).id)["HostConfig"])

    def _holder(self, point: Point) -> links.LinkPoints | Shaping | declared.DeclaredPoints:
        if point.kind in links.KINDS:
            return self.links
        if point.kind in declared.KINDS:
            return self.declared
        raise UsageError(f"the docker driver has no point of kind '{point.kind}'")
