"""What the API takes for a toxic and what it refuses, with and without `compat`; bodies and counters of our additions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from harness.proxy.api import Api
from harness.proxy.folder.link import Folders
from harness.proxy.lease import Leases
from harness.proxy.link import Links
from harness.proxy.loop import Loop
from harness.proxy.toxic import TYPES

_ports = itertools.count(1)

Ask = Callable[..., tuple[int, dict[str, object]]]


def asker(*, compat: bool) -> Ask:
    """The API without its server."""
    loop = Loop()
    links = Links(loop, 7, compat=compat)
    links.add(links.make("p", "127.0.0.1:0", "127.0.0.1:9"), start=False)
    folders = Folders(loop)
    api = Api(links, folders, Leases(loop, links, folders))

    def ask(method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, object]]:
        answer = api.answer(method, "/proxies/p/toxics" + path, query, json.dumps(body).encode())
        return answer.status, json.loads(json.dumps(answer.body))

    return ask


@pytest.fixture
def ask() -> Ask:
    return asker(compat=False)


@pytest.fixture
def compat() -> Ask:
    return asker(compat=True)


def make(ask: Ask, kind: str, *, per: str | None = None, toxicity: object = 1, **attributes: object) -> tuple[int, str]:
    """The status, and what is wrong."""
    body: dict[str, object] = {"name": f"t{next(_ports)}", "type": kind, "toxicity": toxicity}
    if attributes:
        body["attributes"] = attributes
    if per is not None:
        body["per"] = per
    status, answer = ask("POST", "", body)
    return status, str(answer.get("error", ""))


@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [
        ("bandwidth", {}, "rate 0 is out of range: legal are 1 to"),
        ("bandwidth", {"rate": 0}, "rate 0 is out of range"),
        ("bandwidth", {"rate": -1}, "rate -1 is out of range"),
        ("bandwidth", {"rat": 1}, "Did you mean 'rate'?"),
        ("slicer", {}, "average_size 0 is out of range"),
        ("slicer", {"average_size": 5, "size_variation": 5}, "size_variation 5 must be less than average_size 5"),
        ("slow_close", {"delay": -1}, "delay -1 is out of range"),
        ("slow_close", {"dealy": 1}, "Did you mean 'delay'?"),
        ("limit_data", {"bytes": -1}, "bytes -1 is out of range"),
        ("limit_data", {"byte": 1}, "Did you mean 'bytes'?"),
        ("timeout", {"timeout": 10**9}, "timeout 1000000000 is out of range: legal are 0 to 3600000"),
        ("latency", {"latency": True}, "bad request body: latency must be a whole number"),
        ("latency", {"latency": 1.0}, "bad request body: latency must be a whole number"),
        ("stall", {"loss": 1001}, "loss 1001 is out of range: legal are 0 to 1000"),
        ("stall", {"segment": 0}, "segment 0 is out of range"),
        ("corrupt", {}, "rate 0 is out of range"),
        ("corrupt", {"rate": 1, "bits": 9}, "bits 9 is out of range: legal are 1 to 8"),
        ("noop", {"x": 1}, "unknown attribute of noop 'x'"),
    ],
)
def test_what_is_refused(ask: Ask, kind: str, attributes: dict[str, object], says: str) -> None:
    status, error = make(ask, kind, **attributes)
    assert status == 400
    assert says in error
    assert ask("GET", "")[1] == []


@pytest.mark.parametrize("toxicity", [-0.1, 1.1, 7, "1", True])
def test_toxicity_is_a_share(ask: Ask, toxicity: object) -> None:
    assert make(ask, "latency", toxicity=toxicity)[0] == 400


def test_a_refused_update_changes_nothing(ask: Ask) -> None:
    _, before = ask("POST", "", {"name": "t", "type": "bandwidth", "attributes": {"rate": 5}})
    for body in (
        {"toxicity": 0.5, "attributes": {"rate": 0}},
        {"toxicity": 2, "attributes": {"rate": 9}},
        {"attributes": {"rate": 9}, "per": "record"},
    ):
        assert ask("PATCH", "/t", body)[0] == 400
    assert ask("GET", "/t") == (200, before)


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("per", ["connection", "request", "record"])
def test_each_toxic_says_what_it_may_be_drawn_for(ask: Ask, kind: str, per: str) -> None:
    needed: dict[str, object] = {"rate": 1, "average_size": 1}
    attributes = {key: value for key, value in needed.items() if key in TYPES[kind].attributes}
    status, error = make(ask, kind, per=per, **attributes)
    legal = [each.value for each in TYPES[kind].per]
    if per in legal:
        assert status == 200
    else:
        assert (status, error) == (400, f"{kind} can't be drawn per {per}: legal are {', '.join(legal)}")


def test_an_unknown_per_is_refused_with_the_nearest(ask: Ask) -> None:
    status, error = make(ask, "latency", per="requests")
    assert status == 400
    assert error == "unknown per 'requests'. Did you mean 'request'? Known: connection, request, record"


def test_per_is_shown_only_where_it_is_not_per_connection(ask: Ask) -> None:
    _, plain = ask("POST", "", {"type": "noop", "per": "connection"})
    assert list(plain) == ["attributes", "name", "type", "stream", "toxicity"]
    _, shown = ask("POST", "", {"name": "r", "type": "latency", "per": "record"})
    assert list(shown) == ["attributes", "name", "type", "stream", "toxicity", "per"]
    _, counted = ask("GET", "/r", counters="1")
    assert counted["affected"] == {"connections": 0, "chunks": 0, "bytes": 0, "records": 0, "unframed": 0}
    _, counted = ask("GET", "/noop_downstream", counters="1")
    assert counted["affected"] == {"connections": 0, "chunks": 0, "bytes": 0}


@pytest.mark.parametrize(
    ("given", "shown"), [(0.1, 0.1), (1 / 3, 0.33333334), (1.0, 1), (0, 0), (0.12345678, 0.12345678)]
)
def test_toxicity_is_shown_as_a_32_bit_number(ask: Ask, given: float, shown: float) -> None:
    assert ask("POST", "", {"type": "noop", "toxicity": given})[1]["toxicity"] == shown


# compat


def test_compat_takes_what_toxiproxy_takes_and_shows_it(compat: Ask) -> None:
    body = {"type": "latency", "toxicity": 7, "later": 1, "attributes": {"latency": -5, "jiter": 2, "jitter": 1 << 40}}
    assert compat("POST", "", body) == (
        200,
        {
            "attributes": {"latency": -5, "jitter": 1 << 40},
            "name": "latency_downstream",
            "type": "latency",
            "stream": "downstream",
            "toxicity": 7,
        },
    )
    assert compat("PATCH", "/latency_downstream", {"toxicity": -0.5, "x": 1})[1]["toxicity"] == -0.5


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("bandwidth", {"rate": 0}),
        ("slicer", {"average_size": 0}),
        ("slicer", {"average_size": 4, "size_variation": 4}),
        ("corrupt", {"rate": 10**6}),
        ("stall", {"segment": 0}),
        ("latency", {"latency": 1 << 63}),
        ("latency", {"latency": "1"}),
    ],
)
def test_compat_takes_nothing_that_hangs_or_kills(compat: Ask, kind: str, attributes: dict[str, object]) -> None:
    assert make(compat, kind, **attributes)[0] == 400


def test_compat_takes_no_toxicity_that_is_no_32_bit_number(compat: Ask) -> None:
    assert make(compat, "latency", toxicity=1e60)[0] == 400
