"""What a target tells of its alerts and quarantine, and what is made of silence."""

from __future__ import annotations

import threading

import pytest

from harness.errors import EnvironmentProblem
from harness.target import alerts, readings, snapshots


def alert(name: str, state: str, *, at: str = "2026-01-01T00:00:10.5Z", severity: str = "page") -> dict[str, object]:
    return {"labels": {"alertname": name, "severity": severity}, "state": state, "activeAt": at}


def test_a_summary_counts_what_fires_and_says_since_when() -> None:
    found = [
        alert("Late", "firing", at="2026-01-01T00:00:30Z"),
        alert("Early", "firing", severity="ticket"),
        alert("Maybe", "pending", at="2025-01-01T00:00:00Z"),
    ]
    summary = alerts.summary(found)
    assert summary == {
        "firing": 2,
        "pages": 1,
        "names": "Early,Late",
        "newest": "Late",
        "first_active_t": 1767225610.5,
        "suspect_since_t": 1767225610.5 - alerts.SUSPECT_S,
        "Early": "firing",
        "Late": "firing",
        "Maybe": "pending",
    }


def test_nothing_fires_is_told_as_such() -> None:
    assert alerts.summary([]) == {"firing": 0, "pages": 0, "names": ""}


def pages(records: list[dict[str, object]], *, size: int) -> readings.Page:
    def page(name: str, after: int) -> tuple[list[dict[str, object]], int]:
        found = records[after : after + size]
        return found, after + len(found)

    return page


def test_quarantine_counts_what_is_held_now() -> None:
    records = [{"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": "b", "released": True}, {"id": "c"}]
    assert readings.standing(pages(records, size=2), "quarantine", id_field="id", released="released") == 2


def test_what_does_not_answer_is_left_out() -> None:
    def fails() -> None:
        raise EnvironmentProblem("no")

    let_go = threading.Event()
    ended: list[bool] = []

    def hangs() -> None:
        ended.append(let_go.wait(30))

    try:
        # Longer from time to time: on a busy machine what answers may take that long, too.
        found = (snapshots.together({"a": lambda: 1, "b": fails, "c": hangs}, within_s=s) for s in (0.2, 1, 5, 20))
        assert next(filter(None, found)) == {"a": 1}
        assert ended == [], "it waited for what hangs"
    finally:
        let_go.set()


def test_a_defect_is_not_taken_for_silence() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        snapshots.together({"a": broken}, within_s=60.0)
