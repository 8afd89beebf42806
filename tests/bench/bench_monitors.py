"""What the monitor's checks on rows see, what they are blind to, and how often they cry over nothing.

Run as a program: `python tests/bench/bench_monitors.py [--rows 1000000] [--first 0] [--trials 3]`. Clean rows of the reference
world, and the same rows damaged by `harness.corrupt`, go through the offline monitor, which is the running one fed faster. An
episode is an alert that begins to fire. `--rows` may be split over several calls with `--first`; episodes add up.

Prints Markdown: docs/monitors.md holds what it printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

from harness.cli.dosing.trial import damaged
from harness.corrupt import parse
from pipeline.monitor.offline import ROWS_PER_S, Replay, Yardstick, clean_rows
from pipeline.monitor.rules import Severity
from pipeline.world import World

SEED = 7
BATCH_ROWS = 2_000
LEAD_ROWS = 400
SEEN_ROWS = 1_000
DOSES = (1.0, 0.1, 0.02)
CUSTOMER = ["customer_amount_mean", "customer_country", "customer_device", "customer_account_days"]
ONE_CLIENT = {"kind": "where", "column": "client_id", "equals": "client-f"}
B = {"kind": "where", "column": "client_id", "equals": "client-b"}

FAULTS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("D1", "amounts x 100", {"type": "scale", "factor": 100, "columns": ["amount"]}),
    (
        "D2",
        "amounts x 100, client-f only",
        {"type": "scale", "factor": 100, "columns": ["amount"], "mechanism": ONE_CLIENT},
    ),
    ("D3", "amount missing", {"type": "missing", "columns": ["amount"]}),
    ("D3", "amount imputed as 40", {"type": "missing", "form": "value", "value": 40.0, "columns": ["amount"]}),
    ("D4", "amount renamed", {"type": "renamed", "to": "value", "columns": ["amount"]}),
    ("D5", 'amount as "12,5"', {"type": "as-text", "columns": ["amount"]}),
    ("D6", "merchant unknown", {"type": "new-category", "value": "m-new", "columns": ["merchant_id"]}),
    ("D6", "DE and FR swapped", {"type": "remap", "codes": {"DE": "FR", "FR": "DE"}, "columns": ["country"]}),
    ("D6", "DE becomes NL, both in EUR", {"type": "remap", "codes": {"DE": "NL"}, "columns": ["country"]}),
    ("D7", "delivered twice", {"type": "duplicate", "after": 100}),
    ("D9", "rows lost", {"type": "drop"}),
    ("D9", "rows of client-b lost", {"type": "drop", "mechanism": B}),
    ("D10", "500 rows late", {"type": "late", "by": 500}),
    ("D11", "labels flipped", {"type": "flip", "columns": ["label"]}),
    ("D11", "labels of client-b flipped", {"type": "flip", "columns": ["label"], "mechanism": B}),
    ("D12", "labels don't come", {"type": "missing", "columns": ["label"]}),
    ("D13", "merchant's name cut", {"type": "truncated", "length": 3, "columns": ["merchant_id"]}),
    ("F1", "features 10 s old", {"type": "offset", "by": 10, "columns": ["feature_age_s"]}),
    ("F2", "stored features missing", {"type": "missing", "columns": CUSTOMER}),
    (
        "F4",
        "two stored features swapped",
        {"type": "swapped", "columns": ["customer_amount_mean", "merchant_amount_mean"]},
    ),
    ("F5", "another customer's features", {"type": "misjoined", "rows": 1, "columns": CUSTOMER}),
    ("F5", "another payment's client", {"type": "misjoined", "rows": 1, "columns": ["client_id"]}),
    ("F7", "a minute in the future", {"type": "future", "seconds_ahead": 60, "columns": ["event_time"]}),
    ("F7", "an hour's time zone off", {"type": "time-zone", "hours": -1, "columns": ["event_time"]}),
    ("X1", "wave of micro-payments", {"regime": "shifted"}),
    ("X3", "other labels on the same inputs", {"regime": "concept"}),
    ("X5", "wave of micro-payments at client-b", {"regime": "segment"}),
    ("X6", "the season's sales, harmless", {"regime": "season"}),
)


def false_episodes(yardstick: Yardstick, *, first: int, rows: int) -> Counter[str]:
    replay = Replay(yardstick)
    found: Counter[str] = Counter()
    batch: list[dict[str, Any]] = []
    for row in clean_rows(yardstick.world, first=first, count=rows):
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            found.update(fired.rule.name for fired in replay.feed(batch))
            batch = []
    found.update(fired.rule.name for fired in replay.feed(batch))
    return found


def rows_to_see(
    world: World, replay: Replay, rows: Sequence[dict[str, Any]], spec: Mapping[str, Any], *, dose: float, seed: int
) -> dict[str, int]:
    """Rows from the first damaged one to each rule that fires; of time without rows, as many as should have come."""
    replay.begin("")
    replay.feed(rows[:LEAD_ROWS])
    onset = rows[LEAD_ROWS]["t"]
    seen: dict[str, int] = {}
    arrived = arriving(world, rows[LEAD_ROWS:], spec, dose=dose, seed=seed)
    fired = replay.feed(arrived) + replay.advance(rows[-1]["t"])
    for one in fired:
        seen.setdefault(one.rule.name, round((one.t - onset) * ROWS_PER_S))
    return seen


def arriving(
    world: World, rows: Sequence[dict[str, Any]], spec: Mapping[str, Any], *, dose: float, seed: int
) -> Sequence[dict[str, Any]]:
    """The rows as damaged, or as the world makes them in another regime, where the dose is its magnitude."""
    if "regime" in spec:
        return list(clean_rows(world, first=rows[0]["seq"], count=len(rows), regime=spec["regime"], magnitude=dose))
    return damaged(rows, (replace(parse(spec), dose=dose, seed=seed),))[0]


def table(rows: Iterable[Sequence[str]]) -> None:
    for n, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if n == 0:
            print("|" + "---|" * len(row))


def print_false(yardstick: Yardstick, *, first: int, rows: int) -> None:
    began = time.monotonic()
    episodes = false_episodes(yardstick, first=first, rows=rows)
    rules = Replay(yardstick).rules
    print(f"{rows:,} clean rows from {first:,} on, {time.monotonic() - began:.0f} s: false episodes\n")
    counted = [
        (rule.name, str(rule.severity), str(episodes[rule.name]), f"{episodes[rule.name] / rows * 1e4:.3f}")
        for rule in rules
    ]
    pages = sum(episodes[rule.name] for rule in rules if rule.severity is Severity.PAGE)
    table(
        [
            ("rule", "severity", "episodes", "in 10,000 rows"),
            *counted,
            ("all pages", "", str(pages), f"{pages / rows * 1e4:.3f}"),
        ]
    )


def print_faults(yardstick: Yardstick, *, trials: int) -> None:
    replay = Replay(yardstick)
    streams = [
        list(clean_rows(yardstick.world, first=trial * (LEAD_ROWS + SEEN_ROWS), count=LEAD_ROWS + SEEN_ROWS))
        for trial in range(trials)
    ]
    pages = {rule.name for rule in replay.rules if rule.severity is Severity.PAGE}
    lines = [("row", "fault", "dose", "pages, after rows", "tickets, after rows")]
    blind: dict[str, list[str]] = {rule.name: [] for rule in replay.rules}
    for row, name, spec in FAULTS:
        for dose in DOSES:
            trialled = [
                rows_to_see(yardstick.world, replay, rows, spec, dose=dose, seed=n) for n, rows in enumerate(streams)
            ]
            always = {
                rule: round(statistics.median(seen[rule] for seen in trialled))
                for rule in sorted(blind)
                if all(rule in seen for seen in trialled)
            }
            if dose == max(DOSES):
                for rule in set(blind) - set(always):
                    blind[rule].append(name)
            texts = [
                ", ".join(
                    f"{rule} {rows}"
                    for rule, rows in sorted(always.items(), key=lambda one: one[1])
                    if (rule in pages) is page
                )
                for page in (True, False)
            ]
            lines.append((row, name, f"{dose:g}", texts[0] or "blind", texts[1] or "blind"))
    print(
        f"\nRows until seen, median of {trials} streams; what not every stream showed within {SEEN_ROWS:,} rows counts as blind\n"
    )
    table(lines)
    print(f"\nAt dose 1, of {len(FAULTS)} faults\n")
    names = [name for _, name, _ in FAULTS]
    table(
        [
            ("rule", "sees", "is blind to"),
            *(
                (rule, "; ".join(n for n in names if n not in missed) or "none of them", str(len(missed)))
                for rule, missed in blind.items()
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="clean rows; 0: none")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--trials", type=int, default=3, help="streams for each fault and dose; 0: none")
    options = parser.parse_args()
    yardstick = Yardstick(SEED)
    if options.rows:
        print_false(yardstick, first=options.first, rows=options.rows)
    if options.trials:
        print_faults(yardstick, trials=options.trials)


if __name__ == "__main__":
    main()
