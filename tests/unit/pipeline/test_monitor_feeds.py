"""What doesn't come: labels that fall silent, and rows that are decided and leave no trace in ingest."""

from __future__ import annotations

from pipeline.monitor.feeds import LabelFeed, StoredRows
from pipeline.monitor.gauges import Gauges


def silence(feed: LabelFeed, now: float) -> float | None:
    gauges = Gauges()
    feed.publish(gauges, now=now)
    return gauges.value("monitor_labels_silent_seconds")


def test_labels_are_silent_only_while_something_is_decided() -> None:
    feed = LabelFeed()
    assert silence(feed, 100.0) == 0.0
    feed.decided(now=101.0)
    feed.decided(now=104.0)
    assert silence(feed, 105.0) == 4.0
    feed.labelled()
    assert silence(feed, 900.0) == 0.0  # a pause of the traffic is no outage of the labels
    feed.decided(now=900.0)
    assert silence(feed, 903.0) == 3.0


def fed(stored: StoredRows, *, first: int, count: int, client: str, at: float) -> list[dict[str, str]]:
    rows = [{"id": f"{client}-{i}", "client_id": client} for i in range(first, first + count)]
    for row in rows:
        stored.decided({"transaction": row}, now=at)
    return [{"id": row["id"]} for row in rows]


def told(stored: StoredRows) -> Gauges:
    gauges = Gauges()
    stored.publish(gauges)
    return gauges


def test_a_client_whose_rows_leave_no_trace_is_told_apart() -> None:
    stored = StoredRows()
    traced = fed(stored, first=0, count=10, client="a", at=10.0)
    lost = fed(stored, first=0, count=10, client="b", at=10.0)
    assert "monitor_unstored_share" not in told(stored).reading()  # ingest was never heard
    stored.traced(traced, now=11.0)
    assert "monitor_unstored_share" not in told(stored).reading()  # too early to miss anything
    stored.traced([], now=13.0)
    assert told(stored).value("monitor_unstored_share", client="a") == 0.0
    assert told(stored).value("monitor_unstored_share", client="b") == 1.0
    stored.traced([], now=20.0)
    assert told(stored).value("monitor_unstored_rows") == 10.0
    stored.traced(lost, now=21.0)  # as a replay brings them
    assert told(stored).value("monitor_unstored_rows") == 0.0
