"""The mask's log is bounded, and says what it no longer has."""

from __future__ import annotations

from harness.proxy.tap.masklog import MaskLog


def test_the_oldest_are_dropped_and_counted() -> None:
    log = MaskLog(records_max=3)
    for n in range(5):
        log.write(f"t-{n}", ("amount",), n)
    page = log.page(0, 10)
    assert page == {
        "records": [{"id": f"t-{n}", "columns": ["amount"], "t_ns": n} for n in (2, 3, 4)],
        "next": 5,
        "dropped": 2,
    }
    assert log.page(3, 1) == {"records": [{"id": "t-3", "columns": ["amount"], "t_ns": 3}], "next": 4, "dropped": 2}
    assert log.page(5, 10) == {"records": [], "next": 5, "dropped": 2}
