"""Faults of links that nobody could see are refused when planned, with what to declare; and how hits become an effect."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness import clock
from harness.contract.faults import PlannedFault
from harness.contract.probe import LinkProbe, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.plugin import draft, load
from tests.doubles.stub_target import StubTarget, VirtualClock, inventory

LINK = "gateway-features"
BARE = LinkProbe("GET", "/health", "/health")
"""Nobody says how much its answer has."""


def planned(name: str, arguments: dict[str, Json], *, probe: LinkProbe | None = None) -> PlannedFault:
    fault = load("fault", name)
    known = inventory()
    if probe is not None:
        known = msgspec.structs.replace(known, probes={LINK: probe})
    return fault.plan(draft(fault.declaration, arguments={"link": LINK, **arguments}, seed=3), known)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        (
            "link.bandwidth",
            {"rate": 2000},
            r"could not see 2 kB a second: 100 bytes take 50 ms .* bytes: 200B.* at most 1kB",
        ),
        (
            "link.bandwidth",
            {"rate": 50_000, "stream": "upstream"},
            r"carries 4000 bytes and no more, or take at most 40kB",
        ),
        ("link.slice", {"size": 100, "pause": 0.02}, r"wait 0 ms in all, .* slices of at most 16B"),
        ("link.stall", {"loss": 0.1}, r"0\.100 would meet a stall, and the witness needs 0\.25"),
        ("link.truncate", {"after": 100}, r"no more than 100 bytes for sure; .* bytes: 101B"),
        ("link.truncate", {"after": 4000, "stream": "upstream"}, r"take less than 4000B"),
        (
            "link.corrupt",
            {"rate": 0.001},
            r"answers of 100 bytes, which are too few; .*path: /an/answer/always/the/same",
        ),
        (
            "link.status",
            {"path": "/score"},
            r"asks /health, which '/score' doesn't hit; .* links\.gateway-features\.probe",
        ),
        ("link.status", {"method": "POST"}, r"makes a GET, and POST would be hit"),
        (
            "link.headers",
            {"header": "Server", "share": 0.004},
            r"share: 0\.004 is too small: the witness would take \d+ s",
        ),
    ],
)
def test_what_the_witness_could_not_see_is_refused(name: str, arguments: dict[str, Json], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        planned(name, arguments, probe=BARE)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("link.bandwidth", {"rate": 40_000}),
        ("link.slice", {"size": 100, "pause": 0.02}),
        ("link.stall", {"loss": 0.1}),
        ("link.truncate", {"after": 3999}),
        ("link.corrupt", {"rate": 0.001}),
        ("link.status", {"path": "/s*", "method": "post"}),
    ],
)
def test_a_declared_probe_makes_it_possible(name: str, arguments: dict[str, Json]) -> None:
    probe = LinkProbe("POST" if "method" in arguments else "GET", "/scores", "/scores", 4000)
    assert planned(name, arguments, probe=probe).fault == name


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("link.bandwidth", {"rate": 1500}, "whole kB"),
        ("link.bandwidth", {"rate": 0}, "legal: whole kB from 1kB"),
        ("link.slice", {"size": 0}, "legal: from 1B"),
        ("link.slice", {"size": 10, "pause": 0.0}, "pause: 0 s is out of range"),
        ("link.stall", {"loss": 0.5, "stall": 0.01}, "stall: 0.01 s is out of range"),
        ("link.slow-close", {"delay": 0.01}, "legal: from 100ms"),
        ("link.truncate", {"after": -1}, "legal: from 0B"),
        ("link.corrupt", {"rate": 0.5}, "rate: 0.5 is out of range"),
        ("link.corrupt", {"rate": 0.05, "bits": 9}, "legal: from 1 to 8"),
        ("link.status", {"status": 100}, "legal: 200 to 599"),
        ("link.status", {"status": 204}, "204 can't be given"),
        ("link.headers", {"header": "Content-Length"}, "can't be changed"),
        ("data.null", {"column": "amount", "keys": "tx*"}, "keys: means nothing on a link that carries http"),
        (
            "data.null",
            {"column": "amount", "carries": "redis", "path": "/a"},
            "path: means nothing on a link that carries redis",
        ),
        ("data.null", {"column": "amount", "carries": "redis", "record": "$.rows"}, "a path needs `field`"),
        ("link.headers", {"header": "X", "value": "a\r\nb"}, "no value of a header"),
    ],
)
def test_what_is_out_of_range_is_refused_with_what_is_legal(name: str, arguments: dict[str, Json], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        planned(name, arguments)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> StubTarget:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    stub = StubTarget(time)
    stub.advance(1.0)
    return stub


class Told:
    """A target whose probes are as told, one after the other."""

    def __init__(self, target: StubTarget, *readings: ProbeReading) -> None:
        self._target, self._readings = target, list(readings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def probe(self, link: str, *, ask: object = None) -> ProbeReading:
        return self._readings.pop(0)


def effects(name: str, arguments: dict[str, Json], target: StubTarget, *readings: ProbeReading) -> list[Effect]:
    fault, plan = load("fault", name), planned(name, arguments)
    prepared = fault.prepare(plan, target)
    told, memory = Told(target, *readings), dict[str, Any]()
    return [fault.witness(plan, prepared, told, memory).effect for _ in readings]


def sound(target: StubTarget) -> ProbeReading:
    return target.probe(LINK)


def test_one_slow_answer_is_the_machine_s_own_and_two_are_the_fault(target: StubTarget) -> None:
    quick = sound(target)
    slow = msgspec.structs.replace(quick, seconds=quick.seconds + 0.6)
    seen = effects("link.bandwidth", {"rate": 8000}, target, quick, slow, quick, slow, slow, quick)
    absent, unknown, present = Effect.ABSENT, Effect.UNKNOWN, Effect.PRESENT
    assert seen == [absent, unknown, absent, unknown, present, absent]


def test_an_answer_that_is_late_but_whole_is_not_in_slices(target: StubTarget) -> None:
    quick = sound(target)
    late = msgspec.structs.replace(quick, seconds=quick.seconds + 0.6)
    assert effects("link.slice", {"size": 200}, target, late, late) == [Effect.UNKNOWN] * 2


def test_an_answer_that_has_changed_for_good_is_not_damaged(target: StubTarget) -> None:
    changed = msgspec.structs.replace(sound(target), digest="after a restart")
    flipped = [msgspec.structs.replace(sound(target), digest=f"flipped {n}") for n in range(2)]
    seen = effects("link.corrupt", {"rate": 0.1}, target, changed, *[changed] * 12, *flipped)
    assert seen[0] is Effect.PRESENT  # one that differs is damaged, until it comes again
    assert seen[12] is Effect.ABSENT
    assert seen[-1] is Effect.PRESENT


def test_a_link_that_is_down_is_neither_slow_nor_cut_off_nor_damaged(target: StubTarget) -> None:
    down = ProbeReading(answered=False, seconds=0.001, error="connection refused", ended="refused")
    for name, arguments in (
        ("link.bandwidth", {"rate": 8000}),
        ("link.slow-close", {"delay": 0.5}),
        ("link.truncate", {"after": 10}),
        ("link.corrupt", {"rate": 0.1}),
        ("link.status", {}),
        ("link.headers", {"header": "Server"}),
    ):
        assert effects(name, arguments, target, down, down) == [Effect.UNKNOWN] * 2, name


def test_what_nobody_tells_is_no_baseline(target: StubTarget) -> None:
    """A container without python3: answered or not is all that is told."""
    told = Told(target, *[ProbeReading(answered=True, seconds=0.01)] * 5)
    fault, plan = load("fault", "link.truncate"), planned("link.truncate", {"after": 10})
    with pytest.raises(EnvironmentProblem, match="nobody there tells how an answer came"):
        fault.prepare(plan, told)
    told = Told(target, *[ProbeReading(answered=True, seconds=0.01)] * 5)
    fault, plan = load("fault", "link.latency"), planned("link.latency", {"latency": 0.3})
    assert fault.prepare(plan, told).undos


def test_what_nobody_tells_any_more_is_no_effect(target: StubTarget) -> None:
    untold = ProbeReading(answered=True, seconds=0.01)
    assert effects("link.headers", {"header": "Server"}, target, untold, untold) == [Effect.UNKNOWN] * 2


def test_another_status_than_before_and_than_was_injected_tells_neither(target: StubTarget) -> None:
    other = msgspec.structs.replace(sound(target), status=500)
    injected = msgspec.structs.replace(sound(target), status=503)
    assert effects("link.status", {}, target, other, sound(target)) == [Effect.UNKNOWN, Effect.ABSENT]
    assert effects("link.status", {}, target, injected) == [Effect.PRESENT]


def test_a_status_that_is_there_already_is_no_fault(target: StubTarget) -> None:
    fault, plan = load("fault", "link.status"), planned("link.status", {"status": 200})
    with pytest.raises(EnvironmentProblem, match="answered 200 already"):
        fault.prepare(plan, target)


def test_a_share_of_requests_is_said_in_the_toxic(target: StubTarget) -> None:
    fault = load("fault", "link.latency")
    plan = planned("link.latency", {"latency": 0.3, "share": 0.5, "per": "request"})
    (undo,) = fault.prepare(plan, target).undos
    assert undo.point == Point(PointKind.TOXIC, f"{LINK}/fault-0")
    assert (undo.injected["per"], undo.injected["toxicity"]) == ("request", 0.5)
    assert "per" not in fault.prepare(planned("link.latency", {"latency": 0.3}), target).undos[0].injected
