"""Environment: a service's container runs anew with another value of one variable, as after a wrong deployment.

The witness reads what the process in the container was really started with. What the container's definition says is no proof:
a start script may set the variable itself.

Values are written to ledger and history, so that they can be put back by anybody; what may be a secret is refused.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from harness.contract.faults import Component, Cure, CureKind, Look, PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import points
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, Target, containers

REMADE_S = 30.0
"""How long it may take to end a container and have another one in its place."""
LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_NAME = re.compile(r"secret|token|passw|credential|api_?key|private", re.IGNORECASE)
SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]+@")


class Set:
    """One variable of one service."""

    declaration = FaultDeclaration(
        name="env.set",
        summary="a service's container is made anew with another value of an environment variable, or without it",
        needs=frozenset({Capability.ENV}),
        arguments=(
            ArgumentDeclaration("service", "service", required=True, help="whose container"),
            ArgumentDeclaration("variable", "string", required=True, help="its name; none that speaks of a secret"),
            ArgumentDeclaration("value", "string", help="a text; left out: the variable is taken away"),
        ),
        dose="",
        cure=Cure(kind=CureKind.STATE),
        cause=CauseClass.CONFIG,
        rows=("C4", "C6"),
    )

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Raises `UsageError` for what is no name of a variable, and for secrets."""
        service, variable, value = (fault.arguments[name] for name in ("service", "variable", "value"))
        if not LEGAL.fullmatch(variable):
            raise UsageError(
                f"variable: '{variable}' is no name of one; legal: letters, digits and _, such as LOG_LEVEL"
            )
        if SECRET_NAME.search(variable) or SECRET_VALUE.search(value or ""):
            raise UsageError(
                f"variable: {variable} may hold a secret, and what is injected and put back is written to the history;"
                " legal: variables without one"
            )
        return msgspec.structs.replace(
            fault,
            components=(Component("service", service),),
            look=Look(label=f"{service}: {variable} {'is taken away' if value is None else '= ' + value}", glyph="C"),
            witness_within_s=REMADE_S,
            witness_every_s=0.3,
            heal_within_s=REMADE_S,
        )

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared:
        """Raises `EnvironmentProblem` where the environment can't be read, has that value already, or holds a secret."""
        service, variable, value = (fault.arguments[name] for name in ("service", "variable", "value"))
        now = containers(target).environment(service, variable)
        if now == value:
            stands = "isn't set" if value is None else f"is '{value}'"
            raise EnvironmentProblem(f"service '{service}': {variable} {stands} before the injection")
        undos = points.undos(fault, target, [(Point(PointKind.ENV, f"{service}/{variable}"), value)])
        if any(SECRET_VALUE.search(held or "") for held in (now, undos[0].restore)):
            raise EnvironmentProblem(
                f"service '{service}': {variable} holds a password, which would be written to the history"
            )
        return Prepared(undos=undos)

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Has the container made anew."""
        return points.inject(prepared, target)

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading:
        """Present while the process has the value that was injected; what doesn't run can't be asked, which is unknown."""
        service, variable, value = (fault.arguments[name] for name in ("service", "variable", "value"))
        standing = containers(target).environment(service, variable)
        effect = Effect.PRESENT if standing == value else Effect.ABSENT
        ready = target.process(service).ready
        detail: dict[str, Json] = {"set": standing is not None, "as_injected": standing == value, "ready": ready}
        return Reading(effect, detail, healthy=bool(ready) if effect is Effect.ABSENT else False)

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]:
        """No records are damaged."""
        return [], after


SET = Set()
