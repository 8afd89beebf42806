"""The benchmark's table says what was met and what wasn't, and the benchmark says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.proxy_table import HEADS, Column, cells, console, markdown

BENCH = Path(__file__).parents[2] / "bench" / "bench_proxy.py"
VERDICT = HEADS.index("verdict")


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "verdict"),
    [
        ("added_us", 69.0, 100.0, "met"),
        ("added_us", 71.0, 100.0, "missed"),
        ("added_us", 71.0, None, ""),
        ("bulk_1", 1999.0, 1000.0, "missed"),
        ("bulk_1", 2000.0, 1000.0, "met"),
        ("ping_p99", 10.1, None, "missed"),
        ("late_p50", 0.4, 0.3, "missed"),
        ("late_p50", 0.4, 0.5, "met"),
        ("late_p50", 0.6, 0.7, "missed"),
        ("direct_us", 20.0, 20.0, ""),
    ],
)
def test_a_verdict_is_that_of_the_figure_asked_for(key: str, ours: float, theirs: float | None, verdict: str) -> None:
    medians = {Column.OURS: {key: ours}}
    if theirs is not None:
        medians[Column.THEIRS] = {key: theirs}
    (row,) = cells(medians)
    assert row[VERDICT] == verdict
    assert (row[HEADS.index("ratio")] == "") is (theirs is None)


def test_both_tables_have_a_row_for_each_figure() -> None:
    medians = {Column.OURS: {"bulk_1": 1.0, "churn": 2.0}, Column.THEIRS: {"bulk_1": 1.0, "churn": 2.0}}
    for shown in (console(medians, "here"), markdown(medians, "here")):
        assert "here" in shown
        assert len([line for line in shown.splitlines() if "MB/s" in line or "connections/s" in line]) == 2


def test_without_a_compiler_it_says_so_and_exits_with_2(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key != "CC"} | {"PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(BENCH)], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "no C compiler" in done.stdout
