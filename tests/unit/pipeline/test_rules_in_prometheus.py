"""One rules file, two evaluators: what the monitor makes of each rule, promtool's own Prometheus must make of it too.

For every rule a series is made that its expression holds for and one that it doesn't; the alert that our evaluator then has,
its labels and its filled-in annotations are what promtool is told to expect. Skipped where there is no promtool.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.monitor.alerts import AlertBook, State
from pipeline.monitor.gauges import Labels
from pipeline.monitor.role import RULES
from pipeline.monitor.rules import OPERATORS, Clause, Rule, load_rules

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on the path")

PROMTOOL_S_MAX = 30
STEP_S, STEPS = 1, 12
HOLDS_FROM = 2
"""The step from which on the expression holds."""
LABELS = {"service": "gateway", "column": "amount", "client": "c1", "feature": "amount_log", "job": "materialise"}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=PROMTOOL_S_MAX)


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    done = promtool("check", "config", str(RULES.parent / "containers" / "prometheus.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def labels_for(rule: Rule) -> Labels:
    """What the rule's texts name, and what its matchers ask for."""
    named = {
        key: value for key, value in LABELS.items() if any(f".{key} " in text for text in rule.annotations.values())
    }
    asked = {m.label: m.value for clause in rule.clauses for m in clause.matchers if m.equal}
    return tuple(sorted((named | asked).items()))


def value_for(clause: Clause, *, holds: bool) -> float:
    """A value on this side or the other of the clause's number."""
    candidates = (clause.number, clause.number + 0.5, clause.number - 0.5)
    return next(value for value in candidates if OPERATORS[clause.op](value, clause.number) is holds)


def series_of(rule: Rule) -> dict[str, list[float]]:
    """Each gauge's values, step by step. A gauge that must be absent has none."""
    return {
        clause.gauge: [value_for(clause, holds=step >= HOLDS_FROM) for step in range(STEPS)]
        for clause in rule.clauses
        if clause.op
    }


def written(gauge: str, labels: Labels) -> str:
    return gauge + "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}"


def expected(rule: Rule, labels: Labels) -> list[dict[str, Any]]:
    """For each step, what our evaluator has firing then, as promtool asks for it."""
    book, cases, series = AlertBook((rule,)), [], series_of(rule)
    for step in range(STEPS):
        reading = {gauge: {labels: values[step]} for gauge, values in series.items()}
        book.evaluate(reading, float(step * STEP_S))
        firing = [alert for alert in book.alerts if alert.state is State.FIRING]
        cases.append(
            {
                "eval_time": f"{step * STEP_S}s",
                "alertname": rule.name,
                "exp_alerts": [
                    {
                        "exp_labels": {k: v for k, v in alert.labels.items() if k != "alertname"},
                        "exp_annotations": dict(alert.annotations),
                    }
                    for alert in firing
                ],
            }
        )
    return cases


def group(rule: Rule) -> dict[str, Any]:
    labels = labels_for(rule)
    return {
        "interval": f"{STEP_S}s",
        "input_series": [
            {"series": written(gauge, labels), "values": " ".join(f"{value:.12g}" for value in values)}
            for gauge, values in series_of(rule).items()
        ],
        "alert_rule_test": expected(rule, labels),
    }


def judged(folder: Path, groups: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    file = folder / "rules.test.yaml"
    YAML(typ="safe").dump({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": groups}, file)
    return promtool("test", "rules", str(file))


def test_both_evaluators_agree_on_every_rule(tmp_path: Path) -> None:
    groups = [group(rule) for rule in load_rules(RULES)]
    assert all(any(case["exp_alerts"] for case in one["alert_rule_test"]) for one in groups), "a rule never fires here"
    done = judged(tmp_path, groups)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_disagreement_would_be_seen(tmp_path: Path) -> None:
    one = group(next(rule for rule in load_rules(RULES) if rule.for_s == 0))
    one["alert_rule_test"][0]["exp_alerts"] = one["alert_rule_test"][-1]["exp_alerts"]
    assert judged(tmp_path, [one]).returncode != 0
