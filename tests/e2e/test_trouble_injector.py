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

SLOW = trouble.LATENCY.replace("200ms", "1800ms")
"""So much later that no busy machine is taken for it."""


def nothing_set(target: EmbeddedTarget, point: Point, value: Json) -> None:
    """Says that it did, and does nothing."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(trouble.KILL, id="kill"),
        pytest.param(trouble.PAUSE, id="pause"),
        pytest.param(trouble.WITHHOLD, id="limit-cpu"),
        pytest.param(trouble.MEMORY, id="limit-memory"),
        pytest.param(SLOW, id="link"),
        pytest.param(trouble.NULLS, id="tap"),
        pytest.param(trouble.PROMOTE, id="model"),
        pytest.param(trouble.JOB, id="config"),
    ],
)
@trouble.asked_again
def test_what_did_not_bite_is_no_result(
    fault: str, *, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trouble.scenario(tmp_path, fault, budget=trouble.LONG)
    chosen = choose(str(path), target=str(trouble.SHOP / "target.yaml"), arm=None, seed=7, responder="none")
    quick = tuple(replace(planned, witness_within_s=1.5, onset_s=0.0) for planned in chosen.plan.faults)
    plan = replace(chosen.plan, faults=quick, baseline_s=0.6, baseline_within_s=trouble.WITHIN_S)
    chosen, reports = dataclasses.replace(chosen, plan=plan), tmp_path / "reports"
    trouble.REPORTS.append(reports)
    made, _, running = request(chosen, instance=kept, reports=reports, keep=True)
    assert running
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedTarget, "set", nothing_set)
        executed = execute(made, lambda *_: None, running=True)
    card = score(read(executed.folder / "history.jsonl"))
    assert (card.verdict, int(card.exit)) == (Verdict.INVALID_INJECTION, 3), card.reasons
    assert executed.finish.dirty == ()
    assert trouble.broken(kept) == {}
