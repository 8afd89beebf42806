"""Figures of the embedded reference pipeline: cold to healthy, summed PSS, back to baseline, snapshot, down.

python -m pytest tests/bench/bench_target.py -m bench -s
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.memory import proportional_bytes

PIPELINE = Path(__file__).parents[2] / "fixtures" / "pipeline" / "target.yaml"
ROUNDS = 5


def seconds(does: Callable[[], object]) -> float:
    began = time.perf_counter()
    does()
    return time.perf_counter() - began


def test_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    loaded = load_target(PIPELINE)
    target = EmbeddedDriver().open(loaded.spec, folder=loaded.folder, instance="bench", seed=7)
    times: dict[str, list[float]] = {}
    try:
        for _ in range(ROUNDS):
            times.setdefault("cold to healthy", []).append(seconds(target.up))
            for _ in range(3):
                times.setdefault("back to baseline", []).append(seconds(target.reset))
                times.setdefault("snapshot", []).append(seconds(target.snapshot))
            status = target.status()
            pss = sum(one.memory_bytes or 0 for one in EmbeddedDriver().describe("bench").services.values())
            pss += sum(proportional_bytes(pid) or 0 for pid in (status.pid, status.zygote))
            times.setdefault("down", []).append(seconds(target.down))
    finally:
        target.down()
    with capsys.disabled():
        print(f"\nsummed PSS of all processes, supervisor and proxy included: {pss / 1e6:.0f} MB")
        for what, found in times.items():
            print(f"{what}: median {statistics.median(found):.2f} s, max {max(found):.2f} s ({len(found)} times)")
