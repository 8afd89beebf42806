"""The stub target of simulated drills: one point a fault, broken or fine, and a ledger in memory.

Everything happens in virtual seconds that the driver hands in; nothing here waits, draws or remembers more than the points.
"""

from __future__ import annotations

import msgspec

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Effect
from harness.run.ledger import Entry, Opened
from harness.spec.plan import Plan

BROKEN = "broken"
FINE = "fine"


class Behaviour(msgspec.Struct, frozen=True):
    """How the stub target behaves. `cures`: actions after which every fault's cause is gone. Times in virtual seconds.

    `bites` false: the injector is ineffective. `baseline_good` false: objectives never hold. `impact` false: the fault
    never shows to users. `undo_fails`: so many undos fail before one works. `blind`: why no witness ever sees anything.
    """

    cures: frozenset[Action] = frozenset()
    detect_s: float | None = 2.0
    effect_s: float = 0.3
    heal_s: float = 0.3
    bites: bool = True
    impact: bool = True
    baseline_good: bool = True
    undo_fails: int = 0
    reply_s: float = 0.05
    observations: dict[str, dict[str, Json]] = {}
    chronic_alert: bool = False
    blind: str = ""


class MemoryLedger:
    """A ledger in memory: what was appended before a crash is what the reaper finds."""

    def __init__(self) -> None:
        self.lines: list[Entry] = [
            Opened(run="sim", pid=0, driver="stub", instance="sim", run_dir="", wall_ns=0),
        ]

    def append(self, entry: Entry) -> None:
        """One more line."""
        self.lines.append(entry)

    def entries(self) -> list[Entry]:
        """All lines."""
        return list(self.lines)


class World:
    """The stub target: one point a fault, broken or fine, and when it became so."""

    def __init__(self, plan: Plan, behaviour: Behaviour) -> None:
        self.plan = plan
        self.behaviour = behaviour
        self.points = {planned.index: FINE for planned in plan.faults}
        self.changed_s = {planned.index: -1e9 for planned in plan.faults}
        self.undo_failures = behaviour.undo_fails

    def undo_of(self, index: int) -> Undo:
        """The undo of a fault's one point."""
        point = Point(kind=PointKind.CONFIG, where=f"stub/{index}")
        return Undo(driver="stub", instance="sim", point=point, injected=BROKEN, restore=FINE)

    def inject(self, index: int, now_s: float) -> None:
        """Breaks the point, where the injector works."""
        if self.behaviour.bites and self.points[index] != BROKEN:
            self.points[index] = BROKEN
            self.changed_s[index] = now_s

    def undo(self, undo: Undo, now_s: float) -> UndoOutcome:
        """Restores only where the injected value still stands."""
        if self.undo_failures > 0:
            self.undo_failures -= 1
            return UndoOutcome.FAILED
        index = int(undo.point.where.partition("/")[2])
        if self.points[index] == FINE:
            return UndoOutcome.ALREADY
        self.points[index] = FINE
        self.changed_s[index] = now_s
        return UndoOutcome.RESTORED

    def act(self, action: Action, now_s: float) -> None:
        """Cures every fault whose cause this action removes."""
        if action in self.behaviour.cures:
            for index in self.points:
                if self.points[index] == BROKEN:
                    self.points[index] = FINE
                    self.changed_s[index] = now_s

    def effect(self, index: int, now_s: float) -> Effect:
        """What a witness would see: the change, after the time that it takes to show."""
        age = now_s - self.changed_s[index]
        broken = self.points[index] == BROKEN
        if broken:
            return Effect.PRESENT if age >= self.behaviour.effect_s else Effect.ABSENT
        return Effect.ABSENT if age >= self.behaviour.heal_s else Effect.PRESENT

    def sample(self, now_s: float) -> dict[str, float | None]:
        """What users get: bad while any fault shows."""
        shows = self.behaviour.impact and any(self.effect(i, now_s) is Effect.PRESENT for i in self.points)
        good = self.behaviour.baseline_good and not shows
        values: dict[str, float | None] = {}
        for sli in self.plan.slis:
            bound = sli.min if sli.min is not None else sli.max
            assert bound is not None, "an SLI has one bound"
            beyond = 0.0 if sli.min is not None else bound * 4 + 1
            values[str(sli.kind)] = bound if good else beyond
        return values
