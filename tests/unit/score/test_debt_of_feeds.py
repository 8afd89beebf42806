"""What silent and repeating feeds leave owed: as the faults plan it, joined by id with what came late, twice or never."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.contract.faults import PlannedFault
from harness.contract.undo import Json
from harness.fault.feed import REPEAT, SILENT
from harness.history import commands as c
from harness.history import events as e
from harness.history.scorecard import DebtItem, Scorecard, Verdict
from harness.plugin import Fault, draft
from harness.score import score
from harness.spec.plan import PlannedReading
from tests.doubles.stub_target import inventory
from tests.golden.build import Story, bad_model, ns, plan

SETTING: dict[str, Json] = {"service": "ingest", "key": "intake", "value": "some"}
SILENCE: dict[str, Json] = SETTING | {"reading": "stored", "against": "orders", "debt": "stored"}
FLOOD: dict[str, Json] = SETTING | {"reading": "stored", "place": "place", "debt": "purged"}
OF_B: dict[str, Json] = {"field": "client", "shows": "b"}


def made(fault: Fault, arguments: dict[str, Json]) -> PlannedFault:
    return fault.plan(draft(fault.declaration, arguments=arguments, seed=3), inventory())


def story(fault: PlannedFault, *, without: str = "", shows: str | None = None) -> Story:
    """Injected at 4.0, over at 13.5. `shows`: the value that the preparation found for the mark."""
    orders = PlannedReading("orders", id="id", time="t")
    stored = PlannedReading("stored", id="id", time="t", fields={"place": "offset", "client": "client_id"})
    readings = tuple(one for one in (*plan().readings, orders, stored) if one.name != without)
    told = bad_model(plan(faults=(fault,), readings=readings), rescores=False)
    if shows is not None:
        marked = next(event for event in told.told if isinstance(event, e.FaultPrepared))
        told.without(lambda event: event is marked)
        told.add(msgspec.structs.replace(marked, facts={"shows": shows}))
    return told


def unread(told: Story) -> Story:
    """The same, and the readings weren't read to their end."""
    return told.without(
        lambda event: isinstance(event, e.CommandIssued) and isinstance(event.command, c.CollectReadings)
    )


def card(told: Story) -> Scorecard:
    return score(told.history())


# --- too late, or never ------------------------------------------------------------------------------------------------


def lost(*stored: tuple[float, str], lag: float = 2.0) -> Story:
    """Orders before the injection, after it, and just before the end; and when each turned up as stored."""
    told = story(made(SILENT, SILENCE | {"lag": lag}))
    told.records(2.0, "orders", {"id": "before"})
    told.records(5.0, "orders", {"id": "a"}, {"id": "b"}, {"id": "c"})
    told.records(12.5, "orders", {"id": "last"})
    for at, name in stored:
        told.records(at, "stored", {"id": name})
    return told


def test_what_never_came_is_owed_but_not_what_may_still_come_in_time() -> None:
    assert card(lost()).debt == (DebtItem("stored", 3, 0),)
    assert card(lost(lag=0.5)).debt == (
        DebtItem("stored", 4, 0),
    )  # `last` had half a second, and there was a whole one
    assert card(lost(lag=9.0)).debt == (DebtItem("stored", 0, 0),)


def test_what_came_in_time_or_before_it_was_asked_for_is_not_owed() -> None:
    assert card(lost((6.0, "a"), (7.0, "b"), (4.5, "c"))).debt == (DebtItem("stored", 0, 0),)


def test_what_came_a_moment_too_late_was_owed_and_is_repaid() -> None:
    assert card(lost((6.0, "a"), (7.01, "b"), (7.0, "c"))).debt == (DebtItem("stored", 1, 1),)
    assert card(lost((6.0, "a"), (9.8, "b"))).debt == (DebtItem("stored", 2, 1),)
    assert card(lost((6.0, "a"), (9.8, "b"), (11.0, "c"))).debt == (DebtItem("stored", 2, 2),)


def test_what_comes_again_is_neither_owed_nor_repaid_by_it() -> None:
    assert card(lost((6.0, "a"), (6.0, "b"), (6.0, "c"), (10.0, "a"))).debt == (DebtItem("stored", 0, 0),)


def test_others_that_come_repay_nothing_and_recovery_waits_for_the_last_that_is_owed() -> None:
    strangers = lost((6.0, "a"), (9.8, "x"), (9.8, "y"))
    assert (card(strangers).debt, card(strangers).moments.t_recover) == ((DebtItem("stored", 2, 0),), None)
    assert card(lost((6.0, "a"), (9.8, "b"), (11.0, "c"))).moments.t_recover == ns(11.0)


def of_b(**records: str) -> Story:
    """A silence of client b alone: three orders of it and one of a; `records`: which client's came at last, by id."""
    told = story(made(SILENT, SILENCE | OF_B), shows="b")
    told.records(
        5.0, "orders", *({"id": name, "client": "b"} for name in ("b1", "b2", "b3")), {"id": "a1", "client": "a"}
    )
    return told.records(9.8, "stored", *({"id": name, "client_id": client} for name, client in records.items()))


def test_of_a_part_that_fell_silent_only_that_part_is_owed_and_it_may_bear_its_mark_when_it_comes() -> None:
    assert card(of_b()).debt == (DebtItem("stored", 3, 0),)
    assert card(of_b(b1="b", a1="a")).debt == (DebtItem("stored", 3, 1),)
    assert card(of_b(b1="b", b2="b", b3="b")).debt == (DebtItem("stored", 3, 3),)


# --- twice -------------------------------------------------------------------------------------------------------------


def twice(*withdrawn: dict[str, Any], fault: PlannedFault | None = None, shows: str | None = None) -> Story:
    """Of client b, one id at two places, one at three, and one told twice at the same; one of client a at two."""
    told = story(fault or made(REPEAT, FLOOD), shows=shows)
    told.records(2.0, "stored", {"id": "before", "offset": 1}, {"id": "before", "offset": 2})
    for identity, client, *places in (
        ("two", "b", 3, 4),
        ("three", "b", 5, 6, 7),
        ("same", "b", 8, 8),
        ("of-a", "a", 9, 10),
    ):
        for at, place in enumerate(places, 5):
            told.records(float(at), "stored", {"id": identity, "offset": place, "client_id": client})
    return told.records(9.8, "quarantine", *withdrawn)


def test_what_stands_at_two_places_is_owed_once_and_what_is_told_twice_is_not() -> None:
    assert card(twice()).debt == (DebtItem("purged", 3, 0),)
    assert card(twice({"id": "same"}, {"id": "before"})).debt == (DebtItem("purged", 3, 0),)


def test_a_repeat_is_repaid_by_its_id() -> None:
    assert card(twice({"id": "two"}, {"id": "two"})).debt == (DebtItem("purged", 3, 1),)
    whole = card(twice({"id": "two"}, {"id": "three"}, {"id": "of-a"}))
    assert (whole.debt, whole.moments.t_recover) == ((DebtItem("purged", 3, 3),), ns(9.8))


def test_a_record_withdrawn_is_repaid_though_it_is_still_the_chosen_client_s() -> None:
    chosen = made(REPEAT, FLOOD | OF_B)
    quarantined = [{"id": name, "client": "b"} for name in ("two", "three")]
    assert card(twice(fault=chosen, shows="b")).debt == (DebtItem("purged", 2, 0),)
    assert card(twice(*quarantined, fault=chosen, shows="b")).debt == (DebtItem("purged", 2, 2),)


def test_in_the_reading_that_tells_of_the_repeat_what_still_bears_its_mark_is_not_repaid() -> None:
    chosen = made(REPEAT, FLOOD | OF_B | {"repaid": "stored"})
    assert card(twice(fault=chosen, shows="b")).debt == (DebtItem("purged", 2, 0),)
    again = twice(fault=chosen, shows="b").records(9.8, "stored", {"id": "two", "client_id": "nobody"})
    assert card(again).debt == (DebtItem("purged", 2, 1),)


# --- what can't be told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "arguments"), [(SILENT, SILENCE), (REPEAT, FLOOD)], ids=["silent", "repeat"])
def test_what_was_not_read_to_its_end_is_undecided(*, fault: Fault, arguments: dict[str, Json]) -> None:
    told = unread(story(made(fault, arguments)).records(5.0, "orders", {"id": "a"}))
    item = card(told).debt[0]
    assert (item.damaged, item.repaid, item.reason) == (None, None, "the readings were not read to their end")
    assert card(told).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("fault", "arguments"), [(SILENT, SILENCE), (REPEAT, FLOOD)], ids=["silent", "repeat"])
def test_without_the_mark_s_value_nobody_knows_which_are_owed(*, fault: Fault, arguments: dict[str, Json]) -> None:
    told = story(made(fault, arguments | OF_B)).records(5.0, "orders", {"id": "a", "client": "b"})
    item = card(told).debt[0]
    assert (item.damaged, item.reason) == (None, "it is not known by what mark damaged records are told")
    assert card(told).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("missing", ["orders", "stored", "quarantine"])
def test_a_reading_that_the_target_lacks_is_not_observed(missing: str) -> None:
    """Whichever of the three it is: the one that tells of them, the one they lack in, the one that repays them."""
    fault = made(SILENT, SILENCE)
    assert fault.damage is not None
    elsewhere = msgspec.structs.replace(fault.damage, debts={"withdrawn": "quarantine"})
    item = card(story(msgspec.structs.replace(fault, damage=elsewhere), without=missing)).debt[0]
    assert (item.damaged, item.reason) == (None, f"the target declares no reading '{missing}'")


def test_a_feed_whose_records_are_owed_by_nobody_leaves_no_debt() -> None:
    silent, repeat = made(SILENT, SILENCE | {"debt": None}), made(REPEAT, FLOOD | {"debt": None})
    assert (silent.damage, repeat.damage) == (None, None)
    assert card(story(silent).records(5.0, "orders", {"id": "a"})).debt == ()
