"""Alerting: what breaks the monitoring itself, so that another fault goes unseen. By durable settings, as a configuration
push would; no restart takes them back.

`alert.misroute` sends pages to an address where nobody takes them. That none arrives can be read at the pager only, and who
is paged is no part of the target; so the witness reads how many attempts in a row were not taken, as their sender tells it,
which doesn't see an address where somebody else takes them.

`metric.rename` tells a gauge under another name: rules that ask for the old one are never true again. Its witness asks for
both names, and believes in a missing gauge only where the other one answers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target

SEEN_BLIND_S = 2.5
"""A page's attempt (a heartbeat comes each second), the counting of it, and the gauge that tells it."""


class Misroute:
    """Pages go to another address."""

    declaration = FaultDeclaration(
        name="alert.misroute",
        summary="pages are sent to an address where nobody takes them; rules fire as ever",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose setting says where pages go"),
            ArgumentDeclaration("key", "string", default="pager_address", help="that setting"),
            ArgumentDeclaration(
                "address", "string", default="http://127.0.0.1:9/webhook", help="where they go instead"
            ),
            ArgumentDeclaration(
                "gauge",
                "string",
                default="monitor_notices_failed",
                help="what `metrics` tells of attempts in a row that nobody took",
            ),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("V7",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for an empty address, which is no other one, and where no gauge can be asked for."""
        if not fault.arguments["address"].strip():
            raise UsageError("address: an empty one leads pages nowhere else; legal: where they are to go")
        _needs_metrics(inventory)
        service = fault.arguments["service"]
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"pages of {service} go nowhere", glyph="A"),
            witness_within_s=6.0,
            witness_every_s=0.3,
            witness_blind_s=SEEN_BLIND_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is. Raises `EnvironmentProblem` where attempts aren't told.

        That some have failed so far says nothing: before the run nobody may have listened.
        """
        _gauge(target, fault.arguments["gauge"])
        point = Point(PointKind.CONFIG, f"{fault.arguments['service']}/{fault.arguments['key']}")
        return Prepared(undos=points.undos(fault, target, [(point, fault.arguments["address"])]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while the newest attempts were not taken."""
        failed = _gauge(target, fault.arguments["gauge"])
        effect = Effect.PRESENT if failed > 0 else Effect.ABSENT
        return Reading(effect, {"failed_in_a_row": failed}, healthy=effect is Effect.ABSENT)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


class Rename:
    """A gauge is told under another name."""

    declaration = FaultDeclaration(
        name="metric.rename",
        summary="a gauge is told under another name, as after a deploy; rules that ask for the old one are silent",
        needs=frozenset({Capability.CONFIG}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="the service that tells the gauge"),
            ArgumentDeclaration("metric", "string", required=True, help="the gauge, as `metrics` knows it"),
            ArgumentDeclaration("to", "string", required=True, help="its new name"),
            ArgumentDeclaration("key", "string", default="rename_metric", help="the setting; it becomes `metric=to`"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("V4",),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for a name that is no other one, and where no gauge can be asked for."""
        metric, to = fault.arguments["metric"].strip(), fault.arguments["to"].strip()
        if not metric or not to or metric == to:
            raise UsageError(f"metric, to: '{metric}' and '{to}' are not two names; legal: a gauge's name and another")
        _needs_metrics(inventory)
        return msgspec.structs.replace(
            fault,
            components=(Component("service", fault.arguments["service"]),),
            look=Look(label=f"{metric} is {to} now", glyph="R"),
            witness_within_s=3.0,
            witness_every_s=0.3,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """The setting as it is. Raises `EnvironmentProblem` where the gauge can't be read."""
        _gauge(target, fault.arguments["metric"])
        point = Point(PointKind.CONFIG, f"{fault.arguments['service']}/{fault.arguments['key']}")
        value = f"{fault.arguments['metric']}={fault.arguments['to']}"
        return Prepared(undos=points.undos(fault, target, [(point, value)]))

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Changes the setting."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Absent while the old name answers, present where only the new one does; else it can't be read."""
        metric, to = fault.arguments["metric"], fault.arguments["to"]
        try:
            return Reading(Effect.ABSENT, {metric: _gauge(target, metric)}, healthy=True)
        except EnvironmentProblem:
            return Reading(Effect.PRESENT, {to: _gauge(target, to)}, healthy=False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


def _needs_metrics(inventory: Inventory) -> None:
    if Observation.METRICS not in inventory.observations:
        raise UsageError("the target declares no observation `metrics`, by which the witness asks for gauges")


def _gauge(target: Target, name: str) -> float:
    """Its value (the greatest of several series). Raises `EnvironmentProblem` where there is none of this name."""
    told = target.observe(Observation.METRICS, {"name": name})
    value = told.get("value", told.get("max"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EnvironmentProblem(f"metrics: {name} has no value")
    return float(value)


MISROUTE = Misroute()
RENAME = Rename()
