"""Heartbeats at the pager: late, missing, back again, in a flood; and that none of it is told as an alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from harness.contract.words import Layer, Severity
from harness.history.events import AlertReceived, AnyEvent, Note
from harness.observe.heartbeat import HELD_UP_S, LOOK_S, NS, Heartbeat
from harness.observe.pager import ALERTS_MAX, ALERTS_RUN_MAX, PagerSink
from harness.spec.plan import PlannedHeartbeat, PlannedRule

PLANNED = PlannedHeartbeat(rule="Watchdog", page="DeadMansSwitch", layer=Layer.AVAILABILITY, every_s=2, within_s=4)
T = 1_000 * NS
LOOK = round(LOOK_S * NS)


def looked(beats: Heartbeat, *, from_ns: int, to_ns: int) -> list[AlertReceived]:
    """What looks at their due times from one moment to another give."""
    found = (beats.look(at_ns) for at_ns in range(from_ns, to_ns, LOOK))
    return [alert for alert in found if alert is not None]


def test_nothing_is_missed_before_the_first_was_heard() -> None:
    assert looked(Heartbeat(PLANNED), from_ns=T, to_ns=T + 60 * NS) == []


def test_a_late_heartbeat_is_no_absence() -> None:
    beats = Heartbeat(PLANNED)
    told = []
    for number in range(5):
        began = T + number * round(5.9 * NS)
        told.append(beats.beat(began))
        told += looked(beats, from_ns=began, to_ns=began + round(5.9 * NS))
    assert set(told) == {None}
    assert beats.longest_ns == round(5.9 * NS)


def test_an_absence_is_one_page_stamped_when_it_was_due() -> None:
    beats = Heartbeat(PLANNED)
    beats.beat(T + 17)
    (page,) = looked(beats, from_ns=T, to_ns=T + 60 * NS)
    assert (page.t_ns, page.starts_ns, page.active_ns) == (T + 17 + 6 * NS, T + 17 + 6 * NS, T + 17 + 2 * NS)
    assert (page.name, page.status, page.severity, page.layer) == (
        "DeadMansSwitch",
        "firing",
        Severity.PAGE,
        "availability",
    )


def test_heartbeats_that_are_back_end_it_and_the_next_absence_is_another_page() -> None:
    beats = Heartbeat(PLANNED)
    beats.beat(T)
    (first,) = looked(beats, from_ns=T, to_ns=T + 10 * NS)
    back = beats.beat(T + 10 * NS)
    assert back is not None
    assert (back.status, back.t_ns, back.fingerprint) == ("resolved", T + 10 * NS, first.fingerprint)
    assert beats.beat(T + 11 * NS) is None
    (second,) = looked(beats, from_ns=T + 11 * NS, to_ns=T + 60 * NS)
    assert second.t_ns == T + 17 * NS


def test_a_time_in_which_we_could_not_listen_is_no_silence() -> None:
    beats = Heartbeat(PLANNED)
    beats.beat(T)
    assert looked(beats, from_ns=T, to_ns=T + NS) == []
    assert beats.look(T + 31 * NS) is None
    (page,) = looked(beats, from_ns=T + 31 * NS, to_ns=T + 60 * NS)
    assert T + 35 * NS < page.t_ns <= T + 37 * NS


def test_a_look_that_is_a_little_late_changes_nothing() -> None:
    beats = Heartbeat(PLANNED)
    beats.beat(T)
    step = round(HELD_UP_S * NS)
    found = [page for number in range(20) if (page := beats.look(T + number * step)) is not None]
    assert [page.t_ns for page in found] == [T + 6 * NS]


# --- at the sink ------------------------------------------------------------------------------------------------------


class Sink(PagerSink):
    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        soon = PlannedHeartbeat("Watchdog", "DeadMansSwitch", Layer.AVAILABILITY, every_s=0.1, within_s=0.1)
        rules = (PlannedRule(name="Broken", layer=Layer.AVAILABILITY, severity=Severity.PAGE),)
        super().__init__(port=0, rules=rules, active_url=None, put=self.events.append, heartbeat=soon)

    def post(self, *names: str, status: str = "firing") -> int:
        alerts: list[dict[str, Any]] = [{"labels": {"alertname": name}, "status": status} for name in names]
        body = json.dumps({"alerts": alerts})
        return requests.post(f"http://127.0.0.1:{self.port}/", data=body, timeout=60).status_code

    def told(self) -> list[tuple[str, str]]:
        return [(event.name, event.status) for event in self.events if isinstance(event, AlertReceived)]

    def notes(self) -> list[dict[str, Any]]:
        return [event.data for event in self.events if isinstance(event, Note) and "heard" in event.data]


@pytest.fixture
def sink() -> Iterator[Sink]:
    started = Sink()
    started.start()
    yield started
    started.stop()


def test_a_heartbeat_is_no_alert_and_what_comes_with_it_is(sink: Sink) -> None:
    assert sink.post("Watchdog", "Broken") == 200
    assert sink.told()[0] == ("Broken", "firing")
    assert ("Watchdog", "firing") not in sink.told()
    assert sink.dead_man is not None
    assert sink.dead_man.wait_first(0)


def test_a_heartbeat_that_ends_is_none(sink: Sink) -> None:
    assert sink.post("Watchdog", status="resolved") == 200
    assert sink.dead_man is not None
    assert not sink.dead_man.wait_first(0)


def test_silence_pages_and_the_next_heartbeat_ends_it(sink: Sink) -> None:
    sink.post("Watchdog")
    assert sink.dead_man is not None
    for _ in range(600):  # until it has looked late enough
        sink.dead_man._stopping.wait(0.1)
        if sink.told():
            break
    sink.post("Watchdog")
    assert sink.told()[:2] == [("DeadMansSwitch", "firing"), ("DeadMansSwitch", "resolved")]


def test_a_flood_neither_stops_heartbeats_nor_do_they_make_one(sink: Sink) -> None:
    for _ in range(ALERTS_RUN_MAX // ALERTS_MAX + 1):
        sink.post(*["Broken"] * ALERTS_MAX)
    assert sink.post("Broken") == 429
    for _ in range(50):
        assert sink.post("Watchdog") == 200
    sink.stop()
    assert sink.notes()[0]["heard"] == 50
    assert [name for name, _ in sink.told()].count("Watchdog") == 0


def test_what_was_heard_is_noted_at_the_end(sink: Sink) -> None:
    sink.stop()
    sink.stop()
    assert sink.notes() == [{"heard": 0, "longest_s": 0.0}]
