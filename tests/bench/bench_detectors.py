"""How often the monitor's row checks alarm on clean data, and how many rows they need to see a fault.

Run as a program: `python tests/bench/bench_detectors.py [--rows 1000000]`. The rows come from the reference world
itself, scored by the model that the trainer makes first, and go through the very windows, rules and thresholds of the
monitor. An episode is an alert that begins to fire. Labels follow 150 rows (3 s at 50 a second) behind.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

from pipeline import schema, training
from pipeline.model import DECISION_THRESHOLD, Model, train
from pipeline.monitor.alerts import AlertBook
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.quality import QualityWindow
from pipeline.monitor.reference import Reference, make_reference
from pipeline.monitor.role import RULES
from pipeline.monitor.rules import Rule, Severity, load_rules
from pipeline.monitor.windows import RowWindow
from pipeline.world import World

ROWS_PER_S = 50
EVALUATE_EVERY_ROWS = 25
LABEL_DELAY_ROWS = 150
CHUNK_ROWS = 20_000
SEED = 7
ROW_GAUGES = frozenset(
    {
        "monitor_null_share",
        "monitor_range_share",
        "monitor_repeat_excess",
        "monitor_duplicate_share",
        "monitor_amount_shift_decades",
        "monitor_client_amount_shift_decades",
        "monitor_drift_decades",
        "monitor_drift_decades_max",
        "monitor_score_drift_decades",
        "monitor_quality",
    }
)
Damage = Callable[[int, dict[str, Any]], None]


def row_rules() -> tuple[Rule, ...]:
    """Those rules that look at rows alone; the others look at time, and a generated row has none."""
    return tuple(rule for rule in load_rules(RULES) if all(clause.gauge in ROW_GAUGES for clause in rule.clauses))


def records(
    world: World, model: Model, first: int, count: int, *, regime: str = "baseline", damage: Damage | None = None
) -> Iterator[tuple[dict[str, Any], int]]:
    """Records as on the stream `decisions`, each with its label. `damage` changes a transaction in place."""
    for start in range(first, first + count, CHUNK_ROWS):
        rows = min(CHUNK_ROWS, first + count - start)
        history = world.history(rows, first=start, regime=regime)
        scores = model.scores(history.features)
        transactions = world.transactions(start, rows, regime=regime)
        stored = _stored_rows(history.stored)
        for i, transaction in enumerate(transactions):
            transaction["event_time"] = 1.8e9 + start / ROWS_PER_S
            features, score = history.features[i].tolist(), float(scores[i])
            if damage is not None:
                damage(start + i - first, transaction)
                features = schema.vector(transaction, stored[i])
                score = float(model.scores([features])[0])
            yield (
                {
                    "transaction": transaction,
                    "decision": "decline" if score >= DECISION_THRESHOLD else "approve",
                    "score": score,
                    "features": features,
                    "stored": stored[i],
                },
                int(history.labels[i]),
            )


def _stored_rows(columns: Any) -> list[dict[str, Any]]:
    names = list(columns)
    lists = [columns[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


class Bench:
    """The row checks as the monitor runs them, in rows instead of seconds."""

    def __init__(self, reference: Reference) -> None:
        self.window = RowWindow(reference)
        self.quality = QualityWindow(reference.fill_right)
        self.gauges = Gauges()
        self.book = AlertBook(row_rules(), repeat_s=float("inf"))
        self._labels: list[dict[str, Any]] = []
        self.rows = 0

    def feed(self, record: dict[str, Any], label: int) -> list[Rule]:
        """The rules of which an alert began to fire with this row."""
        self.window.add(record)
        self.quality.decided(record)
        self._labels.append({"id": record["transaction"]["id"], "label": label})
        if len(self._labels) > LABEL_DELAY_ROWS:
            self.quality.labelled(self._labels.pop(0))
        self.rows += 1
        if self.rows % EVALUATE_EVERY_ROWS:
            return []
        self.window.publish(self.gauges)
        self.quality.publish(self.gauges)
        notices = self.book.evaluate(self.gauges.reading(), self.rows / ROWS_PER_S)
        return [notice.alert.rule for notice in notices if notice.ends_at is None]


def false_alarms(world: World, model: Model, reference: Reference, *, rows: int, regime: str) -> Counter[str]:
    bench = Bench(reference)
    return Counter(
        rule.name
        for record, label in records(world, model, 0, rows, regime=regime)
        for rule in bench.feed(record, label)
    )


def rows_to_see(
    world: World, model: Model, reference: Reference, rule: str, damage: Damage, *, trials: int, regime: str
) -> list[int]:
    """Rows from the first damaged one to the alert, by trial; 3000 where it was never seen."""
    found = []
    for trial in range(trials):
        bench = Bench(reference)
        first = trial * 10_000
        clean = 200 + trial * 7 % EVALUATE_EVERY_ROWS
        for record, label in records(world, model, first, clean):
            bench.feed(record, label)
        seen = 3000
        for n, (record, label) in enumerate(
            records(world, model, first + clean, 3000, regime=regime, damage=damage), 1
        ):
            if any(fired.name == rule for fired in bench.feed(record, label)):
                seen = n
                break
        found.append(seen)
    return found


def _scaled(share: float, factor: float) -> Damage:
    def damage(i: int, transaction: dict[str, Any]) -> None:
        if _hit(i, share):
            transaction["amount"] = round(transaction["amount"] * factor, 2)

    return damage


def _nulled(share: float) -> Damage:
    def damage(i: int, transaction: dict[str, Any]) -> None:
        if _hit(i, share):
            transaction["amount"] = None

    return damage


def _frozen(share: float) -> Damage:
    def damage(i: int, transaction: dict[str, Any]) -> None:
        if _hit(i, share):
            transaction["amount"] = 19.99

    return damage


def _untouched(_i: int, _transaction: dict[str, Any]) -> None:
    return


def _one_client(i: int, transaction: dict[str, Any]) -> None:
    if transaction["client_id"] == "client-f":
        transaction["amount"] = round(transaction["amount"] * 100.0, 2)


def _hit(i: int, share: float) -> bool:
    """A fixed pseudo-random share of the rows (a multiplicative hash, so that trials are alike)."""
    return (i * 2654435761 % 2**32) / 2**32 < share


FAULTS: tuple[tuple[str, str, Damage, str], ...] = (
    ("amounts x 100, all rows", "UnitChange", _scaled(1.0, 100.0), "baseline"),
    ("amounts x 100, all rows", "RangeShare", _scaled(1.0, 100.0), "baseline"),
    ("amounts x 100, one client of 5 %", "ClientUnitChange", _one_client, "baseline"),
    ("nulls, 10 %", "NullShare", _nulled(0.10), "baseline"),
    ("nulls, 3 %", "NullShare", _nulled(0.03), "baseline"),
    ("nulls, 2 %", "NullShare", _nulled(0.02), "baseline"),
    ("frozen amount, all rows", "RepeatShare", _frozen(1.0), "baseline"),
    ("frozen amount, 5 %", "RepeatShare", _frozen(0.05), "baseline"),
    ("wave of micro-payments", "FeatureDrift", _untouched, "shifted"),
    ("wave of micro-payments", "DriftAndQuality", _untouched, "shifted"),
    ("season", "FeatureDrift", _untouched, "season"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="clean rows")
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    world = World(SEED)
    base = training.baseline(world)
    model = train(base.rows, base.labels, seed=SEED)
    reference = make_reference(world, model)
    began = time.monotonic()
    for regime, rows in (("baseline", options.rows), ("season", options.rows // 5)):
        episodes = false_alarms(world, model, reference, rows=rows, regime=regime)
        print(f"{rows} rows of {regime}, {time.monotonic() - began:.0f} s: false episodes per 10,000 rows")
        for rule in row_rules():
            print(f"  {rule.name:18} {rule.severity:7} {episodes[rule.name] / rows * 1e4:.4f}")
        pages = sum(episodes[rule.name] for rule in row_rules() if rule.severity is Severity.PAGE)
        print(f"  all pages                  {pages / rows * 1e4:.4f}")
    print(f"rows to see, {options.trials} trials: median and p90")
    for name, rule_name, damage, regime in FAULTS:
        seen = sorted(rows_to_see(world, model, reference, rule_name, damage, trials=options.trials, regime=regime))
        p90 = seen[min(len(seen) - 1, round(0.9 * len(seen)))]
        print(f"  {name:34} {rule_name:18} {statistics.median(seen):6.0f} {p90:6d}")


if __name__ == "__main__":
    main()
