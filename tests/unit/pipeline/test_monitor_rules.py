"""What a rule file says, and what it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.monitor.gauges import Gauges, labels_of
from pipeline.monitor.rules import (
    Layer,
    RuleError,
    Severity,
    fingerprint,
    load_rules,
    parse_duration_s,
    parse_expr,
    parse_rules,
    parse_selector,
    with_thresholds,
)

RULES = Path(__file__).parents[3] / "fixtures" / "pipeline" / "rules.yaml"


def rule_file(expr: str, *, hold: str = "0s", severity: str = "page", layer: str = "data") -> str:
    return f"""
groups:
  - name: g
    rules:
      - alert: TheRule
        expr: {expr}
        for: {hold}
        labels: {{severity: {severity}, layer: {layer}}}
        annotations: {{summary: "{{{{ $labels.column }}}} is {{{{ $value }}}}"}}
"""


def reading(*series: tuple[str, float, dict[str, str]]) -> Gauges:
    gauges = Gauges()
    for name, value, labels in series:
        gauges.set(name, value, **labels)
    return gauges


def true_for(expr: str, gauges: Gauges) -> dict[tuple[tuple[str, str], ...], float]:
    (rule,) = parse_rules(rule_file(expr))
    return rule.vector(gauges.reading())


def test_a_comparison_is_true_for_each_series_that_holds():
    gauges = reading(("null_share", 0.3, {"column": "amount"}), ("null_share", 0.0, {"column": "device"}))
    assert true_for("null_share > 0.01", gauges) == {labels_of(column="amount"): 0.3}


@pytest.mark.parametrize(
    ("op", "holds"),
    [(">", [2.0]), (">=", [1.0, 2.0]), ("<", [0.0]), ("<=", [0.0, 1.0]), ("==", [1.0]), ("!=", [0.0, 2.0])],
)
def test_each_operator(op: str, holds: list[float]):
    gauges = reading(*(("g", float(i), {"i": str(i)}) for i in range(3)))
    assert sorted(true_for(f"g {op} 1", gauges).values()) == holds


def test_matchers_choose_series():
    gauges = reading(("exits", 1.0, {"reason": "memory"}), ("exits", 5.0, {"reason": "signal"}))
    assert list(true_for('exits{reason="memory"} > 0', gauges).values()) == [1.0]
    assert list(true_for('exits{reason!="memory"} > 0', gauges).values()) == [5.0]


def test_and_keeps_equal_labels_only():
    gauges = reading(("a", 1.0, {"x": "1"}), ("a", 1.0, {"x": "2"}), ("b", 1.0, {"x": "2"}), ("b", 1.0, {}))
    assert true_for("a > 0 and b > 0", gauges) == {labels_of(x="2"): 1.0}


def test_and_gives_the_value_of_its_left_side():
    gauges = reading(("drift", 7.0, {}), ("quality", 0.8, {}))
    assert true_for("drift > 5 and quality < 0.9", gauges) == {(): 7.0}
    gauges.set("quality", 0.95)
    assert true_for("drift > 5 and quality < 0.9", gauges) == {}


def test_absent_is_true_only_without_a_series():
    assert true_for("absent(g)", Gauges()) == {(): 1.0}
    assert true_for('absent(g{service="bus"})', reading(("g", 1.0, {"service": "ingest"}))) == {
        labels_of(service="bus"): 1.0
    }
    assert true_for("absent(g)", reading(("g", 0.0, {}))) == {}


def test_a_missing_gauge_makes_no_comparison_true():
    assert true_for("g < 1", Gauges()) == {}


@pytest.mark.parametrize(
    "expr", ["g", "g > h", "rate(g[5m]) > 1", "g > 1 or h > 1", "sum(g) > 1", 'g{a=~"b"} > 1', "absent(g", ""]
)
def test_anything_else_is_refused(expr: str):
    with pytest.raises(RuleError, match="can't read"):
        parse_expr(expr)


def test_durations():
    assert [parse_duration_s(text) for text in ("500ms", "2s", "1m30s", "1h", "1s500ms")] == [0.5, 2, 90, 3600, 1.5]
    for text in ("", "2", "s", "-1s", "1.5s"):
        with pytest.raises(RuleError, match="duration"):
            parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule_file("g > 1", severity="urgent"), "TheRule: .*urgent"),
        (rule_file("g > 1", layer="weather"), "TheRule: .*weather"),
        (rule_file("g > 1").replace("for:", "hold:"), "unknown hold"),
        (rule_file("g > 1") + rule_file("g > 2").replace("groups:", "").replace("\n\n", "\n"), "defined twice"),
        ("groups: []", "no groups"),
        ("- 1", "mapping"),
        ("groups: {", "not YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(text: str, message: str):
    with pytest.raises(RuleError, match=message):
        parse_rules(text)


def test_annotations_are_filled_from_labels_and_value():
    (rule,) = parse_rules(rule_file("g > 1"))
    assert rule.annotate({"column": "amount"}, 0.12345678) == {"summary": "amount is 0.1235"}


def test_an_overridden_threshold_counts_and_changes_the_fingerprint():
    rules = parse_rules(rule_file("g > 1 and h > 2"))
    moved = with_thresholds(rules, {"TheRule": 9.0})
    assert [clause.number for clause in moved[0].clauses] == [9.0, 2.0]
    assert fingerprint(moved) != fingerprint(rules)
    assert fingerprint(with_thresholds(rules, {})) == fingerprint(rules)


def test_the_fingerprint_ignores_comments_and_layout():
    text = rule_file("g > 1")
    assert fingerprint(parse_rules("# a comment\n" + text)) == fingerprint(parse_rules(text))
    assert fingerprint(parse_rules(rule_file("g > 1", hold="1s"))) != fingerprint(parse_rules(text))


def test_a_selector_accepts_what_it_names():
    gauges = reading(("g", 1.0, {"a": "x"}), ("g", 2.0, {"a": "y"}))
    assert parse_selector('g{a="y"}').matching(gauges.reading()) == {labels_of(a="y"): 2.0}
    assert len(parse_selector("g").matching(gauges.reading())) == 2


def test_the_shipped_rules_load_and_page_by_distribution_only_with_quality():
    rules = {rule.name: rule for rule in load_rules(RULES)}
    assert {rule.layer for rule in rules.values()} == set(Layer)
    pages_on_drift = [
        rule
        for rule in rules.values()
        if rule.severity is Severity.PAGE and any("drift" in clause.gauge for clause in rule.clauses)
    ]
    assert pages_on_drift
    for rule in pages_on_drift:
        assert any(clause.gauge == "monitor_quality" for clause in rule.clauses), rule.name


def test_gauges_never_hold_what_is_not_finite():
    gauges = reading(("g", 0.5, {}))
    gauges.set("g", float("nan"))
    gauges.set("g", float("inf"))
    assert gauges.value("g") == 0.5
    assert gauges.value("monitor_nonfinite_dropped") == 2.0
    assert true_for("g > 0.1", gauges) == {(): 0.5}
