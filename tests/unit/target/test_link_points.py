"""Points of links on our own proxy: what is set stands there as it was meant, can be taken back, and goes with its lease."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.errors import EnvironmentProblem, UsageError
from harness.proxy.client import Kind, ProxyClient
from harness.spec.target import TargetSpec
from harness.target import borrowed, restoring
from harness.target.links import LinkPoints
from tests.unit.proxy.support import start_proxy

CORRUPT: Json = {"type": "missing", "columns": ["amount"], "dose": 1.0, "seed": 3}
VALUES: list[tuple[PointKind, Json]] = [
    (PointKind.TOXIC, {"type": "latency", "attributes": {"latency": 1}}),
    (PointKind.TOXIC, {"type": "latency", "attributes": {"latency": 1}, "toxicity": 0.5, "per": "request"}),
    (PointKind.TOXIC, {"type": "stall", "attributes": {"loss": 5, "stall": 100, "segment": 10}, "stream": "upstream"}),
    (PointKind.TOXIC, {"type": "corrupt", "attributes": {"rate": 5, "bits": 2}}),
    (PointKind.TAP, {"corrupt": CORRUPT}),
    (PointKind.TAP, {"corrupt": CORRUPT, "format": "csv", "stream": "upstream", "match": {"path": "/a*"}}),
    (PointKind.TAP, {"corrupt": CORRUPT, "kind": "redis", "keys": "tx:*", "field": "payload", "stream": "upstream"}),
    (PointKind.TAP, {"corrupt": CORRUPT, "kind": "redis"}),
    (PointKind.TAP, {"status": 503, "share": 0.25, "stream": "upstream", "match": {"method": "POST"}}),
    (PointKind.TAP, {"delay_ms": 20}),
    (PointKind.TAP, {"headers": {"set": {"X-A": "b"}, "remove": ["Server"]}}),
    (PointKind.LINK_UP, False),
]


def spec(**more: Json) -> TargetSpec:
    services = {"a": {"role": "a", "url": "http://127.0.0.1:1"}, "b": {"role": "b", "url": "http://127.0.0.1:1"}}
    links = {"a-b": {"from": "a", "to": "b"}}
    return TargetSpec.model_validate({"target": "t", "driver": "stub", "services": services, "links": links, **more})


@pytest.fixture(scope="module")
def client() -> Iterator[ProxyClient]:
    process = start_proxy()
    yield ProxyClient(process.api, timeout_s=30)
    assert process.end() == 0


@pytest.fixture
def points(client: ProxyClient) -> Iterator[LinkPoints]:
    client.populate([{"name": "a-b", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
    yield LinkPoints(spec(), proxy=lambda: client, lease="mine", lease_s=600.0)
    client.reset()


def place(kind: PointKind) -> Point:
    return Point(kind, "a-b" if kind is PointKind.LINK_UP else "a-b/fault-0")


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_what_is_set_stands_as_it_was_meant_and_is_taken_back(points: LinkPoints, kind: PointKind, value: Json) -> None:
    before = points.get(place(kind))
    points.set(place(kind), value)
    points.set(place(kind), value)
    assert restoring.normal(kind, points.get(place(kind))) == restoring.normal(kind, value)
    undo = Undo(driver="stub", instance="x", point=place(kind), injected=value, restore=before)
    assert restoring.restore(undo, get=points.get, set=points.set) is UndoOutcome.RESTORED
    assert points.get(place(kind)) == before
    assert restoring.restore(undo, get=points.get, set=points.set) is UndoOutcome.ALREADY


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_it_goes_with_its_lease(points: LinkPoints, client: ProxyClient, kind: PointKind, value: Json) -> None:
    before = points.get(place(kind))
    points.set(place(kind), value)
    assert points.get(place(kind)) != before
    client.drop_lease("mine")
    assert points.get(place(kind)) == before


LATE: Json = {"type": "latency", "attributes": {"latency": 1}, "toxicity": 0.5}


@pytest.mark.parametrize(
    ("kind", "injected", "changed"),
    [
        (PointKind.TAP, {"status": 503, "share": 0.25}, {"status": 503, "share": 0.5}),
        (PointKind.TAP, {"corrupt": CORRUPT}, {"corrupt": CORRUPT, "format": "csv"}),
        (PointKind.TAP, {"corrupt": CORRUPT, "kind": "redis"}, {"corrupt": CORRUPT, "kind": "redis", "keys": "a*"}),
        (PointKind.TOXIC, LATE | {"per": "request"}, LATE),
    ],
)
def test_what_somebody_changed_is_a_repair(points: LinkPoints, kind: PointKind, injected: Json, changed: Json) -> None:
    points.set(place(kind), changed)
    standing = points.get(place(kind))
    undo = Undo(driver="stub", instance="x", point=place(kind), injected=injected, restore=None)
    assert restoring.restore(undo, get=points.get, set=points.set) is UndoOutcome.REPAIRED
    assert standing is not None
    assert points.get(place(kind)) == standing


@pytest.fixture
def unleased(client: ProxyClient) -> Iterator[LinkPoints]:
    client.drop_lease("mine")
    client.populate([{"name": "their name", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
    described = spec(proxy={"kind": "toxiproxy"})
    yield LinkPoints(described, proxy=lambda: client, lease="mine", lease_s=600.0, names={"a-b": "their name"})
    client.reset()
    client.delete_proxy("their name")


def test_without_leases_nothing_goes_by_itself_and_a_lost_proxy_is_told(
    unleased: LinkPoints, client: ProxyClient
) -> None:
    point = place(PointKind.TOXIC)
    unleased.set(point, {"type": "latency", "attributes": {"latency": 1}})
    unleased.renew()
    assert client.proxy("their name").toxics[0].lease == ""
    assert "mine" not in client.leases()
    client.delete_proxy("their name")
    assert unleased.forgotten(point)
    with pytest.raises(EnvironmentProblem, match="has no proxy their name: was it restarted"):
        unleased.renew()
    with pytest.raises(UsageError, match="has no taps"):
        unleased.set(place(PointKind.TAP), {"status": 503})


def test_what_went_with_its_proxy_is_told_apart_from_what_can_not_be_asked(unleased: LinkPoints) -> None:
    point = place(PointKind.TOXIC)
    assert not unleased.forgotten(point)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        described = spec(proxy={"kind": "toxiproxy"})
        nobody = ProxyClient(address, timeout_s=0.1)
        assert LinkPoints(described, proxy=lambda: nobody, lease="", lease_s=600.0).forgotten(point)
        assert not LinkPoints(spec(), proxy=lambda: nobody, lease="mine", lease_s=600.0).forgotten(point)
        sock.listen(4)
        assert not LinkPoints(described, proxy=lambda: nobody, lease="", lease_s=600.0).forgotten(point)


def test_only_what_a_run_has_set_is_cleared(client: ProxyClient) -> None:
    client.populate([{"name": "theirs", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
    for name in ("fault-0", "parted-upstream", "their-own"):
        client.add_toxic("theirs", name=name, type="latency", attributes={"latency": 1})
    client.set_enabled("theirs", False)
    assert borrowed.left(client, ["theirs"]) == ("theirs/fault-0", "theirs/parted-upstream", "theirs")
    borrowed.clear(client, ["theirs", "gone"])
    assert [toxic.name for toxic in client.proxy("theirs").toxics] == ["their-own"]
    assert borrowed.left(client, ["theirs"]) == ()
    borrowed.remove(client, ["theirs", "gone"])
    assert "theirs" not in client.proxies()


def test_ours_is_known_by_its_leases(client: ProxyClient) -> None:
    assert client.kind() is Kind.OURS
    borrowed.require_kind(client, None)


@pytest.mark.parametrize(
    ("driver", "proxy", "says"),
    [
        ("embedded", {}, "needs `api`"),
        ("docker", {"api": "127.0.0.1:8474"}, "is for the embedded driver"),
    ],
)
def test_a_proxy_that_can_not_be_reached_so_is_refused(driver: str, proxy: Json, says: str) -> None:
    make: Callable[..., TargetSpec] = spec
    with pytest.raises(ValueError, match=says):
        make(driver=driver, proxy=proxy, docker={"project": "p", "allow": ["a"]})
