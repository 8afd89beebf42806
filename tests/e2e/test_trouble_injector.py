"""The injector is made ineffective, one fault of each capability in turn: INVALID_INJECTION, never PASS or FAIL."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.cli.drill import choose, request
from harness.contract.undo import Json, Point
from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.run.execute import execute
from harness.score import score
from harness.target.embedded.instance import EmbeddedTarget
from tests.e2e import trouble


def nothing_set(target: EmbeddedTarget, point: Point, value: Json) -> None:
    """Says that it did, and does nothing."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(trouble.KILL, id="kill"),
        pytest.param(trouble.PAUSE, id="pause"),
        pytest.param(trouble.WITHHOLD, id="limit-cpu"),
        pytest.param(trouble.MEMORY, id="limit-memory"),
        pytest.param(trouble.LATENCY, id="link"),
        pytest.param(trouble.NULLS, id="tap"),
        pytest.param(trouble.PROMOTE, id="model"),
        pytest.param(trouble.JOB, id="config"),
    ],
)
def test_what_did_not_bite_is_no_result(
    fault: str, *, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trouble.scenario(tmp_path, fault, budget="5s")
    chosen = choose(str(path), target=str(trouble.SHOP / "target.yaml"), arm=None, seed=7, responder="none")
    quick = tuple(replace(planned, witness_within_s=1.5, onset_s=0.0) for planned in chosen.plan.faults)
    chosen = dataclasses.replace(chosen, plan=replace(chosen.plan, faults=quick, baseline_s=0.6))
    made, _, running = request(chosen, instance=kept, reports=tmp_path / "reports", keep=True)
    assert running
    monkeypatch.setattr(EmbeddedTarget, "set", nothing_set)
    executed = execute(made, lambda *_: None, running=True)
    monkeypatch.undo()
    card = score(read(executed.folder / "history.jsonl"))
    assert (card.verdict, int(card.exit)) == (Verdict.INVALID_INJECTION, 3), card.reasons
    assert executed.finish.dirty == ()
    assert trouble.broken(kept) == {}
