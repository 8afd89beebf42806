"""What the corruption library costs: `python tests/bench/bench_corrupt.py`, beside copying with numpy, and beside `tab-err`
where that is installed (`pip install tab-err`).

Prints, for a million rows of three columns (floats, whole numbers, short floats), the milliseconds of each type of damage and
their ratio to copying the same columns; memory at its highest beside the columns; whether a hundred chunks take a hundred
times as long as one; `drill corrupt` on files of each kind; and the import. Rounds alternate; medians are shown. The types
are timed by what the processor did for them, since all of it is one thread's work, and the shortest round is shown too: a busy
machine disturbs these least.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from harness import corrupt
from harness.cli.corrupting.job import run

FILE_ROWS = 300_000
FILE_CHAINS: dict[str, list[dict[str, Any]]] = {
    "a tenth of one column": [{"type": "scale", "factor": 100, "columns": ["a"], "dose": 0.1}],
    "every row": [{"type": "scale", "factor": 100, "columns": ["a"]}],
    "three steps": [
        {"type": "scale", "factor": 100, "columns": ["a"], "dose": 0.1},
        {"type": "missing", "columns": ["b", "c"], "dose": 0.05},
        {"type": "late", "by": 100, "dose": 0.05},
    ],
}
ROWS = 1_000_000
SPECS: dict[str, dict[str, Any]] = {
    "scale": {"factor": 100},
    "offset": {"by": 1.5},
    "sign": {},
    "round": {"decimals": 1},
    "clip": {"most": 0.5},
    "outlier": {},
    "missing": {},
    "stuck": {"length": 10},
    "misjoined": {"rows": 1},
}
ROW_SPECS: dict[str, dict[str, Any]] = {"drop": {}, "duplicate": {}, "late": {"by": 100}, "reorder": {"within": 5}}


def columns(rows: int = ROWS) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(1)
    return {
        "a": draws.normal(size=rows),
        "b": draws.integers(0, 1000, rows),
        "c": draws.normal(size=rows).astype(np.float32),
    }


def milliseconds(call: Callable[[], object], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    began = clock()
    call()
    return (clock() - began) / 1e6


def median(
    calls: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], int] = time.perf_counter_ns
) -> dict[str, float]:
    return {name: statistics.median(taken) for name, taken in taken_by(calls, rounds, clock).items()}


def taken_by(calls: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], int]) -> dict[str, list[float]]:
    """Milliseconds of calls that take turns, for the machine's load changes between rounds."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(milliseconds(call, clock))
    return taken


def kinds(dose: float, rounds: int) -> None:
    table = columns()
    reference = corrupt.Reference.of(table)

    def damage(spec: dict[str, Any]) -> Callable[[], object]:
        corruption = corrupt.parse({**spec, "dose": dose})
        return lambda: corrupt.damage(table, corruption, reference=reference)

    calls: dict[str, Callable[[], object]] = {"copy": lambda: {name: column.copy() for name, column in table.items()}}
    calls |= {kind: damage({"type": kind, "columns": list(table), **rest}) for kind, rest in SPECS.items()}
    calls |= {kind: damage({"type": kind, **rest}) for kind, rest in ROW_SPECS.items()}
    taken = taken_by(calls, rounds, time.thread_time_ns)
    print(f"\n{ROWS:,} rows of three columns, dose {dose:g}: processor ms, ratio to copying: median, shortest")
    for name, values in taken.items():
        middle, least = statistics.median(values), min(values)
        print(
            f"  {name:<12}{middle:>9.1f}{middle / statistics.median(taken['copy']):>9.2f}"
            f"{least:>9.1f}{least / min(taken['copy']):>9.2f}"
        )


def peer(rounds: int) -> None:
    try:
        import pandas as pd
        from tab_err import error_mechanism, error_type
        from tab_err.api.low_level import create_errors
    except ImportError:
        print("\ntab-err is not installed: nothing to compare with (pip install tab-err)")
        return
    table = {"a": columns()["a"]}
    frame = pd.DataFrame(table)
    reference = corrupt.Reference.of(table)
    theirs = {
        "missing": error_type.MissingValue(),
        "scale": error_type.WrongUnit(),
        "offset": error_type.AddDelta(),
        "outlier": error_type.Outlier(),
        "as-text": error_type.Mistype(),
        "misjoined": error_type.Permutate(),
    }
    ours: dict[str, dict[str, Any]] = {**SPECS, "as-text": {}}
    print(f"\n{ROWS:,} rows of one column, dose 0.1: rows/s beside tab-err's")
    for kind, error in theirs.items():
        corruption = corrupt.parse({"type": kind, "columns": ["a"], **ours[kind], "dose": 0.1})
        try:
            found = median(
                {
                    "ours": lambda c=corruption: corrupt.damage(table, c, reference=reference),
                    "theirs": lambda e=error: create_errors(frame, "a", 0.1, error_mechanism.ECAR(), e),
                },
                rounds,
                time.thread_time_ns,
            )
        except (TypeError, ValueError) as why:
            print(f"  {kind:<12} tab-err can't: {why}")
            continue
        rate, their_rate = (ROWS / found[who] * 1000 for who in ("ours", "theirs"))
        print(f"  {kind:<12}{rate:>15,.0f}{their_rate:>15,.0f}{rate / their_rate:>8.1f} x")


def memory() -> None:
    table = columns()
    size = sum(column.nbytes for column in table.values())
    corruption = corrupt.parse({"type": "scale", "factor": 100, "columns": list(table), "dose": 0.1})
    tracemalloc.start()
    damaged = corrupt.damage(table, corruption)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    mask = sum(one.nbytes for one in damaged.masks.values())
    print(
        f"\nmemory at its highest: {highest / 1e6:.0f} MB beside columns of {size / 1e6:.0f} MB and masks of {mask / 1e6:.0f} MB"
    )
    print(f"  ratio to columns and masks, input included: {(highest + size) / (size + mask):.2f}")


def linear(chunks: int) -> None:
    corruption = corrupt.parse({"type": "scale", "factor": 100, "columns": ["a", "b", "c"], "dose": 0.1})
    table = columns()
    for count in sorted({1, max(1, chunks // 10), chunks}):
        stream = corrupt.Stream((corruption,))
        began = time.perf_counter()
        for _ in range(count):
            stream.feed(table)
        taken = time.perf_counter() - began
        print(f"  {count * ROWS:>12,} rows in chunks: {taken:.2f} s, {count * ROWS / taken:,.0f} rows/s")
    print(f"  highest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def files(rounds: int) -> None:
    """What `drill corrupt` does to a file, beside reading and writing its bytes."""
    print(f"\nfiles of {FILE_ROWS:,} rows of three columns and a text: rows/s, and MB/s of the input")
    with tempfile.TemporaryDirectory() as folder:
        for source in _sources(Path(folder)):
            calls: dict[str, Callable[[], object]] = {
                "copying": lambda s=source: s.with_name("out").write_bytes(s.read_bytes())
            }
            calls |= {name: _damages(source, corrupt.parse_chain(steps)) for name, steps in FILE_CHAINS.items()}
            for name, ms in median(calls, max(1, rounds // 2)).items():
                size = source.stat().st_size / 1e6
                print(f"  {source.suffix[1:]:<9}{name:<24}{FILE_ROWS / ms * 1000:>13,.0f}{size / ms * 1000:>9.1f}")
    print(f"  highest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _sources(folder: Path) -> Iterator[Path]:
    table = {name: column.tolist() for name, column in columns(FILE_ROWS).items()}
    rows = [{"a": a, "b": b, "c": c, "note": f"note {b}, ü"} for a, b, c in zip(*table.values(), strict=True)]
    path = folder / "in.csv"
    with path.open("w", newline="") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
    yield path
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield path
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        print("  parquet  pyarrow is not installed (pip install 'mldrill[arrow]')")
        return
    path = folder / "in.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    yield path


def _damages(source: Path, chain: tuple[corrupt.Corruption, ...]) -> Callable[[], object]:
    return lambda: run(
        source,
        source.with_name("out"),
        source.with_name("mask"),
        kind=source.suffix[1:],
        chain=chain,
        id_column="",
        reference=corrupt.Reference(),
        pass_broken=False,
        progress=lambda _: None,
    )


IMPORTING = """
import time
clocks = time.perf_counter, time.process_time
began = [clock() for clock in clocks]
import numpy
halfway = [clock() for clock in clocks]
import harness.corrupt
ended = [clock() for clock in clocks]
print(*(one - two for later, sooner in ((halfway, began), (ended, halfway)) for one, two in zip(later, sooner)))
"""


def importing(rounds: int) -> None:
    """In new interpreters, with their bytecode written, as it is where the package is installed."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": str(Path(__file__).parents[2])}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        found = [
            [
                float(n) * 1000
                for n in subprocess.check_output([sys.executable, "-c", IMPORTING], env=env, text=True).split()
            ]
            for _ in range(rounds + 1)
        ][1:]  # the first one compiles
    print("\nimport, ms: median by the clock, of the processor, and the shortest of the processor")
    for at, name in enumerate(("numpy", "all else")):
        clock, processor = [one[2 * at] for one in found], [one[2 * at + 1] for one in found]
        print(f"  {name:<12}{statistics.median(clock):>9.1f}{statistics.median(processor):>9.1f}{min(processor):>9.1f}")
    both = [one[1] + one[3] for one in found]
    print(f"  {'together':<12}{statistics.median(one[0] + one[2] for one in found):>9.1f}", end="")
    print(f"{statistics.median(both):>9.1f}{min(both):>9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chunks", type=int, default=100, help="of a million rows each, for whether it is linear")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--files", action="store_true", help="only `drill corrupt` on files")
    only.add_argument("--import", dest="importing", action="store_true", help="only the import")
    only.add_argument(
        "--kinds", type=float, metavar="DOSE", help="only the types beside copying, in memory that is theirs alone"
    )
    arguments = parser.parse_args()
    if arguments.files:
        return files(arguments.rounds)
    if arguments.importing:
        return importing(arguments.rounds)
    if arguments.kinds is not None:
        return kinds(arguments.kinds, arguments.rounds)
    for dose in (0.05, 0.5):
        kinds(dose, arguments.rounds)
    peer(arguments.rounds)
    memory()
    print("\nlinear")
    linear(arguments.chunks)
    files(arguments.rounds)
    importing(arguments.rounds)


if __name__ == "__main__":
    main()
