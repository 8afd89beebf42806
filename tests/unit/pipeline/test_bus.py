"""The bus delivers what it accepted, at least once to each group, and keeps the online store in its bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import bus
from tests.unit.pipeline.roles import WAIT_S, Role, serving, until


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    with serving(bus.build, tmp_path) as role:
        yield role


def append(role: Role, *numbers: int, stream: str = "s", pad: str = "") -> int:
    return role.post(f"/streams/{stream}", {"entries": [{"n": n, "pad": pad} for n in numbers]})["last"]


def read(role: Role, *, group: str = "g", count: int = 100, block_ms: int = 0) -> list:
    body = {"consumer": "c", "count": count, "block_ms": block_ms}
    return role.post(f"/streams/s/groups/{group}/read", body)["entries"]


def acknowledge(role: Role, entries: list, *, group: str = "g") -> None:
    role.post(f"/streams/s/groups/{group}/ack", {"ids": [entry_id for entry_id, _ in entries]})


def numbers(entries: list) -> list[int]:
    return [entry["n"] for _, entry in entries]


def test_each_group_gets_everything_once(role: Role) -> None:
    append(role, 1, 2)
    assert numbers(read(role, count=1)) == [1]
    append(role, 3)
    assert numbers(read(role)) == [2, 3]
    assert read(role) == []
    assert numbers(read(role, group="other")) == [1, 2, 3]


def test_what_is_not_acknowledged_comes_again(role: Role) -> None:
    append(role, 1, 2, 3)
    entries = read(role)
    acknowledge(role, entries[:1])
    assert read(role) == []
    role.patch(redeliver_after_s=0.0)
    assert numbers(read(role)) == [2, 3]
    acknowledge(role, entries)
    assert read(role) == []
    assert role.get("/streams/s/info")["groups"]["g"] == {"delivered": 3, "lag": 0, "pending": 0}


def test_a_waiting_read_wakes_and_blocks_nobody(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "BLOCK_MS_MAX", 3_600_000)  # it would come back by itself long after its caller gave up
    found: list = []
    thread = threading.Thread(target=lambda: found.extend(read(role, block_ms=bus.BLOCK_MS_MAX)))
    thread.start()
    until(lambda: role.get("/streams/s/info")["groups"], "the group waits")
    assert role.status("/health") == 200
    append(role, 7)
    thread.join(WAIT_S)
    assert numbers(found) == [7]


def test_a_read_gives_up_after_its_time(role: Role) -> None:
    assert read(role, block_ms=50) == []


def test_reading_by_cursor(role: Role) -> None:
    append(role, 1, 2, 3)
    first = role.get("/streams/s?limit=2")
    assert [r["entry"]["n"] for r in first["records"]] == [1, 2]
    rest = role.get(f"/streams/s?after={first['next']}")
    assert [r["entry"]["n"] for r in rest["records"]] == [3]
    assert role.get(f"/streams/s?after={rest['next']}") == {"records": [], "next": rest["next"]}


def test_a_killed_bus_has_all_it_accepted(tmp_path: Path) -> None:
    with serving(bus.build, tmp_path) as role:
        append(role, 1, 2)
        acknowledge(role, read(role, count=1))
        role.post("/kv/mset", {"items": {"k": {"value": {"x": 1}, "event_time": 5.0}}, "ttl_s": 60})
    with serving(bus.build, tmp_path) as role:
        assert numbers(read(role)) == [2]
        assert role.post("/kv/mget", {"keys": ["k"]})["items"]["k"] == {"value": {"x": 1}, "event_time": 5.0}


def test_reset_empties_and_ids_go_on(role: Role) -> None:
    last = append(role, 1, 2)
    read(role, count=1)
    role.post("/kv/mset", {"items": {"k": {"value": {}, "event_time": 5.0}}, "ttl_s": 60})
    role.post("/admin/reset")
    assert role.get(f"/streams/s?after={last}") == {"records": [], "next": last}
    assert role.post("/kv/mget", {"keys": ["k"]})["items"] == {"k": None}
    role.patch(redeliver_after_s=0.0)
    assert append(role, 3) > last
    assert numbers(read(role)) == [3]


def test_a_stream_keeps_its_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "TRIM_EVERY_S", 0.02)
    with serving(bus.build, tmp_path) as role:
        role.patch(max_entries=3)
        append(role, *range(10))
        until(lambda: role.get("/streams/s/info")["length"] == 3, "the stream is trimmed")
        assert numbers(read(role)) == [7, 8, 9]


def test_values_expire_and_absent_keys_are_null(role: Role) -> None:
    items = {"k": {"value": {"x": None}, "event_time": 5.0}}
    role.post("/kv/mset", {"items": items, "ttl_s": 60})
    role.post("/kv/mset", {"items": {"old": items["k"]}, "ttl_s": 0})
    assert role.post("/kv/mget", {"keys": ["k", "old", "no"]})["items"] == items | {"old": None, "no": None}


def put(role: Role, *keys: str, status: int = 200) -> dict:
    """A key of some 4 kB."""
    items = {key: {"value": {"x": "-" * 4000}, "event_time": 0.0} for key in keys}
    return role.post("/kv/mset", {"items": items, "ttl_s": 60}, status=status)


def kept(role: Role, *keys: str) -> list[str]:
    return [key for key, item in role.post("/kv/mget", {"keys": list(keys)})["items"].items() if item is not None]


def test_beyond_its_memory_the_oldest_keys_go(role: Role) -> None:
    role.patch(maxmemory_mb=2)
    keys = [f"k{i:03}" for i in range(400)]
    evicted = sum(put(role, *keys[i : i + 50])["evicted"] for i in range(0, 400, 50))
    left = kept(role, *keys)
    assert 0 < len(left) < 400
    assert left == keys[-len(left) :]
    assert role.metric("evicted_keys_total") == evicted == 400 - len(left)
    assert role.metric("store_used_bytes") < 2.4e6  # one write beyond the bound, of 50 keys


def test_a_stream_is_never_evicted_and_what_has_no_room_is_refused(role: Role) -> None:
    put(role, "a")
    append(role, *range(40), pad="-" * 40_000)
    role.patch(maxmemory_mb=1)
    assert "no key is left to evict" in put(role, "b", status=507)["error"]
    assert kept(role, "a", "b") == []
    role.post("/streams/s", {"entries": [{"n": 40}]}, status=507)
    assert numbers(read(role, count=100)) == list(range(40))
    role.patch(maxmemory_mb=64)
    assert put(role, "b") == {"written": 1, "evicted": 0}
    append(role, 40)
    assert numbers(read(role)) == [40]


@pytest.mark.parametrize("megabytes", [0, 1025, 1.5])
def test_a_bound_that_is_none_is_refused(role: Role, megabytes: float) -> None:
    role.patch(status=400, maxmemory_mb=megabytes)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/streams/s", {}),
        ("/streams/s", {"entries": [1]}),
        ("/streams/s/groups/g/ack", {"ids": ["1"]}),
        ("/kv/mset", {"items": {"k": 1}, "ttl_s": 1}),
        ("/kv/mget", {"keys": [1]}),
    ],
)
def test_junk_is_refused(role: Role, path: str, body: dict) -> None:
    assert "error" in role.post(path, body, status=400)
