"""Folder links in a running proxy: what passes and what doesn't, taps, leases, and the ends of the process."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.proxy.client import ProxyClient, ProxyRefused
from tests.unit.proxy.support import WAIT_S, start_proxy, until

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
_names = itertools.count()


@dataclass
class Drop:
    """A folder link and its two directories."""

    client: ProxyClient
    name: str
    source: Path
    target: Path

    def call(self, method: str, path: str = "", body: object = None) -> Any:
        return self.client._call(method, f"/folders/{self.name}{path}", body)

    def put(self, name: str | bytes, body: bytes) -> Path:
        """Renamed in, as a careful producer does."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.source), os.fsencode(name))))
        hidden = self.source / ".made"
        hidden.write_bytes(body)
        hidden.rename(path)
        return path

    def arrived(self) -> list[bytes]:
        return [name for name in os.listdir(os.fsencode(self.target)) if not name.startswith(b".")]

    def wait(self, *names: bytes) -> None:
        until(lambda: set(self.arrived()) >= set(names))

    def looked(self) -> None:
        """Whatever was there has been looked at since: a file that was dropped later has arrived."""
        name = f"{next(_names)}.seen"
        self.put(name, b"")
        self.wait(name.encode())
        (self.target / name).unlink()

    def tap(self, **fields: object) -> None:
        self.call("POST", "/taps", {"name": "tap", "corrupt": SCALE, **fields})


@pytest.fixture
def make(client: ProxyClient, tmp_path: Path) -> Iterator[Callable[..., Drop]]:
    made: list[Drop] = []

    def make(**fields: object) -> Drop:
        name = f"folder-{next(_names)}"
        drop = Drop(client, name, tmp_path / name / "a", tmp_path / name / "b")
        drop.source.mkdir(parents=True)
        drop.target.mkdir()
        body = {"name": name, "from": str(drop.source), "to": str(drop.target), "settle_ms": 0, **fields}
        client._call("POST", "/folders", body)
        made.append(drop)
        return drop

    yield make
    for drop in made:
        if drop.name in client._call("GET", "/folders"):
            drop.call("DELETE")


def test_files_pass_as_they_are_whatever_their_names(make: Callable[..., Drop]) -> None:
    drop = make()
    path = drop.source / ".first"
    path.write_bytes(b"\x00\xff" * 1000)
    path.chmod(0o640)
    os.utime(path, ns=(1, 1_500_000_000_000_000_007))
    path.rename(drop.source / "z")
    drop.call("POST", body={"enabled": False})
    names = [b"z", b"m\nline", b"\xff\xfe", b"a"]
    for name in names[1:]:
        drop.put(name, name)
    drop.call("PATCH", body={"enabled": True})
    drop.wait(*names)
    assert set(drop.arrived()) == set(names)
    status = (drop.target / "z").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 1_500_000_000_000_000_007)
    assert (drop.target / "z").read_bytes() == b"\x00\xff" * 1000


def test_only_regular_visible_finished_files_of_the_pattern_pass(make: Callable[..., Drop], tmp_path: Path) -> None:
    drop = make(pattern="*.[cs]*")
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"id\n")
    (drop.source / "link.csv").symlink_to(secret)
    (drop.source / "dir.csv").mkdir()
    os.mkfifo(drop.source / "pipe.csv")
    stay = {"link.csv", "dir.csv", "pipe.csv"}
    for name in (".hidden.csv", "x.csv.tmp", "x.csv.part", "other.txt"):
        drop.put(name, b"1")
        stay.add(name)
    drop.put("x.csv", b"1")
    drop.wait(b"x.csv")
    drop.looked()
    assert drop.arrived() == [b"x.csv"]
    assert {path.name for path in drop.source.iterdir()} == {*stay, ".mldrill-folder"}


def test_a_file_that_is_still_written_waits_until_it_stands_still(make: Callable[..., Drop]) -> None:
    settle_s = 0.4
    drop = make(settle_ms=round(1000 * settle_s))

    def was_written_without_a_pause() -> bool:
        """For longer than it takes to settle. Where this was held up meanwhile the file did stand still: once more."""
        name = f"{next(_names)}.log"
        last_s = began_s = time.monotonic()
        with (drop.source / name).open("wb", buffering=0) as writer:
            while last_s < began_s + 3 * settle_s:
                now_s = time.monotonic()
                writer.write(b"x")
                arrived = name.encode() in drop.arrived()
                if time.monotonic() - last_s >= settle_s:
                    return False
                assert not arrived
                last_s = now_s
                time.sleep(0.01)
        drop.wait(name.encode())
        return True

    until(was_written_without_a_pause)


def test_while_the_link_is_disabled_files_wait(make: Callable[..., Drop]) -> None:
    drop, beside = make(enabled=False), make()
    drop.put("x", b"1")
    beside.looked()
    beside.looked()
    until(lambda: drop.call("GET")["waiting"] == 1)
    assert drop.arrived() == []
    drop.call("POST", body={"enabled": True})
    drop.wait(b"x")


def test_a_tap_damages_and_tells_which(make: Callable[..., Drop]) -> None:
    drop = make()
    drop.tap()
    drop.put("x.csv", b"id,amount\na,5\nb,\nc,2.5\n")
    drop.put("y.jsonl", b'{"id":"d","amount":1}\n')
    drop.put("z.bin", b"id,amount\na,5\n")
    drop.wait(b"x.csv", b"y.jsonl", b"z.bin")
    assert (drop.target / "x.csv").read_bytes() == b"id,amount\na,500\nb,\nc,250.0\n"
    assert (drop.target / "y.jsonl").read_bytes() == b'{"id":"d","amount":100}\n'
    assert (drop.target / "z.bin").read_bytes() == b"id,amount\na,5\n"
    until(lambda: drop.call("GET")["affected"]["files"] == 3)
    page = drop.call("GET", "/taps/tap/mask")
    assert [record["id"] for record in page["records"]] == ["a", "c", "d"]
    counters = drop.call("GET", "/taps/tap")["counters"]
    assert (counters["messages"], counters["records"], counters["records_damaged"]) == (2, 4, 3)
    assert counters["passed"] == {"format": 1}
    drop.call("DELETE", "/taps/tap")
    drop.put("x.csv", b"id,amount\na,5\n")
    until(lambda: (drop.target / "x.csv").read_bytes() == b"id,amount\na,5\n")
    assert drop.call("GET", "/taps/tap/mask")["next"] == 3


def test_records_without_ids_are_counted_through_the_files(make: Callable[..., Drop]) -> None:
    half = {"type": "missing", "columns": ["amount"], "dose": 0.5, "seed": 3}
    results: list[bytes] = []
    for sizes in ((60,), (25, 35)):
        drop = make()
        drop.tap(corrupt=half)
        got = b""
        for n, size in enumerate(sizes):
            drop.put(f"{n}.csv", b"amount\n" + b"5\n" * size)
            drop.wait(b"%d.csv" % n)
            got += (drop.target / f"{n}.csv").read_bytes().removeprefix(b"amount\n")
        results.append(got)
    assert results[0] == results[1]
    assert 15 < results[0].count(b"5") < 45


def test_a_lease_lifts_the_tap_and_the_pause_and_never_the_link(make: Callable[..., Drop]) -> None:
    drop = make()
    for lease in ("one", "two"):
        drop.client._call("POST", "/leases", {"id": lease, "ttl_ms": 60_000})
    drop.tap(lease="one")
    drop.call("POST", body={"enabled": False, "lease": "two"})
    drop.put("x.csv", b"id,amount\na,5\n")
    drop.client._call("DELETE", "/leases/one")
    assert drop.call("GET")["taps"] == []
    assert not drop.call("GET")["enabled"]
    drop.client._call("DELETE", "/leases/two")
    drop.wait(b"x.csv")
    assert (drop.target / "x.csv").read_bytes() == b"id,amount\na,5\n"
    with pytest.raises(ProxyRefused, match="lease not found"):
        drop.tap(lease="one")


def test_deleting_a_link_leaves_nothing_behind(make: Callable[..., Drop]) -> None:
    drop = make()
    drop.tap()
    drop.put("x.csv", b"id,amount\na,5\n")
    drop.wait(b"x.csv")
    drop.call("DELETE")
    until(lambda: os.listdir(drop.source) == [] and os.listdir(drop.target) == ["x.csv"])
    with pytest.raises(ProxyRefused, match="folder not found"):
        drop.call("GET")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"from": "relative"}, "absolute path"),
        ({"to": ""}, "missing required field: to"),
        ({"from": "/nowhere/at/all"}, "No such file"),
        ({"patern": "*"}, "pattern"),
        ({"settle_ms": -1}, "settle_ms"),
    ],
)
def test_what_is_refused(client: ProxyClient, tmp_path: Path, change: dict[str, object], told: str) -> None:
    body = {"name": "bad", "from": str(tmp_path), "to": str(tmp_path / "b"), **change}
    (tmp_path / "b").mkdir()
    with pytest.raises(ProxyRefused, match=told):
        client._call("POST", "/folders", body)


def test_two_links_of_one_source_and_a_link_to_itself_are_refused(make: Callable[..., Drop], tmp_path: Path) -> None:
    drop = make()
    for target, told in ((tmp_path, "another folder link"), (drop.source, "same directory")):
        body = {"name": "second", "from": str(drop.source), "to": str(target)}
        with pytest.raises(ProxyRefused, match=told):
            drop.client._call("POST", "/folders", body)
    drop.looked()


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_long_file_survives_the_end_of_the_process(tmp_path: Path, ending: str) -> None:
    """SIGTERM finishes the file in hand; after SIGKILL the next proxy begins it anew. Memory stays bounded meanwhile."""
    row = b'{"id":"%d","amount":5,"note":"' + b"x" * 200 + b'"}\n'
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    count = 10_000 if ending == "terminate" else 100_000
    body = {"name": "f", "from": str(source), "to": str(target), "settle_ms": 0}

    def ended_with_it_in_hand() -> bool:
        """False where this was held up for so long that it was through before its end came: then once more."""
        (target / "x.jsonl").unlink(missing_ok=True)
        (tmp_path / "x").write_bytes(b"".join(row % n for n in range(count)))
        first = start_proxy(patient=True)
        client = ProxyClient(first.api, timeout_s=WAIT_S)
        client._call("POST", "/folders", body)
        client._call("POST", "/folders/f/taps", {"name": "tap", "corrupt": SCALE})
        (tmp_path / "x").rename(source / "x.jsonl")
        until(lambda: client._call("GET", "/folders/f")["in_hand"] == "x.jsonl" or (target / "x.jsonl").exists())
        through = (target / "x.jsonl").exists()
        if ending == "terminate":
            assert first.end() == 0
            return not through
        first.process.kill()
        first.process.wait(WAIT_S)
        return not (target / "x.jsonl").exists()

    until(ended_with_it_in_hand, within_s=60)
    if ending == "kill":
        second = start_proxy(patient=True)
        client = ProxyClient(second.api, timeout_s=WAIT_S)
        client._call("POST", "/folders", body | {"enabled": False})
        client._call("POST", "/folders/f/taps", {"name": "tap", "corrupt": SCALE})
        client._call("POST", "/folders/f", {"enabled": True})
        until(lambda: (target / "x.jsonl").exists(), within_s=60)
        assert second.end() == 0
    with (target / "x.jsonl").open("rb") as arrived:
        for n in range(count):
            assert arrived.readline() == (row % n).replace(b'"amount":5', b'"amount":500')
        assert arrived.readline() == b""
    assert os.listdir(source) == []
