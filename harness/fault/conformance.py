"""What every fault must hold, as checks that its author runs: `CHECKS`, each a function of a `Case` that raises AssertionError.

A drill is worth no more than its faults: one whose witness believes the injector scores drills that never happened, one
whose undo is wrong leaves pipelines broken. So each check hurts the fault on purpose: an injector without effect, a victim
that can't be read, a repair in between. It needs no pytest and any target will do, an in-memory one or a real pipeline.

    CASE = Case(fault=MY_FAULT, arguments={"service": "gateway"}, target=fresh_target, wait=lambda target, s: time.sleep(s))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_fault(check):
        check(CASE)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from harness.contract.faults import PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, Undo, UndoOutcome
from harness.contract.words import Effect
from harness.errors import EnvironmentProblem, HarnessError
from harness.plugin import Fault, Inventory, Target, draft

BASELINE_S = 30.0
"""How long a witness may take to be sure that there is nothing yet."""
CLEAR_S = 15.0
"""How long after the undo it may take to see nothing any more: a run's cleanup waits no longer."""
CHANGES = frozenset({"set", "undo", "act", "up", "down", "reset"})
READS = frozenset(
    {"process", "probe", "served_version", "read", "observe", "free_bytes", "environment", "usage", "written_bytes"}
)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault with legal arguments (as in memory: seconds, bytes), and a target to try it on.

    `target` gives one in its baseline each time it is called, with load on it; `wait` lets seconds pass there. `repair`
    does what an operator would about one undo's point, and gives the value that must then be left alone; by default it puts
    the value of before back.
    """

    fault: Fault
    arguments: Mapping[str, Json]
    target: Callable[[], Target]
    wait: Callable[[Target, float], None]
    inventory: Inventory | None = None
    repair: Callable[[Target, Undo], Json] | None = None


class Hurt:
    """A target that hands everything on but what is hurt: `without_effect` swallows what is set (and says that it stands),
    `unreadable` refuses to show the victim. `changes` counts the calls that change something."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._said: dict[Point, Json] = {}
        self.without_effect = False
        self.unreadable = False
        self.changes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in READS and self.unreadable:
            return self._unreadable
        if name in CHANGES:
            self.changes.append(name)
        return getattr(self._target, name)

    def _unreadable(self, *_: object, **__: object) -> None:
        raise EnvironmentProblem("the victim can't be read")

    def get(self, point: Point) -> Json:
        """What was said to be set, else what is."""
        return self._said[point] if point in self._said else self._target.get(point)

    def set(self, point: Point, value: Json) -> None:
        """Sets it, or only says so."""
        self.changes.append("set")
        if self.without_effect:
            self._said[point] = value
        else:
            self._target.set(point, value)


@dataclass(slots=True)
class Trial:
    """One fault on one target, step by step; the witness keeps its memory as in a run."""

    case: Case
    hurt: Hurt
    planned: PlannedFault
    memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, case: Case) -> Trial:
        """On a target of its own."""
        hurt = Hurt(case.target())
        return cls(case, hurt, planned(case, cast(Target, hurt)))

    @property
    def target(self) -> Target:
        return cast(Target, self.hurt)

    def prepare(self) -> Prepared:
        """Prepared, and through JSON once: that is what a later process has of it."""
        prepared = self.case.fault.prepare(self.planned, self.target)
        return msgspec.json.decode(msgspec.json.encode(prepared), type=Prepared)

    def look(self, prepared: Prepared) -> Reading:
        """One reading; as in a run, what can't be read is unknown. Other errors are the fault's own."""
        try:
            return self.case.fault.witness(self.planned, prepared, self.target, self.memory)
        except HarnessError as error:
            return Reading(Effect.UNKNOWN, {"error": error.message})

    def look_until(self, wanted: Effect, prepared: Prepared, *, within_s: float) -> list[Reading]:
        """Readings until the wanted one, or until the time is over. Time passes between any two."""
        every_s = self.planned.witness_every_s
        readings: list[Reading] = []
        for _ in range(max(1, round(within_s / every_s))):
            readings.append(self.look(prepared))
            if readings[-1].effect is wanted:
                break
            self.case.wait(self.target, every_s)
        return readings

    def expect(self, wanted: Effect, prepared: Prepared, *, within_s: float, when: str) -> Reading:
        """The wanted reading, or an AssertionError."""
        last = self.look_until(wanted, prepared, within_s=within_s)[-1]
        _require(last.effect is wanted, f"{when}, the witness says {last.effect}, not {wanted}: {last.detail}")
        return last

    def inject(self, prepared: Prepared) -> None:
        """Seen absent first, then injected."""
        self.expect(Effect.ABSENT, prepared, within_s=BASELINE_S, when="before the injection")
        self.case.fault.inject(self.planned, prepared, self.target)

    def take_back(self, prepared: Prepared) -> list[UndoOutcome]:
        """All undos, last in first out."""
        return [self.target.undo(undo) for undo in reversed(prepared.undos)]


def planned(case: Case, target: Target) -> PlannedFault:
    """The case's fault, planned."""
    inventory = case.inventory if case.inventory is not None else _inventory(case, target)
    return case.fault.plan(draft(case.fault.declaration, arguments=case.arguments, seed=7), inventory)


def _inventory(case: Case, target: Target) -> Inventory:
    spec = target.spec
    return Inventory(
        driver=spec.driver,
        capabilities=case.fault.declaration.needs,
        services={name: service.role for name, service in spec.services.items()},
        links={name: (link.from_, link.to) for name, link in spec.links.items()},
        models={name: tuple(model.variants) for name, model in spec.models.items()},
        actions=frozenset(spec.actions),
        observations=frozenset(spec.observations),
        digest="",
    )


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)


# --- the checks -----------------------------------------------------------------------------------------------------


def declares_itself(case: Case) -> None:
    """Its declaration is whole: what it needs, what it takes, what makes it worse."""
    declared = case.fault.declaration
    names = [argument.name for argument in declared.arguments]
    _require("." in declared.name, f"name {declared.name!r}: family.verb, such as link.latency")
    _require(
        bool(declared.summary and declared.needs), "summary and needs are empty: what is broken, and what it takes"
    )
    _require(len(names) == len(set(names)), f"an argument is declared twice: {names}")
    _require(not declared.dose or declared.dose in names, f"dose {declared.dose!r} is none of its arguments {names}")


def plans_purely(case: Case) -> None:
    """Planning twice gives the same, whole and as data."""
    target = case.target()
    first, again = planned(case, target), planned(case, target)
    _require(first == again, "two plans of the same differ")
    _require(bool(first.components), "plan gives no component: what is it that breaks?")
    _require(0 < first.witness_every_s < first.witness_within_s, "the witness must look more than once in its window")
    encoded = msgspec.json.encode(first)
    _require(msgspec.json.decode(encoded, type=PlannedFault) == first, "the plan doesn't survive JSON")


def prepares_without_a_change(case: Case) -> None:
    """`prepare` changes nothing: the undos restore what stands there, and it still stands."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    _require(bool(prepared.undos), "prepare gives no undo")
    _require(not trial.hurt.changes, f"prepare calls {', '.join(trial.hurt.changes)}")
    for undo in prepared.undos:
        standing = trial.target.get(undo.point)
        _require(
            standing == undo.restore, f"{undo.point}: {standing!r} stands there, and the undo restores {undo.restore!r}"
        )
    trial.expect(Effect.ABSENT, prepared, within_s=BASELINE_S, when="after prepare")


def is_seen_and_taken_back(case: Case) -> None:
    """Injected it is seen, within its window; taken back it is seen to be gone, and all stands as before."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    before = {undo.point: trial.target.get(undo.point) for undo in prepared.undos}
    trial.inject(prepared)
    trial.expect(Effect.PRESENT, prepared, within_s=trial.planned.witness_within_s, when="after the injection")
    outcomes = trial.take_back(prepared)
    _require(UndoOutcome.FAILED not in outcomes, f"an undo failed: {outcomes}")
    trial.expect(Effect.ABSENT, prepared, within_s=CLEAR_S, when="after the undo")
    for point, value in before.items():
        _require(trial.target.get(point) == value, f"{point} isn't what it was: {value!r}")


def is_not_seen_without_effect(case: Case) -> None:
    """An injector that only says that it injected: the witness isn't taken in."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    trial.hurt.without_effect = True
    trial.inject(prepared)
    readings = trial.look_until(Effect.PRESENT, prepared, within_s=trial.planned.witness_within_s)
    effects = {reading.effect for reading in readings}
    _require(Effect.PRESENT not in effects, f"nothing happened, and the witness saw it: {readings[-1].detail}")
    _require(readings[-1].effect is Effect.ABSENT, "nothing happened, and the witness can't say so")


def says_unknown_of_what_it_cannot_read(case: Case) -> None:
    """A victim that can't be read is neither well nor broken."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    trial.hurt.unreadable = True
    trial.case.wait(trial.target, 1.0)
    blind = {trial.look(prepared).effect for _ in range(3)}
    _require(blind == {Effect.UNKNOWN}, f"the victim can't be read, and the witness says {', '.join(blind)}")


def may_be_repeated(case: Case) -> None:
    """Injecting and undoing twice is the same as once: a reply may be lost."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    trial.inject(prepared)
    case.fault.inject(trial.planned, prepared, trial.target)
    trial.take_back(prepared)
    again = set(trial.take_back(prepared))
    _require(again == {UndoOutcome.ALREADY}, f"undone twice: {', '.join(again)} instead of already")


def leaves_a_repair_alone(case: Case) -> None:
    """What somebody has repaired in between is not overwritten by the undo."""
    trial = Trial.begin(case)
    prepared = trial.prepare()
    trial.inject(prepared)
    target = trial.target
    repaired = {}
    for undo in prepared.undos:
        repaired[undo.point] = case.repair(target, undo) if case.repair is not None else _put_back(target, undo)
    outcomes = trial.take_back(prepared)
    touched = [outcome for outcome in outcomes if outcome not in (UndoOutcome.REPAIRED, UndoOutcome.ALREADY)]
    _require(not touched, f"the undo touched a repair: {outcomes}")
    for point, value in repaired.items():
        _require(target.get(point) == value, f"{point}: the repair {value!r} was overwritten")


def _put_back(target: Target, undo: Undo) -> Json:
    target.set(undo.point, undo.restore)
    return undo.restore


def gives_receipts(case: Case) -> None:
    """Where records are damaged by mask, the mask can be read on from a cursor, each record once."""
    trial = Trial.begin(case)
    damage = trial.planned.damage
    if damage is None or not damage.by_mask:
        return
    prepared = trial.prepare()
    trial.inject(prepared)
    trial.expect(Effect.PRESENT, prepared, within_s=trial.planned.witness_within_s, when="after the injection")
    hits, after = case.fault.receipts(trial.planned, prepared, trial.target, after=0)
    _require(bool(hits), "records were damaged, and the mask is empty")
    more, _ = case.fault.receipts(trial.planned, prepared, trial.target, after=after)
    _require(not {record for record, _ in hits} & {record for record, _ in more}, "a record stands in the mask twice")


CHECKS: tuple[Callable[[Case], None], ...] = (
    declares_itself,
    plans_purely,
    prepares_without_a_change,
    is_seen_and_taken_back,
    is_not_seen_without_effect,
    says_unknown_of_what_it_cannot_read,
    may_be_repeated,
    leaves_a_repair_alone,
    gives_receipts,
)
