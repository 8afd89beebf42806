"""One fault of a link on a live target: injected, seen by its witness, taken back, seen to be gone."""

from __future__ import annotations

import time
from typing import Any

from harness.contract.faults import PlannedFault, Reading
from harness.contract.undo import Json, UndoOutcome
from harness.contract.words import Effect
from harness.plugin import Fault, Inventory, Target, draft, load
from tests.e2e.waiting import answered

WITHIN_S = 45.0
"""How long each effect may take to be seen and to go: what a run allows is for machines that can run drills."""
LINK = "front-store"
CASES: list[tuple[str, dict[str, Json]]] = [
    ("link.latency", {"latency": 0.3}),
    ("link.timeout", {}),
    ("link.reset", {}),
    ("link.cut", {}),
    ("link.bandwidth", {"rate": 4000}),
    ("link.bandwidth", {"rate": 20_000, "stream": "upstream"}),
    ("link.slice", {"size": 64, "pause": 0.02}),
    ("link.slow-close", {"delay": 0.5}),
    ("link.truncate", {"after": 64}),
    ("link.truncate", {"after": 500, "stream": "upstream"}),
]
"""What any Toxiproxy can."""
OURS: list[tuple[str, dict[str, Json]]] = [
    ("link.latency", {"latency": 0.2, "per": "request", "share": 0.5}),
    ("link.reset", {"per": "request", "share": 0.5}),
    ("link.stall", {"loss": 0.5, "segment": 200}),
    ("link.corrupt", {"rate": 0.02}),
    ("link.status", {"status": 503, "share": 0.5, "path": "/h*"}),
    ("link.delay-requests", {"delay": 0.2, "share": 0.5}),
    ("link.headers", {"header": "Server", "value": "somebody else"}),
    ("link.headers", {"header": "Server"}),
]
"""What takes mldrill's own proxy."""


def named(case: object) -> str:
    return case if isinstance(case, str) else "-".join(map(str, case.values())) if isinstance(case, dict) else str(case)


def planned(name: str, arguments: dict[str, Json], inventory: Inventory) -> tuple[Fault, PlannedFault]:
    fault = load("fault", name)
    return fault, fault.plan(draft(fault.declaration, arguments={"link": LINK, **arguments}, seed=5), inventory)


def bites_and_heals(target: Target, inventory: Inventory, name: str, arguments: dict[str, Json]) -> None:
    fault, plan = planned(name, arguments, inventory)
    prepared = answered(
        lambda: fault.prepare(plan, target)
    )  # it measures the link, which a busy machine may not answer
    memory: dict[str, Any] = {}

    def until(effect: Effect, when: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        readings: list[Reading] = []
        while time.monotonic() < deadline:
            readings.append(fault.witness(plan, prepared, target, memory))
            if readings[-1].effect is effect:
                return
            target.renew()
            time.sleep(plan.witness_every_s)
        raise AssertionError(f"{when} not {effect}: {readings[-3:]}")

    before = {undo.point: target.get(undo.point) for undo in prepared.undos}
    until(Effect.ABSENT, "before the injection")
    fault.inject(plan, prepared, target)
    until(Effect.PRESENT, "after the injection")
    assert [target.undo(undo) for undo in prepared.undos] == [UndoOutcome.RESTORED]
    until(Effect.ABSENT, "after the undo")
    assert {point: target.get(point) for point in before} == before
