"""Ingest keeps rows with lineage, keeps bad ones apart, and lets operators take rows out and put them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import bus, ingest, schema
from pipeline.world import World
from tests.unit.pipeline.roles import Role, decision, serving, until

T = 1_000_000.0
WORLD = World(7)


@dataclass(frozen=True, slots=True)
class Pair:
    bus: Role
    ingest: Role

    def send(self, *records: dict) -> None:
        """Put decisions on the bus and wait until ingest has them."""
        last = self.bus.post("/streams/decisions", {"entries": list(records)})["last"]
        until(lambda: self.done(last), "ingest has acknowledged")

    def done(self, last: int) -> bool:
        group = self.bus.get("/streams/decisions/info")["groups"].get("ingest")
        return bool(group) and group["delivered"] >= last and not group["pending"]

    def ids(self) -> list[str]:
        return [row["id"] for row in self.ingest.records("/rows")]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with (
        serving(bus.build, tmp_path / "bus") as bus_role,
        serving(ingest.build, tmp_path / "ingest", BUS_URL=bus_role.url) as role,
    ):
        yield Pair(bus_role, role)


def payment(seq: int, **changes: object) -> dict:
    """The payment of that number, one a second from T on."""
    return WORLD.transactions(seq, 1, event_time=T + seq)[0] | changes


def test_rows_have_lineage(pair: Pair) -> None:
    pair.send(decision(payment(0), features=[1.5] * 8, model_version="3"))
    (row,) = pair.ingest.records("/rows")
    assert {name: row[name] for name in payment(0)} == payment(0)
    assert (row["features"], row["model_version"], row["decision"]) == ([1.5] * 8, "3", "approve")
    (line,) = pair.ingest.records("/lineage")
    assert (line["id"], line["status"]) == ("t-0-0", "stored")
    assert {name: row[name] for name in ("batch", "offset", "schema_hash")} == {
        name: line[name] for name in ("batch", "offset", "schema_hash")
    }
    assert row["schema_hash"] == schema.SCHEMA_HASH


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": None}, "amount: null"),
        ({"amount": "12,5"}, "amount: type"),
        ({"amount": 10_001.0}, "amount: range"),
        ({"country": "XX", "device": 4}, "country: range; device: type"),
    ],
)
def test_what_breaks_the_contract_is_quarantined(pair: Pair, changes: dict, reason: str) -> None:
    pair.send(decision(payment(0)), decision(payment(1, **changes)))
    assert pair.ids() == ["t-0-0"]
    (listed,) = pair.ingest.records("/quarantine")
    assert (listed["id"], listed["reason"]) == ("t-0-1", reason)
    assert [r["status"] for r in pair.ingest.records("/lineage")] == ["stored", "quarantined"]


def test_a_wrong_unit_is_stored_where_it_is_still_legal(pair: Pair) -> None:
    """That is what makes it dangerous."""
    rows = [payment(seq) for seq in range(40)]
    pair.send(*(decision(row | {"amount": row["amount"] * 100}) for row in rows))
    assert pair.ids() == [row["id"] for row in rows if row["amount"] * 100 <= 10_000]
    assert 0 < len(pair.ids()) < 40


def test_another_shape_has_another_hash(pair: Pair) -> None:
    renamed = payment(0)
    renamed["value"] = renamed.pop("amount")
    pair.send(decision(renamed), decision(payment(1, amount=3)))
    shapes = [r["schema_hash"] for r in pair.ingest.records("/lineage")]
    assert shapes[0] != schema.SCHEMA_HASH == shapes[1]
    assert pair.ingest.records("/quarantine")[0]["reason"] == "amount: missing"


def test_junk_is_a_row_too(pair: Pair) -> None:
    pair.send({"t": T}, {"transaction": [1], "t": "noon"}, decision(payment(2)))
    assert pair.ids() == ["t-0-2"]
    assert len(pair.ingest.records("/quarantine")) == 2


def test_duplicates_are_kept_apart(pair: Pair) -> None:
    pair.send(decision(payment(0)), decision(payment(0)))
    assert pair.ids() == ["t-0-0"]
    assert pair.ingest.records("/quarantine")[0]["reason"] == "id: duplicate"
    assert pair.ingest.get("/contract")["duplicate_share"] == 0.5
    pair.ingest.post("/ops/release", {"since": T})
    assert pair.ids() == ["t-0-0"]


def test_redelivery_changes_nothing(pair: Pair) -> None:
    pair.send(decision(payment(0)))
    pair.bus.patch(redeliver_after_s=0.0)
    entries = pair.bus.get("/streams/decisions")["records"]
    pair.ingest.post("/ops/replay", {"since": 0.0})
    assert len(entries) == len(pair.ingest.records("/lineage")) == 1


def test_quarantine_and_release_by_time_and_client(pair: Pair) -> None:
    pair.send(*(decision(payment(seq)) for seq in range(30)))
    everything = pair.ids()
    client = payment(12)["client_id"]
    chosen = [f"t-0-{s}" for s in range(10, 20) if payment(s)["client_id"] == client]
    ask = {"since": T + 10, "until": T + 19, "client_id": client, "reason": "wrong unit"}
    assert pair.ingest.post("/ops/quarantine", ask) == {"rows": len(chosen)}
    assert pair.ids() == [i for i in everything if i not in chosen]
    listed = pair.ingest.records("/quarantine")
    assert [(r["id"], r["reason"]) for r in listed] == [(i, "wrong unit") for i in chosen]
    assert pair.ingest.post("/ops/quarantine", ask) == {"rows": 0}
    assert pair.ingest.post("/ops/release", ask) == {"rows": len(chosen)}
    assert pair.ids() == everything
    assert [r["id"] for r in pair.ingest.records("/quarantine") if r.get("released")] == chosen
    statuses = [r["status"] for r in pair.ingest.records("/lineage") if r["id"] == chosen[0]]
    assert statuses == ["stored", "quarantined", "stored"]


def test_rows_on_their_way_are_quarantined_when_they_arrive(pair: Pair) -> None:
    pair.ingest.post("/ops/quarantine", {"since": T, "until": T + 5, "reason": "bad host"})
    pair.send(decision(payment(5)), decision(payment(6)))
    assert pair.ids() == ["t-0-6"]
    pair.ingest.post("/ops/release", {"since": T, "until": T + 5})
    pair.send(decision(payment(4)))
    assert pair.ids() == ["t-0-5", "t-0-6", "t-0-4"]


def test_release_leaves_what_breaks_the_contract(pair: Pair) -> None:
    pair.send(decision(payment(0, amount=None)))
    assert pair.ingest.post("/ops/release", {"since": T}) == {"rows": 0}
    assert pair.ids() == []


@pytest.fixture
def trims_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TRIM_EVERY_S", 0.05)


def test_replay_brings_what_was_lost(trims_often: None, pair: Pair) -> None:
    pair.send(*(decision(payment(seq)) for seq in range(3)))
    first = pair.ingest.get("/rows?limit=1")["next"]
    # Lost on the way: the bus has them, ingest acknowledged them, the rows are gone.
    assert pair.ingest.post("/ops/replay", {"since": T}) == {"rows": 0}
    pair.ingest.patch(max_rows=1)
    until(lambda: pair.ids() == ["t-0-2"], "rows are trimmed")
    pair.ingest.patch(max_rows=100)
    assert pair.ingest.post("/ops/replay", {"since": T + 1}) == {"rows": 1}
    assert pair.ids() == ["t-0-1", "t-0-2"]
    assert pair.ingest.get("/rows?limit=1")["next"] == first + 1


def test_pause_and_resume(pair: Pair) -> None:
    pair.send(decision(payment(0)))
    assert pair.ingest.post("/ops/pause") == pair.ingest.post("/ops/pause") == {"paused": True}
    # A read that was waiting when the pause came may still take what comes first.
    for seq in (1, 2, 3):
        pair.bus.post("/streams/decisions", {"entries": [decision(payment(seq))]})
    assert pair.ingest.get("/contract")["paused"] is True
    pair.ingest.post("/ops/resume")
    until(lambda: pair.ids() == [f"t-0-{seq}" for seq in range(4)], "the rest arrives")


def test_contract_report(pair: Pair) -> None:
    assert pair.ingest.get("/contract")["violation_share"] is None
    rows = [payment(seq) for seq in range(8)]
    rows[0]["amount"] = rows[1]["amount"] = None
    rows[2]["amount"] = -1.0
    pair.send(*(decision(row) for row in rows))
    report = pair.ingest.get("/contract")
    assert (report["rows"], report["violations"], report["violation_share"]) == (8, 3, 3 / 8)
    assert (report["null_share"], report["range_share"], report["type_share"]) == (2 / 8, 1 / 8, 0.0)
    assert (report["stored"], report["quarantined"]) == (5, 3)
    assert report["amount_max"] == max(row["amount"] for row in rows[3:])


def test_find_gives_stored_rows_only(pair: Pair) -> None:
    pair.send(decision(payment(0)), decision(payment(1, amount=None)))
    found = pair.ingest.post("/rows/find", {"ids": ["t-0-0", "t-0-1", "t-9-9"]})["records"]
    assert [row["id"] for row in found] == ["t-0-0"]


def test_a_killed_ingest_loses_nothing(tmp_path: Path) -> None:
    with serving(bus.build, tmp_path / "bus") as bus_role:
        with serving(ingest.build, tmp_path / "ingest", BUS_URL=bus_role.url) as role:
            Pair(bus_role, role).send(decision(payment(0)))
            lineage = role.get("/lineage")
        bus_role.patch(redeliver_after_s=0.2)
        bus_role.post("/streams/decisions", {"entries": [decision(payment(1))]})
        with serving(ingest.build, tmp_path / "ingest", BUS_URL=bus_role.url) as role:
            until(lambda: Pair(bus_role, role).ids() == ["t-0-0", "t-0-1"], "both rows are there")
            assert role.get("/lineage")["records"][0] == lineage["records"][0]
            assert [r["id"] for r in role.records("/lineage", lineage["next"])] == ["t-0-1"]


def test_not_ready_without_the_bus(tmp_path: Path) -> None:
    with serving(ingest.build, tmp_path, BUS_URL="http://127.0.0.1:9") as role:
        assert until(lambda: "bus" in role.get("/ready").get("reason", ""), "it says so")
        assert role.status("/ready") == 503


def test_reset_empties_and_drops_what_was_on_its_way(pair: Pair) -> None:
    pair.send(decision(payment(0)))
    before = pair.ingest.get("/lineage")["next"]
    pair.ingest.post("/ops/quarantine", {"since": 0.0, "until": 9e12})
    pair.ingest.post("/admin/reset")
    late, now = decision(payment(1)), decision(payment(2))
    now["t"] = 9e12
    pair.send(late, now)
    assert pair.ids() == ["t-0-2"]
    assert [r["id"] for r in pair.ingest.records("/lineage", before)] == ["t-0-2"]
    assert pair.ingest.get("/contract")["rows"] == 1


@pytest.mark.parametrize(
    ("op", "body"),
    [
        ("quarantine", {}),
        ("quarantine", {"since": "yesterday"}),
        ("release", {"since": 5.0, "until": 4.0}),
        ("replay", {}),
    ],
)
def test_wrong_arguments_are_refused(pair: Pair, op: str, body: dict) -> None:
    assert "error" in pair.ingest.post(f"/ops/{op}", body, status=400)


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Pair, sqlite3.Connection]]:
    """A pair whose rows lie on a disk that can be full: SQLite itself refuses, as it does when the system has no room."""
    opened: list[sqlite3.Connection] = []

    def open_and_keep(path: Path, tables: str) -> sqlite3.Connection:
        opened.append(bus.open_database(path, tables))
        return opened[-1]

    monkeypatch.setattr(ingest, "open_database", open_and_keep)
    with (
        serving(bus.build, tmp_path / "bus") as bus_role,
        serving(ingest.build, tmp_path / "ingest", BUS_URL=bus_role.url) as role,
    ):
        yield Pair(bus_role, role), opened[0]


def fill(rows: sqlite3.Connection) -> None:
    """No page more than there are."""
    rows.execute("PRAGMA max_page_count = 1")


def make_room(rows: sqlite3.Connection) -> None:
    rows.execute("PRAGMA max_page_count = 1000000")


def send_much(pair: Pair, *, first: int) -> list[str]:
    """More than fits into the pages that there are."""
    sent = [payment(seq) for seq in range(first, first + 100)]
    pair.bus.post("/streams/decisions", {"entries": [decision(row) for row in sent]})
    return [row["id"] for row in sent]


def test_on_a_full_disk_nothing_is_lost_and_the_newest_rows_are_asked_for_in_vain(small) -> None:
    pair, rows = small
    pair.send(decision(payment(0)))
    fill(rows)
    first = send_much(pair, first=1)
    until(lambda: pair.ingest.status("/ready") == 503, "ingest says that it can't do its job")
    assert "rows can't be written" in pair.ingest.get("/ready")["reason"]
    assert pair.ingest.metric("store_errors_total") >= 1
    assert pair.ingest.status("/rows") == 503
    second = send_much(pair, first=101)
    until(lambda: pair.ingest.metric("store_errors_total") >= 3, "it tries again")
    group = pair.bus.get("/streams/decisions/info")["groups"]["ingest"]
    assert (group["pending"], group["lag"]) == (len(first), len(second))  # held, and not even read

    make_room(rows)
    until(lambda: pair.ids() == ["t-0-0", *first, *second] if pair.ingest.status("/rows") == 200 else False, "all came")
    until(lambda: pair.ingest.status("/ready") == 200, "ingest is ready again")
    until(lambda: not pair.bus.get("/streams/decisions/info")["groups"]["ingest"]["pending"], "all is acknowledged")
    assert len(pair.ingest.records("/lineage")) == 201


def test_a_reset_forgets_what_is_held(small) -> None:
    pair, rows = small
    fill(rows)
    send_much(pair, first=0)
    until(lambda: pair.ingest.status("/ready") == 503, "ingest says that it can't do its job")
    make_room(rows)
    pair.bus.post("/admin/reset")
    pair.ingest.post("/admin/reset")
    until(lambda: pair.ingest.status("/ready") == 200, "ingest is ready again")
    assert pair.ingest.records("/rows") == []


def test_evict_takes_away_what_is_not_its_own(pair: Pair, tmp_path: Path) -> None:
    pair.send(decision(payment(0)))
    pair.ingest.patch(paused=False)  # leaves its settings on the disk
    (tmp_path / "ingest" / "core.4711").write_bytes(b"\0" * 100_000)
    (tmp_path / "ingest" / ".copy").write_bytes(b"\0" * 1000)
    assert pair.ingest.metric("state_foreign_bytes") == 101_000
    assert pair.ingest.post("/ops/evict") == {"files": 2, "freed_bytes": 101_000}
    assert pair.ingest.metric("state_foreign_bytes") == 0
    assert pair.ingest.post("/ops/evict")["files"] == 0
    assert {path.name for path in (tmp_path / "ingest").iterdir()} >= {"rows.sqlite", "config.json"}
    pair.send(decision(payment(1)))
    assert pair.ids() == ["t-0-0", "t-0-1"]


def test_room_on_the_disk_is_told(pair: Pair) -> None:
    assert pair.ingest.metric("state_free_bytes") > 0
