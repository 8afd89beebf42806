"""A setting that makes what is used differ from what is true: when it shows, when it is gone, when nothing can be said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness import clock
from harness.contract.faults import Against, PlannedFault
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault.config import SET
from harness.fault.skew import LEAST, SILENT_S, SKEW
from harness.plugin import Fault, draft
from tests.doubles.stub_target import STEP_S, StubTarget, VirtualClock, inventory
from tests.unit.fault.test_witnesses import Watching

TRANSFORM: dict[str, Json] = {"service": "gateway", "key": "amount_transform", "value": "raw"}
SKEWED: dict[str, Json] = TRANSFORM | {"field": "amount_log"}
HIGH: dict[str, Json] = TRANSFORM | {"reading": "decisions", "field": "amount_log", "above": 9.0, "least": 10}
PUT_BACK = Point(PointKind.CONFIG, "gateway/amount_transform")


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> StubTarget:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    stub = StubTarget(time)
    stub.advance(1.0)
    return stub


def planned(fault: Fault, arguments: Mapping[str, Json]) -> PlannedFault:
    return fault.plan(draft(fault.declaration, arguments=arguments, seed=3), inventory())


def test_a_skew_shows_in_the_first_record_that_differs_and_is_gone_when_enough_agree(target: StubTarget) -> None:
    watching = Watching(SKEW, SKEWED, target)
    assert watching.look(after_s=1.0).effect is Effect.ABSENT
    watching.inject()
    assert watching.look().effect is Effect.ABSENT  # it is set, and nothing was decided by it
    assert watching.look(after_s=STEP_S).effect is Effect.PRESENT
    target.operate(PUT_BACK, "log")
    assert watching.look(after_s=(LEAST - 1) * STEP_S).effect is Effect.PRESENT
    after = watching.look(after_s=STEP_S)
    assert (after.effect, after.healthy) == (Effect.ABSENT, True)


def test_a_skew_of_few_records_takes_more_of_them_to_be_gone(target: StubTarget) -> None:
    watching = Watching(SKEW, SKEWED | {"share": 0.3}, target)
    watching.inject()
    assert watching.look(after_s=1.0).effect is Effect.PRESENT
    target.operate(PUT_BACK, "log")
    assert watching.look(after_s=2 * LEAST * STEP_S).effect is Effect.PRESENT
    assert watching.look(after_s=1.0).effect is Effect.ABSENT


def test_a_difference_within_the_tolerance_is_none(target: StubTarget) -> None:
    watching = Watching(SKEW, SKEWED | {"tolerance": 1e6}, target)
    watching.inject()
    assert watching.look(after_s=1.0).effect is Effect.ABSENT


def test_of_a_skew_nothing_is_known_while_nothing_can_be_compared(target: StubTarget) -> None:
    unheard = Watching(SKEW, SKEWED | {"field": "no such"}, target)
    assert unheard.look(after_s=1.0).effect is Effect.UNKNOWN
    watching = Watching(SKEW, SKEWED, target)
    watching.inject()
    assert watching.look(after_s=1.0).effect is Effect.PRESENT
    target.operate(Point(PointKind.PROCESS, "gateway"), "down")
    assert watching.look(after_s=SILENT_S + 0.5).effect is Effect.UNKNOWN


def test_what_is_owed_for_a_skew_is_told_by_the_records_themselves() -> None:
    owed = planned(SKEW, SKEWED | {"repaid": "jobs", "tolerance": 0.5}).damage
    assert owed is not None
    assert (owed.reading, owed.field, owed.against) == ("decisions", "amount_log", Against("truth", 0.5))
    assert owed.debts == {"jobs": "jobs"}
    unpaid = planned(SKEW, SKEWED).damage
    assert unpaid is not None
    assert unpaid.debts == {}


def test_harm_above_a_bound_takes_as_many_records_as_the_scenario_says(target: StubTarget) -> None:
    few, many = Watching(SET, HIGH | {"least": 1}, target), Watching(SET, HIGH | {"least": 45}, target)
    for watching in (few, many):
        watching.look()
        assert watching.look(after_s=1.0).effect is Effect.ABSENT
    few.inject()
    target.advance(0.9)
    assert few.look().effect is Effect.PRESENT
    assert many.look().effect is Effect.ABSENT
    target.operate(PUT_BACK, "log")
    assert few.look(after_s=1.1).effect is Effect.ABSENT


def test_what_records_show_is_what_is_owed() -> None:
    told = {**TRANSFORM, "reading": "decisions", "field": "decision", "shows": "decline", "repaid": "jobs"}
    damage = planned(SET, told).damage
    assert damage is not None
    assert (damage.reading, damage.field, damage.fact, damage.debts) == (
        "decisions",
        "decision",
        "shows",
        {"jobs": "jobs"},
    )


def test_the_mark_of_what_is_owed_travels_with_the_preparation(target: StubTarget) -> None:
    told = {**TRANSFORM, "reading": "decisions", "field": "decision", "shows": "decline", "repaid": "jobs"}
    assert Watching(SET, told, target).prepared.facts == {"shows": "decline"}


@pytest.mark.parametrize(
    ("fault", "arguments", "said"),
    [
        (SKEW, SKEWED | {"share": 0.0}, "share: a skew that shows in no record"),
        (SKEW, SKEWED | {"tolerance": -1}, "tolerance: -1 is none"),
        (SKEW, SKEWED | {"tolerance": float("nan")}, "tolerance: nan is none"),
        (SET, HIGH | {"shows": "raw"}, "give exactly one"),
        (SET, HIGH | {"above": None}, "give exactly one"),
        (SET, HIGH | {"least": 0}, "least: 0 records show nothing"),
        (SET, HIGH | {"repaid": "jobs"}, "give `shows`, not `above`"),
    ],
)
def test_a_fault_that_could_not_be_told_is_refused(*, fault: Fault, arguments: dict[str, Json], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        planned(fault, arguments)
    assert said in refused.value.message


def test_a_skew_that_stands_already_is_no_fault(target: StubTarget) -> None:
    target.operate(PUT_BACK, "raw")
    with pytest.raises(EnvironmentProblem, match="amount_transform is 'raw' before the injection"):
        Watching(SKEW, SKEWED, target)


@pytest.mark.parametrize(
    ("value", "truth", "differs"),
    [
        (1.0, 1.0, False),
        (1.4, 1.0, False),
        (1.6, 1.0, True),
        (0.4, 1.0, True),
        (1, 1.0, False),
        (float("nan"), 1.0, True),
        ("a", "a", False),
        ("a", "b", True),
        ("1.0", 1.0, True),
    ],
)
def test_numbers_differ_beyond_the_tolerance_and_all_else_when_unequal(
    *, value: Json, truth: Json, differs: bool
) -> None:
    assert Against("truth", 0.5).differs(value, truth) is differs
