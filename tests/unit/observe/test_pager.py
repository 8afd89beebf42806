"""The pager sink under junk and floods: nothing that is sent to it ends it, hangs it, or keeps a real page out."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
import requests

from harness.clock import clock_pair, now_ns
from harness.contract.words import Layer, Severity
from harness.errors import EnvironmentProblem
from harness.history.events import AlertReceived, AnyEvent, ClockPair, Note
from harness.history.lines import encode_line
from harness.observe.pager import ALERTS_MAX, ALERTS_RUN_MAX, PagerSink
from harness.observe.webhooks import BODY_MAX, CONNECTIONS_MAX
from harness.spec.plan import PlannedRule
from harness.target.embedded.ports import reserve

RULES = (PlannedRule(name="Broken", layer=Layer.AVAILABILITY, severity=Severity.PAGE, hold_s=0.0),)


class Sink(PagerSink):
    def __init__(self, active_url: str | None = None, *, port: int = 0) -> None:
        self.events: list[AnyEvent] = []
        super().__init__(port=port, rules=RULES, active_url=active_url, put=self.events.append)

    def post(self, body: bytes) -> int:
        return requests.post(f"http://127.0.0.1:{self.port}/", data=body, timeout=60).status_code

    def alerts(self) -> list[AlertReceived]:
        return [event for event in self.events if isinstance(event, AlertReceived)]


@pytest.fixture
def sink() -> Iterator[Sink]:
    started = Sink()
    started.start()
    yield started
    started.stop()


def webhook(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"alerts": alerts}).encode()


def alert(name: Any = "Broken", status: Any = "firing", **more: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name}, "status": status, **more}


JUNK = {
    "empty": b"",
    "no JSON": b"\xff\xfe{",
    "no object": b"[1, 2]",
    "alerts is no list": b'{"alerts": 7}',
    "alerts of no objects": b'{"alerts": [null]}',
    "no labels": webhook({"status": "firing"}),
    "status of another type": webhook(alert(status=["firing"])),
    "unknown status": webhook(alert(status="perhaps")),
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep inside": b'{"alerts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number too long": b'{"alerts": [' + b"9" * 10_000 + b"]}",
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK)
def test_junk_is_answered_400_and_changes_nothing(sink: Sink, body: bytes) -> None:
    assert sink.post(body) == 400
    assert sink.post(webhook(alert())) == 200
    assert [one.name for one in sink.alerts()] == ["Broken"]


ODD = {
    "times": alert(startsAt="9999-12-31T23:59:59-23:59", endsAt=[]),
    "years": alert(startsAt="2999-01-01T00:00:00Z"),
    "a time that is a number": alert(startsAt=17),
    "annotations": alert(annotations=[1]),
    "a summary": alert(annotations={"summary": {"a": [1]}}),
    "half a character": alert(annotations={"summary": "\ud800"}, fingerprint="\udfff"),
    "labels": {"labels": {"alertname": "Broken", "n": 1.5, "deep": [[[]]]}, "status": "firing"},
    "many labels": {"labels": {"alertname": "Broken", **{f"l{n}": n for n in range(5000)}}, "status": "firing"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_alerts_leave_a_history_that_can_be_read(sink: Sink, odd: dict[str, Any]) -> None:
    assert sink.post(webhook(odd)) == 200
    kinds = [type(msgspec.json.decode(encode_line(event), type=AnyEvent)) for event in sink.events]
    assert kinds == [AlertReceived]
    assert (sink.alerts()[0].starts_ns, sink.alerts()[0].clock) == (None, "")


def test_what_is_too_large_is_refused_unread(sink: Sink) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=60) as sender:
        sender.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n".encode())
        assert b" 413 " in sender.recv(1000)
    with socket.create_connection(("127.0.0.1", sink.port), timeout=60) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xc2\xb2\r\n\r\n")
        assert b" 41" in sender.recv(1000)
    assert sink.post(webhook(alert())) == 200


def test_a_flood_is_cut_off_and_said(sink: Sink) -> None:
    many = webhook(*(alert() for _ in range(ALERTS_MAX)))
    answers = [sink.post(many) for _ in range(10_000 // ALERTS_MAX)]
    assert answers.count(200) == ALERTS_RUN_MAX // ALERTS_MAX
    assert set(answers) == {200, 429}
    assert len(sink.alerts()) == ALERTS_RUN_MAX
    sink.stop()
    notes = [event for event in sink.events if isinstance(event, Note)]
    assert [note.data for note in notes] == [{"dropped": 10_000 - ALERTS_RUN_MAX}]


def test_slow_senders_keep_no_page_out(sink: Sink) -> None:
    slow = []
    try:
        for _ in range(CONNECTIONS_MAX + 20):
            sender = socket.create_connection(("127.0.0.1", sink.port), timeout=60)
            sender.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            slow.append(sender)
        assert sink.post(webhook(alert())) == 200
        assert sink._server is not None
        assert sink._server.connections <= CONNECTIONS_MAX
    finally:
        for sender in slow:
            sender.close()


def test_it_listens_beside_the_reservation_of_its_port() -> None:
    with reserve() as held:
        for _ in range(2):
            sink = Sink(port=int(held.getsockname()[1]))
            sink.start()
            assert sink.post(webhook(alert())) == 200
            sink.stop()
            assert [one.name for one in sink.alerts()] == ["Broken"]


def test_nobody_else_gets_a_share_of_its_pages(sink: Sink) -> None:
    """Where several listen at one port, the kernel deals out what comes between them."""
    with pytest.raises(EnvironmentProblem, match="can't listen"):
        Sink(port=sink.port).start()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", sink.port))


def test_a_page_is_stamped_when_it_came_not_when_its_rule_was_asked_for() -> None:
    """A rules API that takes its time must not make monitoring look late."""
    asked = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            time.sleep(1.0)

        def log_message(self, format: str, *args: Any) -> None:
            return

    rules = HTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=rules.serve_forever, args=(0.05,), daemon=True).start()
    sink = Sink(active_url=f"http://127.0.0.1:{rules.server_address[1]}/")
    sink.start()
    try:
        before = now_ns()
        posting = threading.Thread(target=sink.post, args=(webhook(alert()),))
        posting.start()
        assert asked.wait(60)
        after = now_ns()
        posting.join(60)
        assert before <= sink.alerts()[0].t_ns <= after
        assert sink.alerts()[0].active_ns is None
    finally:
        sink.stop()
        rules.shutdown()
        rules.server_close()


def test_where_no_clock_can_be_asked_times_are_converted_by_the_wall_clock_and_that_is_said_once(sink: Sink) -> None:
    at_ns, wall_ns, _ = clock_pair()
    moment = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    for _ in range(2):
        sink.post(webhook(alert(startsAt=moment.isoformat())))
    assert [note.text.split(":")[0] for note in sink.events if isinstance(note, Note)] == [
        "the monitoring's clock isn't declared (alerts.clock)"
    ]
    pair = next(event for event in sink.events if isinstance(event, ClockPair))
    received = sink.alerts()[0]
    assert received.starts_ns is not None
    drift = abs((pair.wall_ns - pair.t_ns) - (wall_ns - at_ns))
    assert abs(received.starts_ns - at_ns) <= 1000 + drift + pair.error_ns
    assert (received.clock, received.clock_error_ns) == ("wall", pair.error_ns + 1000)
