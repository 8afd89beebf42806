"""The settable points of an embedded instance: how each kind is read, set and taken back.

Process, CPU and memory are the supervisor's; toxics, links and taps the fault proxy's; aliases and configuration
the pipeline's own, by its declared calls. What supervisor and proxy hold is under lease. Always true: taking back
compares first, in one step where the holder can (the supervisor), and touches nothing that isn't the injected value
any more.
"""

from __future__ import annotations

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.errors import UsageError
from harness.proxy.client import ProxyClient
from harness.spec.target import TargetSpec
from harness.target import declared, links, restoring
from harness.target.embedded import startup
from harness.target.embedded.control import Client
from harness.target.embedded.launch import LEASE_S, Get, Inject, Restore

SUPERVISED = (PointKind.PROCESS, PointKind.CPU, PointKind.MEMORY)


class Points:
    """All points of one instance. `own`: those that are the pipeline's."""

    def __init__(
        self,
        spec: TargetSpec,
        *,
        instance: str,
        control: Client,
        proxy: ProxyClient,
        own: declared.DeclaredPoints,
    ) -> None:
        self._spec, self._control = spec, control
        names, lease = startup.proxy_names(spec, instance), startup.lease_of(instance)
        self._links = links.LinkPoints(spec, proxy=lambda: proxy, lease=lease, lease_s=LEASE_S, names=names)
        self.declared = own

    def get(self, point: Point) -> Json:
        """Raises `UsageError` for a place that isn't there, `EnvironmentProblem` when it can't be read."""
        if point.kind in SUPERVISED:
            return self._control.ask(Get(kind=point.kind, service=self._service(point.where)))
        return self._holder(point).get(point)

    def set(self, point: Point, value: Json) -> None:
        """Idempotent."""
        if point.kind in SUPERVISED:
            self._control.ask(Inject(kind=point.kind, service=self._service(point.where), value=value))
        else:
            self._holder(point).set(point, value)

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands. A place that can't be read is tried again until the deadline."""
        if undo.point.kind in SUPERVISED:
            answer = self._control.ask(
                Restore(
                    kind=undo.point.kind,
                    service=self._service(undo.point.where),
                    injected=undo.injected,
                    restore=undo.restore,
                )
            )
            return UndoOutcome(answer)
        return restoring.restore(undo, get=self.get, set=self.set)

    def renew(self) -> None:
        """Renews the proxy's lease, or looks whether its proxies are still there."""
        self._links.renew()

    def _holder(self, point: Point) -> links.LinkPoints | declared.DeclaredPoints:
        if point.kind in links.KINDS:
            return self._links
        if point.kind in declared.KINDS:
            return self.declared
        raise UsageError(f"the embedded driver has no point of kind '{point.kind}'")

    def _service(self, where: str) -> str:
        if where not in self._spec.services:
            raise UsageError(f"unknown service '{where}'. Known: {', '.join(self._spec.services)}")
        return where
