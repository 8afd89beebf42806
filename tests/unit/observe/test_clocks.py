"""Times told by a clock that is not ours: a Prometheus that is an hour off, slow, silent, or set while we look."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.clock import clock_pair, now_ns, wall_ns
from harness.contract.words import Layer, Severity
from harness.history.events import AlertReceived, AnyEvent, ClockPair, Note
from harness.observe import clocks, pager
from harness.observe.clocks import PROMETHEUS_NS, SourceClock, asked_at, converter, shown
from harness.observe.pager import PagerSink
from harness.spec.plan import PlannedRule

OFF_NS = 3_600_000_000_000
RULES = (PlannedRule(name="Broken", layer=Layer.AVAILABILITY, severity=Severity.PAGE, hold_s=1.0),)
LABELS = {"alertname": "Broken"}


class Elsewhere(ThreadingHTTPServer):
    """Prometheus on a host whose clock is `off_ns` ahead: tells its time, and since when the alert is active by it."""

    daemon_threads = True

    def __init__(self) -> None:
        self.off_ns = OFF_NS
        self.tells_time = True
        self.active_ns = 0
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def text(self, at_ns: int) -> str:
        """A moment of our wall clock as this host would tell it."""
        return datetime.fromtimestamp((at_ns + self.off_ns) / 1e9, UTC).isoformat()

    def answer(self, path: str) -> Any:
        now = wall_ns() + self.off_ns
        if path == "/admin/clock" and self.tells_time:
            return {"wall_ns": now, "monotonic_ns": 17}
        if path == "/api/v1/query?query=time()" and self.tells_time:
            told = f"{now // 1_000_000 / 1000:.3f}"
            return {"status": "success", "data": {"resultType": "scalar", "result": [float(told), told]}}
        if path == "/api/v1/alerts":
            alerts = [{"labels": LABELS, "state": "firing", "activeAt": self.text(self.active_ns)}]
            return {"status": "success", "data": {"alerts": alerts}}
        return None


class Answering(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        told = self.server.answer(self.path)
        body = json.dumps(told).encode()
        self.send_response(404 if told is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture(autouse=True)
def all_the_time_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whom we ask: on a busy machine an answer may be long in coming."""
    monkeypatch.setattr(clocks, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(pager, "ACTIVE_TIMEOUT_S", 60.0)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def one_moment() -> tuple[int, int]:
    """By our monotonic clock and by our wall clock, and no stall between the two."""
    for _ in range(1000):
        mono, wall, error = clock_pair()
        if error < 20_000:
            return mono, wall
    raise AssertionError("no two clocks could be read at once")


def page(elsewhere: Elsewhere, *, clock_url: str | None = None) -> tuple[AlertReceived, list[AnyEvent], dict[str, int]]:
    """An alert whose condition became true 5 s ago and that fired 4 s ago: as received, with the truth in our clock."""
    events: list[AnyEvent] = []
    sink = PagerSink(
        port=0, rules=RULES, active_url=f"{elsewhere.url}/api/v1/alerts", clock_url=clock_url, put=events.append
    )
    mono, wall = one_moment()
    elsewhere.active_ns = wall - 5_000_000_000
    starts = elsewhere.text(wall - 4_000_000_000)
    received = now_ns()
    sink.receive(
        json.dumps({"alerts": [{"labels": LABELS, "status": "firing", "startsAt": starts}]}).encode(), received
    )
    alert = next(event for event in events if isinstance(event, AlertReceived))
    return alert, events, {"cond": mono - 5_000_000_000, "fire": mono - 4_000_000_000, "page": received}


@pytest.mark.parametrize("path", [None, "/admin/clock"], ids=["beside Prometheus' alerts", "declared"])
def test_sense_hold_and_deliver_come_out_right_by_a_clock_that_is_off(elsewhere: Elsewhere, path: str | None) -> None:
    alert, events, truth = page(elsewhere, clock_url=None if path is None else elsewhere.url + path)
    assert (alert.starts_ns, alert.active_ns) != (None, None)
    error = alert.clock_error_ns
    assert abs(alert.active_ns - truth["cond"]) <= error  # sense ends here
    assert abs((alert.t_ns - alert.starts_ns) - (truth["page"] - truth["fire"])) <= error  # deliver
    assert abs((alert.starts_ns - alert.active_ns) - 1_000_000_000) <= 2_000  # hold: no clock's error, only the texts'
    assert alert.clock == "monitoring"
    assert 0 < error < OFF_NS // 2
    assert not [event for event in events if isinstance(event, Note)]
    assert [event.source for event in events if isinstance(event, ClockPair)] == ["monitoring"]


@pytest.mark.parametrize("told_late", [True, False])
def test_what_fired_before_the_sink_listened_is_noted_and_no_page(elsewhere: Elsewhere, told_late: bool) -> None:
    """Alertmanager tries for minutes to deliver what nobody took: a page of the drill before must not start the next one."""
    events: list[AnyEvent] = []
    sink = PagerSink(
        port=0, rules=RULES, active_url=f"{elsewhere.url}/api/v1/alerts", clock_url=None, put=events.append
    )
    sink.start()
    try:
        fired = wall_ns() + (-400_000_000_000 if told_late else 0)
        elsewhere.active_ns = fired
        alert = {"labels": LABELS, "status": "firing", "startsAt": elsewhere.text(fired)}
        for status in ("firing", "resolved"):
            body = json.dumps({"alerts": [{**alert, "status": status}]}).encode()
            assert sink.receive(body, now_ns()) == 1
        received = [event.status for event in events if isinstance(event, AlertReceived)]
        noted = [event.data["alert"] for event in events if isinstance(event, Note)]
    finally:
        sink.stop()
    assert received == (["resolved"] if told_late else ["firing", "resolved"])
    assert noted == ([LABELS["alertname"]] if told_late else [])


def test_what_the_text_of_a_time_cut_off_is_error_and_makes_no_rule_fire_before_it_was_true(
    elsewhere: Elsewhere,
) -> None:
    """Alertmanager cuts `startsAt` to milliseconds, Prometheus' `activeAt` has all of them."""
    events: list[AnyEvent] = []
    sink = PagerSink(
        port=0, rules=RULES, active_url=f"{elsewhere.url}/api/v1/alerts", clock_url=None, put=events.append
    )
    elsewhere.off_ns = 0
    elsewhere.active_ns = wall_ns() // 1_000_000 * 1_000_000 + 722_000
    starts = elsewhere.text(elsewhere.active_ns - 722_000)[:19] + f".{elsewhere.active_ns // 1_000_000 % 1000:03d}Z"
    sink.receive(
        json.dumps({"alerts": [{"labels": LABELS, "status": "firing", "startsAt": starts}]}).encode(), now_ns()
    )
    alert = next(event for event in events if isinstance(event, AlertReceived))
    assert alert.starts_ns == alert.active_ns
    assert alert.cut_ns == 1_000_000
    assert alert.clock_error_ns > alert.cut_ns


def test_a_clock_that_is_not_told_is_taken_for_ours_and_the_history_says_so(elsewhere: Elsewhere) -> None:
    elsewhere.tells_time = False
    alert, events, truth = page(elsewhere)
    assert alert.active_ns is not None
    assert abs(alert.active_ns - truth["cond"] - OFF_NS) < OFF_NS // 2, "nothing told us that it was off"
    assert alert.clock == "wall"
    assert ["could not be asked" in event.text for event in events if isinstance(event, Note)] == [True]


def test_the_pair_with_the_least_error_for_a_time_converts_it() -> None:
    sharp = ClockPair(t_ns=0, source="a", wall_ns=0, error_ns=1_000)
    coarse = ClockPair(t_ns=50 * 10**9, source="a", wall_ns=50 * 10**9, error_ns=1_000_000)
    clock = SourceClock("a", "http://127.0.0.1:9/", put=lambda _: None)
    for pair in (sharp, coarse):
        clock._keep(pair)
    near, far = clock.converter(10**9), clock.converter(50 * 10**9)
    assert near is not None
    assert far is not None
    assert (near.error_ns, far.error_ns) == (1_000 + round(10**9 * clocks.DRIFT), 1_000_000)


def test_a_clock_that_was_set_while_we_looked_is_said_and_its_old_pairs_are_forgotten(elsewhere: Elsewhere) -> None:
    events: list[AnyEvent] = []
    clock = SourceClock("monitoring", f"{elsewhere.url}/admin/clock", put=events.append)
    clock.ask()
    clock.ask()
    assert [type(event) for event in events] == [ClockPair, ClockPair]
    elsewhere.off_ns = -60_000_000_000
    clock.ask()
    assert [type(event) for event in events[2:]] == [Note, ClockPair]
    mono, wall = one_moment()
    by = clock.converter(wall)
    assert by is not None
    assert abs(wall + elsewhere.off_ns + by.offset_ns - mono) <= by.error_ns + 20_000


def test_an_error_is_half_the_asking_and_what_the_source_cuts_off() -> None:
    told = shown(
        b'{"status": "success", "data": {"resultType": "scalar", "result": [1435781451.781, "1435781451.781"]}}'
    )
    assert told == (1435781451_781_000_000, PROMETHEUS_NS)
    assert shown(b'{"wall_ns": 1435781451781000123, "monotonic_ns": 5}') == (1435781451781000123, 1)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"[]",
        b"7",
        b'"wall_ns"',
        b'{"data": {"result": []}}',
        b'{"wall_ns": []}',
        b'{"data": {"result": [0, "NaN"]}}',
    ],
)
def test_what_is_no_time_is_none(junk: bytes) -> None:
    assert shown(junk) is None


def test_prometheus_is_asked_beside_its_alerts_unless_the_target_says_where() -> None:
    assert asked_at(None, "http://p:9090/x/api/v1/alerts") == "http://p:9090/x/api/v1/query?query=time()"
    assert asked_at("http://c/", "http://p:9090/api/v1/alerts") == "http://c/"
    assert (asked_at(None, "http://p/alerts"), asked_at(None, None)) == (None, None)


def test_our_own_wall_clock_does_not_drift_from_itself() -> None:
    pair = clocks.host_pair()
    assert converter(pair, wall_ns=pair.wall_ns - 10**12).error_ns == pair.error_ns
