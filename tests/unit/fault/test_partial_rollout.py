"""model.partial: what stands after it, and after it broke off at any of its steps."""

from __future__ import annotations

import pytest

from harness.contract.faults import PlannedFault, Prepared
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import partial
from harness.fault.partial import PARTIAL
from harness.plugin import draft
from tests.doubles.stub_target import StubTarget, inventory

ALIAS = Point(PointKind.ALIAS, "risk/champion")
FOLLOWS = {name: Point(PointKind.CONFIG, f"{name}/follow_alias") for name in ("serving-a", "serving-b")}


class Recorded(StubTarget):
    """Writes down what is set, and breaks off after so many settings."""

    def __init__(self, *, breaks_after: int = 99) -> None:
        super().__init__()
        self.moves: list[tuple[str, Json]] = []
        self.left = breaks_after

    def set(self, point: Point, value: Json) -> None:
        if not self.left:
            raise EnvironmentProblem("broken off")
        self.left -= 1
        self.moves.append((point.where, value))
        super().set(point, value)


def planned(service: str = "serving-b") -> PlannedFault:
    given: dict[str, Json] = {"model": "risk", "variant": "label-shuffled", "service": service}
    return PARTIAL.plan(draft(PARTIAL.declaration, arguments=given, seed=7), inventory())


def prepared(target: StubTarget) -> Prepared:
    return PARTIAL.prepare(planned(), target)


def served(target: StubTarget) -> list[str | None]:
    return [target.served_version(name, "risk") for name in FOLLOWS]


def test_one_replica_keeps_the_version_and_all_else_stands_as_before() -> None:
    target = Recorded()
    ready = prepared(target)
    PARTIAL.inject(planned(), ready, target)
    assert served(target) == ["1", "2"]
    assert (target.get(ALIAS), [target.get(point) for point in FOLLOWS.values()]) == ("1", [True, False])
    assert target.moves[0] == ("serving-a/follow_alias", False), "the other is deaf before the alias moves"


def test_a_second_injection_moves_the_alias_no_more() -> None:
    target = Recorded()
    ready = prepared(target)
    PARTIAL.inject(planned(), ready, target)
    target.moves.clear()
    PARTIAL.inject(planned(), ready, target)
    assert ("risk/champion", "2") not in target.moves
    assert served(target) == ["1", "2"]


@pytest.mark.parametrize("steps", range(6))
def test_broken_off_anywhere_the_undos_bring_everything_back(steps: int) -> None:
    target = Recorded(breaks_after=steps)
    ready = prepared(target)
    if steps < 5:
        with pytest.raises(EnvironmentProblem, match="broken off"):
            PARTIAL.inject(planned(), ready, target)
    else:
        PARTIAL.inject(planned(), ready, target)
    for undo in reversed(ready.undos):
        target.undo(undo)
    assert (target.get(ALIAS), [target.get(point) for point in FOLLOWS.values()]) == ("1", [True, True])
    assert served(target) == ["1", "1"]


def test_a_replica_that_never_loads_it_is_the_witnesss_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "LOOK_EVERY_S", 0.0)
    target = Recorded()
    monkeypatch.setattr(target, "served_version", lambda *_: "1")
    ready = prepared(target)
    PARTIAL.inject(planned(), ready, target)
    assert PARTIAL.witness(planned(), ready, target, {}).effect is Effect.ABSENT
    assert target.get(ALIAS) == "1"


def test_a_replica_that_does_not_answer_may_have_it_still() -> None:
    target = Recorded()
    ready = prepared(target)
    PARTIAL.inject(planned(), ready, target)
    target.unreadable = True
    assert PARTIAL.witness(planned(), ready, target, {}).effect is Effect.UNKNOWN


def test_what_would_not_be_partial_is_refused() -> None:
    with pytest.raises(UsageError, match="'gateway' is the only one of role 'gateway'; legal: one of several replicas"):
        planned("gateway")
    target = Recorded()
    target.operate(FOLLOWS["serving-a"], False)
    with pytest.raises(EnvironmentProblem, match=r"serving-a/follow_alias isn't true before the injection"):
        prepared(target)
