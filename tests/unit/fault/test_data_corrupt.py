"""data.corrupt: what it refuses when planning, and what its witness takes for damage."""

from __future__ import annotations

from typing import Any

import pytest

from harness import clock
from harness.contract.faults import PlannedFault
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import UsageError
from harness.fault.data_corrupt import CORRUPT
from harness.fault.tapped import Pair
from harness.plan.arguments import resolved
from harness.plugin import draft
from tests.doubles.stub_target import StubTarget, VirtualClock, inventory

TO_B = {"kind": "where", "column": "client_id", "equals": "client-b"}
CENTS = {"type": "scale", "factor": 100}


def planned(*, damage: dict[str, Json], columns: tuple[str, ...] = ("amount",), **more: Json) -> PlannedFault:
    given: dict[str, Json] = {"link": "merchants", "columns": list(columns), "damage": damage, **more}
    values, problems = resolved(CORRUPT.declaration, given, inventory=inventory(), readings=("decisions", "truth"))
    assert problems == []
    return CORRUPT.plan(draft(CORRUPT.declaration, arguments=values, seed=3), inventory())


def told(fault: PlannedFault, sent: dict[str, Any], received: dict[str, Any]) -> list[bool]:
    return CORRUPT.told(fault, [Pair("t-1", sent, received)])


@pytest.mark.parametrize(
    ("damage", "more", "message"),
    [
        ({"type": "scal", "factor": 2}, {}, "^damage.type: unknown 'scal'. Did you mean 'scale'?"),
        (
            {"type": "scale", "factr": 2},
            {},
            "^damage.factr: unknown 'factr'. Did you mean 'factor'? Known: factor, type$",
        ),
        ({"type": "scale"}, {}, "^damage.factor: missing"),
        ({"type": "scale", "factor": "x"}, {}, "^damage.factor: 'x' is not legal; legal is a finite number"),
        (CENTS, {"mechanism": {"kind": "were"}}, "^mechanism: unknown 'were'. Did you mean 'where'?"),
        (CENTS, {"mechanism": {"kind": "where", "column": "client_id"}}, "mechanism"),
        (CENTS | {"columns": ["x"]}, {}, "damage: columns isn't legal here"),
        (CENTS | {"seed": 3}, {}, "damage: seed isn't legal here"),
        ({"type": "swapped"}, {}, "swapped needs exactly two"),
        ({"type": "misjoined"}, {}, "misjoined looks back at records that have passed"),
        ({"type": "doubled"}, {}, "doubled makes or moves records or fields"),
        ({"type": "outlier"}, {}, "^column 'amount': a reference is needed"),
        (CENTS, {"mechanism": {"kind": "itself", "above_quantile": 0.9}}, "column 'amount': a reference is needed"),
        (CENTS, {"mechanism": {"kind": "burst", "length": 5}}, "burst goes by the place of a record"),
        (CENTS, {"mechanism": {"kind": "window", "since": 5, "until": 9}}, "window goes by the place of a record"),
    ],
)
def test_what_cannot_be_done_is_refused_when_planning(
    damage: dict[str, Json], more: dict[str, Json], message: str
) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        planned(damage=damage, **more)


def test_a_window_of_a_column_is_one_that_the_witness_knows() -> None:
    fault = planned(damage=CENTS, mechanism={"kind": "window", "column": "event_time", "since": 100.0, "until": 200.0})
    early, late = {"amount": 2.0, "event_time": 99.0}, {"amount": 2.0, "event_time": 101.0}
    assert told(fault, early, {"amount": 200.0}) == []
    assert told(fault, late, {"amount": 200.0}) == [True]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"columns": "amount", "damage": CENTS}, "columns: 'amount' isn't legal; legal: a list of texts, each once"),
        ({"columns": ["a", "a"], "damage": CENTS}, "legal: a list of texts, each once"),
        (
            {"columns": ["amount"], "damage": "scale"},
            "damage: 'scale' isn't legal; legal: a mapping of names to values",
        ),
        ({"columns": ["amount"], "damage": {}}, "legal: a mapping of names to values"),
        ({"columns": ["amount"], "damage": {1: 2}}, "legal: a mapping of names to values"),
    ],
)
def test_an_argument_of_another_shape_is_refused(given: dict[str, Json], problem: str) -> None:
    _, problems = resolved(
        CORRUPT.declaration, {"link": "merchants", **given}, inventory=inventory(), readings=("decisions", "truth")
    )
    assert any(problem in one for one in problems), problems


SENT = {"amount": 12.5, "client_id": "client-b", "country": "DE"}


@pytest.mark.parametrize(
    ("received", "found"),
    [
        ({"amount": 1250.0}, [True]),
        ({"amount": 1250.01}, [True]),
        ({"amount": 12.5}, [False]),
        ({"amount": 12.51}, [False]),
        ({"amount": 600.0}, []),
        ({"amount": None}, []),
        ({}, []),
    ],
)
def test_a_record_tells_only_where_it_is_as_sent_or_as_damaged(received: dict[str, Json], found: list[bool]) -> None:
    fault = planned(damage=CENTS, mechanism=TO_B)
    assert told(fault, SENT, received) == found
    assert told(fault, SENT | {"client_id": "client-a"}, received) == []


def test_a_small_damage_is_told_from_rounding_as_far_as_it_goes() -> None:
    fault = planned(damage={"type": "offset", "by": 0.02})
    assert told(fault, {"amount": 1.0}, {"amount": 1.02}) == [True]
    assert told(fault, {"amount": 1.0}, {"amount": 1.0}) == [False]
    assert told(fault, {"amount": 1.0}, {"amount": 1.01}) == []


@pytest.mark.parametrize(
    ("damage", "columns", "received"),
    [
        ({"type": "as-text"}, ("amount",), {"amount": "12,5"}),
        ({"type": "missing"}, ("amount",), {"amount": None}),
        ({"type": "remap", "codes": {"DE": "FR", "FR": "DE"}}, ("country",), {"country": "FR"}),
        ({"type": "renamed", "to": "amount_eur"}, ("amount",), {"amount_eur": 12.5}),
        ({"type": "renamed", "to": "amount_eur"}, ("amount",), {"amount": None}),
        ({"type": "absent"}, ("amount", "country"), {"client_id": "client-b"}),
        ({"type": "swapped"}, ("country", "client_id"), {"country": "client-b", "client_id": "DE"}),
    ],
)
def test_other_values_than_numbers_are_compared_as_they_are(
    damage: dict[str, Json], columns: tuple[str, ...], received: dict[str, Json]
) -> None:
    fault = planned(damage=damage, columns=columns)
    assert told(fault, SENT, received) == [True]
    assert told(fault, SENT, SENT) == [False]


def test_a_value_that_the_damage_leaves_as_it_is_tells_nothing() -> None:
    fault = planned(damage={"type": "remap", "codes": {"FR": "DE"}}, columns=("country",))
    assert told(fault, SENT, SENT) == []
    fault = planned(damage={"type": "missing", "form": "value", "value": 12.5})
    assert told(fault, SENT, SENT) == []


def test_a_record_that_lacks_what_the_mechanism_looks_at_tells_nothing() -> None:
    assert told(planned(damage=CENTS, mechanism=TO_B), {"amount": 12.5}, {"amount": 1250.0}) == []


def test_of_a_share_only_those_records_count_that_the_draw_hits() -> None:
    fault = planned(damage=CENTS, dose=0.25)
    pairs = [Pair(f"t-{n}", {"amount": 1.0}, {"amount": 1.0}) for n in range(1000)]
    assert 200 < len(CORRUPT.told(fault, pairs)) < 300
    assert CORRUPT.told(fault, pairs) == CORRUPT.told(fault, pairs[:500]) + CORRUPT.told(fault, pairs[500:])


def test_a_rare_damage_is_neither_believed_in_haste_nor_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One record in twenty: seen and missed within the time that the plan says, with nothing hasty in between."""
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    target = StubTarget(time)
    fault = planned(damage=CENTS, mechanism=TO_B)
    prepared, memory = CORRUPT.prepare(fault, target), {}

    def looks(seconds: float) -> list[Effect]:
        found = []
        for _ in range(round(seconds / 0.3)):
            target.advance(0.3)
            found.append(CORRUPT.witness(fault, prepared, target, memory).effect)
        return found

    assert set(looks(20.0)) == {Effect.ABSENT, Effect.UNKNOWN}
    CORRUPT.inject(fault, prepared, target)
    standing = looks(30.0)
    assert Effect.PRESENT in standing[: round(fault.witness_within_s / 0.3)]
    assert Effect.ABSENT not in standing[round(fault.witness_blind_s / 0.3) :]
    target.operate(Point(PointKind.TAP, "merchants/fault-0"), None)
    healed = looks(30.0)
    assert Effect.ABSENT in healed[: round(8.0 / 0.3)]
    assert Effect.PRESENT not in healed[round(fault.witness_blind_s / 0.3) :]


@pytest.mark.parametrize(
    ("columns", "mechanism", "why"),
    [
        (("amuont",), None, "records was sent with a field 'amuont'"),
        (
            ("amount",),
            {"kind": "where", "column": "client_id", "equals": "nobody"},
            "is one that this damage would change",
        ),
    ],
)
def test_a_damage_that_can_hit_nothing_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...], mechanism: dict[str, Json] | None, why: str
) -> None:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    target = StubTarget(time)
    fault = planned(damage=CENTS, columns=columns, mechanism=mechanism)
    prepared, memory = CORRUPT.prepare(fault, target), {}
    for _ in range(30):
        target.advance(0.3)
        seen = CORRUPT.witness(fault, prepared, target, memory)
    assert seen.effect is Effect.UNKNOWN
    assert why in str(seen.detail["why"])
