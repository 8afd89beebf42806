"""What a bad deployment does to features: harm that users feel, in values that are all legal; and nothing of it by default."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline import features, gateway, goldens, inputs, schema, web
from pipeline.aggregates import Aggregates
from pipeline.model import Model, train
from pipeline.source import GIVEN
from pipeline.world import World
from tests.unit.pipeline.roles import until
from tests.unit.pipeline.test_features import look, payment, profile, trio

SEEDS = (0, 7, 123)
ROWS = 600
SWAP = "amount_log,amount_to_usual"
Row = Callable[[World, dict[str, Any]], list[float]]
KNOWN: dict[tuple[int, int], dict[str, dict[str, Any]]] = {}


@pytest.fixture(scope="module", params=SEEDS)
def trained(request: pytest.FixtureRequest) -> tuple[World, Model]:
    world = World(request.param)
    clean = world.history(4000)
    return world, train(clean.features, clean.labels, seed=request.param)


def stored(world: World, transaction: dict[str, Any], *, shift: int = 0) -> dict[str, Any]:
    """What is found in the store for it."""
    if (world.seed, shift) not in KNOWN:
        KNOWN[world.seed, shift] = Aggregates(world).items(shift=shift)
    items = KNOWN[world.seed, shift]
    keys = (f"customer:{transaction['customer_id']}", f"merchant:{transaction['merchant_id']}")
    return {name: value for key in keys for name, value in items[key].items()}


def sent(**settings: str) -> Row:
    config = {**inputs.DEFAULTS, **settings}
    return lambda world, transaction: inputs.row(config, transaction, stored(world, transaction))


def right(world: World, model: Model, row: Row) -> tuple[float, int]:
    """The share of payments decided right, and how many of the prober's eight golden requests."""
    scores = model.scores([row(world, t) for t in world.transactions(0, ROWS)])
    truth = world.labels(0, ROWS) > 0
    asked = goldens.requests("prober")
    answers = model.scores([row(world, request["body"]) for request in asked]) >= 0.5
    known = [request["expect"]["decision"] == "decline" for request in asked]
    return float(((scores >= 0.5) == truth).mean()), sum(a == k for a, k in zip(answers.tolist(), known, strict=True))


@pytest.mark.parametrize(
    "row",
    [
        sent(amount_transform="raw"),
        sent(swap_inputs=SWAP),
        lambda world, t: schema.vector(t, stored(world, t, shift=50)),
        lambda _, t: schema.vector(t, {}),
    ],
    ids=["raw amount", "swapped", "misaligned", "defaults"],
)
def test_users_and_golden_requests_feel_it_whatever_the_seed(trained: tuple[World, Model], *, row: Row) -> None:
    world, model = trained
    assert right(world, model, sent())[0] > 0.97
    assert right(world, model, sent())[1] == 8
    quality, golden = right(world, model, row)
    assert quality < 0.9
    assert golden <= 6


def test_by_default_what_is_sent_is_what_training_had() -> None:
    world = World(7)
    for transaction in world.transactions(0, 50):
        values = stored(world, transaction)
        assert inputs.row(inputs.DEFAULTS, transaction, values) == schema.vector(transaction, values)


def test_a_transform_touches_one_column_and_a_swap_two() -> None:
    world = World(7)
    transaction = world.transactions(0, 1)[0]
    whole = inputs.named(sent()(world, transaction))
    raw = inputs.named(sent(amount_transform="raw")(world, transaction))
    assert raw == {**whole, "amount_log": pytest.approx(transaction["amount"])}
    tens = inputs.named(sent(amount_transform="log10")(world, transaction))
    assert tens == {**whole, "amount_log": pytest.approx(math.log10(transaction["amount"]))}
    swapped = inputs.named(sent(swap_inputs="night,foreign")(world, transaction))
    assert swapped == {**whole, "night": whole["foreign"], "foreign": whole["night"]}
    assert inputs.named([]) == {}


def test_what_the_source_says_of_features_is_what_the_gateway_sends() -> None:
    world = World(7)
    known = world.history(50, first=0)
    for transaction, features_ in zip(world.transactions(0, 50), known.features.tolist(), strict=True):
        told = dict(zip(schema.FEATURES, features_, strict=True))
        served = inputs.named(sent()(world, transaction))
        assert {name: served[name] for name in GIVEN} == pytest.approx({name: told[name] for name in GIVEN}, abs=1e-9)


@pytest.mark.parametrize(
    ("check", "name", "value"),
    [
        (gateway.check_setting, "amount_transform", "sqrt"),
        (gateway.check_setting, "swap_inputs", "night"),
        (gateway.check_setting, "swap_inputs", "night,night"),
        (gateway.check_setting, "swap_inputs", "night,moon"),
        (features.check_setting, "join_shift", -1),
        (features.check_setting, "refresh_lock_s", -0.1),
        (features.check_setting, "refresh_lock_s", 11.0),
    ],
)
def test_settings_that_mean_nothing_are_refused(*, check: Callable[[str, Any], None], name: str, value: Any) -> None:
    with pytest.raises(web.RefusedError, match=name):
        check(name, value)


# --- the store's side -------------------------------------------------------------------------------------------------


def test_a_misaligned_join_moves_every_customer_and_no_merchant() -> None:
    aggregates = Aggregates(World(7))
    whole, moved = aggregates.items(), aggregates.items(shift=50)
    assert set(whole) == set(moved)
    assert [key for key in whole if key.startswith("customer:") and whole[key] == moved[key]] == []
    assert {key for key in whole if whole[key] == moved[key]} == {key for key in whole if key.startswith("merchant:")}
    values = [sorted(map(str, found.values())) for found in (whole, moved)]
    assert values[0] == values[1]  # each column holds the same values as before
    assert aggregates.items() == whole


def test_payments_joined_wrongly_stay_with_the_wrong_customer_until_all_is_computed_anew() -> None:
    world = World(7)
    transaction = world.transactions(0, 1)[0]
    paid = [(transaction["customer_id"], transaction["merchant_id"], 9000.0)]
    right_, wrong = Aggregates(world), Aggregates(world)
    right_.fold(paid)
    wrong.fold(paid, shift=50)
    own = f"customer:{transaction['customer_id']}"
    assert right_.items()[own]["customer_amount_mean"] > 100 > wrong.items()[own]["customer_amount_mean"]
    assert right_.items() != wrong.items()
    wrong.clear()
    wrong.fold(paid)
    assert right_.items() == wrong.items()


def test_looked_up_under_another_prefix_nothing_is_found_and_the_standby_finds_all(tmp_path: Path) -> None:
    with trio(tmp_path) as roles:
        roles.features.patch(key_prefix="v2:")
        missing = look(roles.features, payment(0))
        assert (missing["status"], missing["values"]) == ("missing", {})
        assert roles.features.get("/freshness")["status"] == "fresh"  # the job goes on, and so does what it says
        assert look(roles.standby, payment(0))["values"] == profile(payment(0))
        roles.features.patch(key_prefix="")
        assert look(roles.features, payment(0))["values"] == profile(payment(0))


def test_look_ups_wait_for_a_refresh_and_those_of_the_standby_do_not(tmp_path: Path) -> None:
    with trio(tmp_path) as roles, ThreadPoolExecutor(1) as background:
        roles.features.patch(refresh_lock_s=4.0)

        def waited() -> bool:
            """One look-up here, twenty of the standby meanwhile: it comes after them all, with what the refresh wrote."""
            asked = background.submit(look, roles.features, payment(0))
            before = [look(roles.standby, payment(0))["event_time"] for _ in range(20)]
            return not asked.done() and asked.result()["event_time"] > before[-1]

        until(waited, "a look-up waits for the refresh")
        roles.features.patch(refresh_lock_s=0.0)
