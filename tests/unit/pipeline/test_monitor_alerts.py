"""When an alert fires, resolves and is told, on literal sequences of readings."""

from __future__ import annotations

from pipeline.monitor.alerts import (
    AlertBook,
    Notice,
    Silence,
    State,
    alerts_answer,
    rfc3339,
    rules_answer,
    webhook_body,
)
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.rules import parse_rules, with_thresholds

T = 1_800_000_000.0

RULE_FILE = """
groups:
  - name: g
    rules:
      - alert: Held
        expr: g > 1
        for: 1s
        labels: {severity: page, layer: data}
        annotations: {summary: "value {{ $value }}"}
      - alert: Gone
        expr: absent(h)
        labels: {severity: ticket, layer: availability}
        annotations: {summary: "h is gone"}
"""


def book(repeat_s: float = 60.0) -> AlertBook:
    return AlertBook(parse_rules(RULE_FILE), repeat_s=repeat_s)


def gauges(g: float | None, *, h: float | None = 0.0) -> Gauges:
    found = Gauges()
    if g is not None:
        found.set("g", g)
    if h is not None:
        found.set("h", h)
    return found


def told(notices: list[Notice]) -> list[tuple[str, str]]:
    return [(notice.alert.rule.name, notice.status.value) for notice in notices]


def play(
    alerts: AlertBook, *values: float | None, step_s: float = 0.5, start: float = T
) -> list[list[tuple[str, str]]]:
    """What is told in each round of half a second, with these values of g."""
    return [told(alerts.evaluate(gauges(value).reading(), start + i * step_s)) for i, value in enumerate(values)]


FIRING, RESOLVED = [("Held", "firing")], [("Held", "resolved")]


def test_fires_once_it_has_held_and_resolves_at_once():
    assert play(book(), 0, 5, 5, 5, 5, 0, 0) == [[], [], [], FIRING, [], RESOLVED, []]


def test_an_interrupted_condition_starts_over():
    assert play(book(), 5, 5, 0, 5, 5, 5) == [[], [], [], [], [], FIRING]


def test_a_condition_that_never_held_is_never_told():
    assert play(book(), 5, 0, 5, 0) == [[], [], [], []]


def test_active_at_is_the_first_true_round_and_starts_at_the_firing_one():
    alerts = book()
    play(alerts, 0, 5, 5)
    (pending,) = alerts.alerts
    assert (pending.state, pending.active_at, pending.fired_at) == (State.PENDING, T + 0.5, None)
    (notice,) = alerts.evaluate(gauges(5).reading(), T + 1.5)
    assert (notice.alert.active_at, notice.alert.fired_at) == (T + 0.5, T + 1.5)
    assert webhook_body([notice], receiver="r", url="u")["alerts"][0]["startsAt"] == rfc3339(T + 1.5)
    assert alerts_answer(alerts.alerts)["data"]["alerts"][0]["activeAt"] == rfc3339(T + 0.5)


def test_a_nan_in_the_middle_does_not_stop_the_alert():
    alerts = book()
    held = gauges(5)
    alerts.evaluate(held.reading(), T)
    held.set("g", float("nan"))
    assert told(alerts.evaluate(held.reading(), T + 1)) == FIRING


def test_absent_fires_when_the_series_goes():
    alerts = book()
    assert told(alerts.evaluate(gauges(0).reading(), T)) == []
    assert told(alerts.evaluate(gauges(0, h=None).reading(), T + 1)) == [("Gone", "firing")]
    assert told(alerts.evaluate(gauges(0).reading(), T + 2)) == [("Gone", "resolved")]


def test_each_series_is_an_alert_of_its_own():
    alerts = book()
    both = Gauges()
    both.set("h", 0)
    both.set("g", 5, column="a")
    alerts.evaluate(both.reading(), T)
    both.set("g", 5, column="b")
    assert [n.alert.labels["column"] for n in alerts.evaluate(both.reading(), T + 1)] == ["a"]
    assert [n.alert.labels["column"] for n in alerts.evaluate(both.reading(), T + 2)] == ["b"]


def test_firing_is_repeated_only_after_the_repeat_interval():
    assert play(book(repeat_s=1.0), 5, 5, 5, 5, 5, 5, 5) == [[], [], FIRING, [], FIRING, [], FIRING]


def test_silence_holds_back_both_notices_and_ends():
    alerts = book()
    alerts.silence(Silence("Held", created=T, until=T + 2))
    assert play(alerts, 5, 5, 5, 5) == [[], [], [], []]
    assert alerts.alerts[0].state is State.FIRING
    assert play(alerts, 5, start=T + 2) == [FIRING]


def test_what_was_told_and_then_silenced_resolves_silently():
    alerts = book()
    assert play(alerts, 5, 5, 5)[-1] == FIRING
    alerts.silence(Silence("Held", created=T + 1, until=T + 60))
    assert play(alerts, 0, start=T + 2) == [[]]


def test_what_was_never_told_is_never_resolved():
    alerts = book()
    alerts.silence(Silence("Held", created=T, until=T + 1.4))
    assert play(alerts, 5, 5, 5, 0, 0) == [[], [], [], [], []]


def test_of_two_silences_the_later_end_counts():
    alerts = book()
    alerts.silence(Silence("Held", created=T, until=T + 100))
    alerts.silence(Silence("Held", created=T, until=T + 1))
    assert alerts.silenced("Held", T + 50)


def test_forgetting_tells_nobody():
    alerts = book()
    play(alerts, 5, 5, 5)
    alerts.forget()
    assert alerts.alerts == ()
    assert play(alerts, 0, start=T + 2) == [[]]


def test_a_moved_threshold_resolves_what_is_no_longer_true():
    alerts = book()
    play(alerts, 5, 5, 5)
    alerts.change_rules(with_thresholds(alerts.rules, {"Held": 10.0}))
    assert play(alerts, 5, start=T + 2) == [RESOLVED]


def test_the_webhook_is_alertmanagers():
    alerts = book()
    play(alerts, 5, 5)
    (fired,) = alerts.evaluate(gauges(5).reading(), T + 1)
    body = webhook_body([fired], receiver="pager", url="http://x")
    assert body["version"] == "4"
    assert body["status"] == "firing"
    assert body["groupLabels"] == {"alertname": "Held"}
    (alert,) = body["alerts"]
    assert alert["labels"] == {"alertname": "Held", "severity": "page", "layer": "data"}
    assert alert["annotations"] == {"summary": "value 5"}
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    (resolved,) = alerts.evaluate(gauges(0).reading(), T + 2)
    after = webhook_body([resolved], receiver="pager", url="http://x")
    assert (after["status"], after["alerts"][0]["endsAt"]) == ("resolved", rfc3339(T + 2))
    assert after["alerts"][0]["fingerprint"] == alert["fingerprint"]
    assert after["alerts"][0]["startsAt"] == alert["startsAt"]


def test_times_have_fractions_below_a_millisecond():
    assert rfc3339(1_800_000_000.000250) == "2027-01-15T08:00:00.000250Z"


def test_the_rules_answer_is_prometheus_shape():
    alerts = book()
    play(alerts, 5)
    answer = rules_answer(alerts.rules, alerts.alerts, T)
    (group,) = answer["data"]["groups"]
    assert [(rule["name"], rule["state"]) for rule in group["rules"]] == [("Held", "pending"), ("Gone", "inactive")]
    assert group["rules"][0]["alerts"][0]["activeAt"] == rfc3339(T)
