"""The source numbers payments, tells their truth at once and their labels late, and survives being killed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from pipeline import load, schema, source
from pipeline.source import GIVEN
from pipeline.world import World
from tests.doubles.held_ports import free_port
from tests.unit.pipeline.roles import SEED, Role, gone, serving, until


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    with serving(source.build, tmp_path) as role:
        yield role


def hand_out(role: Role, count: int) -> list[dict]:
    return role.get(f"/next?count={count}")["transactions"]


def ids(records: list[dict]) -> list[str]:
    return [record["id"] for record in records]


def test_numbering_goes_on(role: Role) -> None:
    assert ids(hand_out(role, 2) + hand_out(role, 3)) == [f"t-0-{seq}" for seq in range(5)]


def test_transactions_meet_the_contract(role: Role) -> None:
    assert [schema.violations(t) for t in hand_out(role, 20)] == [[]] * 20


def test_looking_is_not_handing_out(role: Role) -> None:
    looked = role.get("/transactions?first=0&count=3")["transactions"]
    handed = hand_out(role, 3)
    for row in looked + handed:
        del row["event_time"]
    assert looked == handed
    assert ids(role.records("/truth")) == ids(handed)


def test_truth_tells_the_features_that_the_world_alone_decides(role: Role) -> None:
    role.get("/next?count=3")
    known = World(int(SEED)).history(3, first=0).features.tolist()
    for record, features in zip(role.records("/truth"), known, strict=True):
        right = dict(zip(schema.FEATURES, features, strict=True))
        assert {name: record[name] for name in GIVEN} == {name: right[name] for name in GIVEN}


def test_truth_is_told_at_once_and_labels_late(role: Role) -> None:
    role.patch(label_delay_s=3600.0)
    handed = hand_out(role, 3)
    truth = role.records("/truth")
    fields = handed[0].keys() - {"synthetic"}
    assert len(fields) == 11
    assert [{name: t[name] for name in fields} for t in truth] == [{name: h[name] for name in fields} for h in handed]
    assert role.records("/labels") == []
    role.patch(label_delay_s=0.0)
    labels = role.records("/labels")
    assert [(r["id"], r["label"]) for r in labels] == [(t["id"], t["label"]) for t in truth]


def test_no_labels_while_paused(role: Role) -> None:
    role.patch(label_delay_s=0.0)
    hand_out(role, 2)
    first = role.get("/labels")
    role.patch(labels_paused=True)
    hand_out(role, 2)
    assert role.get(f"/labels?after={first['next']}") == {"records": [], "next": first["next"]}
    role.patch(labels_paused=False)
    assert ids(role.records("/labels", first["next"])) == ["t-0-2", "t-0-3"]


def test_regime_is_that_of_the_hand_out(role: Role) -> None:
    before = role.get("/transactions?first=0&count=50")["transactions"]
    role.patch(regime="shifted")
    after = hand_out(role, 50)
    assert sum(t["amount"] for t in after) < sum(t["amount"] for t in before) / 10
    role.patch(regime="baseline")
    assert sum(t["amount"] for t in role.records("/truth")) == pytest.approx(sum(t["amount"] for t in after))


def test_a_killed_source_goes_on(tmp_path: Path) -> None:
    with serving(source.build, tmp_path) as role:
        role.patch(label_delay_s=0.0)
        hand_out(role, 3)
        truth, labels = role.get("/truth"), role.get("/labels")
    with (tmp_path / "handed.jsonl").open("a") as file:
        file.write('{"first": 3, "cou')
    with serving(source.build, tmp_path) as role:
        assert role.get("/truth") == truth
        assert role.get("/labels") == labels
        assert ids(hand_out(role, 1)) == ["t-0-3"]


def test_only_what_the_logs_keep_is_generated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOG_LIMIT", 30)
    with serving(source.build, tmp_path) as role:
        for _ in range(10):
            hand_out(role, 10)
        end = role.get("/truth?limit=10000")["next"]
    with serving(source.build, tmp_path) as role:
        kept = role.get("/truth?limit=10000")
        assert kept["next"] == end
        assert ids(kept["records"]) == [f"t-0-{seq}" for seq in range(70, 100)]
        assert ids(hand_out(role, 1)) == ["t-0-100"]


def test_reset_begins_an_epoch_and_keeps_cursors_going(role: Role) -> None:
    hand_out(role, 3)
    before = role.get("/truth")["next"]
    role.patch(regime="season")
    role.post("/admin/reset")
    assert role.get("/config") == dict(source.DEFAULTS)
    assert role.get(f"/truth?after={before}") == {"records": [], "next": before}
    assert ids(hand_out(role, 2)) == ["t-1-0", "t-1-1"]
    assert ids(role.records("/truth", before)) == ["t-1-0", "t-1-1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"regime": "sale"}, "unknown regime 'sale'"),
        ({"label_delay": 1.0}, "unknown setting 'label_delay'"),
        ({"labels_paused": 1}, "labels_paused must be bool, got int"),
        ({"label_delay_s": -1.0}, "must not be negative"),
    ],
)
def test_wrong_settings_are_refused_and_change_nothing(role: Role, changes: dict, said: str) -> None:
    assert said in role.patch(400, magnitude=2.0, **changes)["error"]
    assert role.get("/config") == dict(source.DEFAULTS)


def test_settings_survive_a_kill(tmp_path: Path) -> None:
    with serving(source.build, tmp_path) as role:
        role.patch(regime="shifted", label_delay_s=1)
    with serving(source.build, tmp_path) as role:
        config = role.get("/config")
        assert (config["regime"], config["label_delay_s"]) == ("shifted", 1.0)


@pytest.mark.parametrize("path", ["/next?count=0", "/next?count=1001", "/next?count=x", "/transactions?first=-1"])
def test_wrong_counts_are_refused(role: Role, path: str) -> None:
    assert role.status(path) == 400


def test_load_is_the_payments_in_order(role: Role) -> None:
    requests = list(islice(load.requests(7, urls={"source": role.url}), 25))
    assert ids(requests) == [f"t-0-{seq}" for seq in range(25)]
    first = requests[0]
    assert (first["method"], first["path"], first["body"]["id"]) == ("POST", "/decide", first["id"])


def test_load_waits_for_the_source(tmp_path: Path) -> None:
    port = free_port()
    with serving(source.build, tmp_path, port=port) as role:
        requests = load.requests(7, urls={"source": role.url})
        taken = list(islice(requests, load.CHUNK))
    gone(tmp_path)
    with serving(source.build, tmp_path, port=port):
        assert until(lambda: next(requests), "the load goes on")["id"] == f"t-0-{len(taken)}"
    requests.close()


def test_what_every_role_gives(role: Role) -> None:
    assert role.status("/health") == role.status("/ready") == 200
    assert set(role.get("/admin/clock")) == {"wall_ns", "monotonic_ns"}
    assert role.status("/nowhere") == 404
    hand_out(role, 4)
    assert role.metric("transactions_handed_out_total") == 4.0
