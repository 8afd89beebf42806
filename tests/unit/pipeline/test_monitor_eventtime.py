"""Which events are late, and from when to when they lie."""

from __future__ import annotations

from pipeline.monitor.eventtime import CLIENTS_MAX, EventTimes
from pipeline.monitor.gauges import Gauges

NOW = 1_000.0
SINCE, UNTIL = "monitor_late_events_since", "monitor_late_events_until"


def decided(times: EventTimes, *, at: float, happened: float, client: str = "client-a") -> None:
    times.add({"t": at}, {"event_time": happened, "client_id": client})


def told(times: EventTimes) -> Gauges:
    gauges = Gauges()
    times.publish(gauges)
    return gauges


def test_only_late_events_have_a_span_and_each_client_its_own() -> None:
    times = EventTimes()
    for i in range(10):
        decided(times, at=NOW + i, happened=NOW + i - 0.1)
        decided(times, at=NOW + i, happened=NOW + i - 30.0, client="client-b")
        decided(times, at=NOW + i, happened=NOW - 60.0 - i, client="client-c")
    gauges = told(times)
    assert gauges.value("monitor_late_share") == 0.1
    assert gauges.value(SINCE, client="client-a") is None
    assert (gauges.value(SINCE, client="client-b"), gauges.value(UNTIL, client="client-b")) == (NOW - 30, NOW - 21)
    assert (gauges.value(SINCE, client="client-c"), gauges.value(UNTIL, client="client-c")) == (NOW - 69, NOW - 60)


def test_a_span_lasts_as_long_as_late_events_are_among_the_newest_rows() -> None:
    times = EventTimes()
    decided(times, at=NOW, happened=NOW - 30.0)
    for i in range(199):
        decided(times, at=NOW + i, happened=NOW + i)
    assert told(times).value(SINCE, client="client-a") == NOW - 30
    gauges = told(times)
    decided(times, at=NOW + 200, happened=NOW + 200)
    times.publish(gauges)
    assert gauges.value(SINCE, client="client-a") is None
    decided(times, at=NOW + 300, happened=NOW + 270)
    assert told(times).value(SINCE, client="client-a") == NOW + 270


def test_clients_beyond_counting_are_not_kept() -> None:
    times = EventTimes()
    for i in range(CLIENTS_MAX + 5):
        decided(times, at=NOW, happened=NOW - 30.0, client=f"client-{i}")
    assert len(told(times).reading()[SINCE]) == CLIENTS_MAX
