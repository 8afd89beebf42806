"""Parts of the instrument are killed: what is left is healed or named, and nothing that was half seen is called a result."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.score import score
from harness.target.embedded.launch import PROXY
from tests.e2e import trouble
from tests.e2e.trouble import drill, until


@trouble.asked_again
def test_a_run_does_without_its_reaper(kept: str, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, trouble.PROMOTE, budget="5s")
    with drill(tmp_path, path, instance=kept) as running:
        running.command("inject-fault")
        os.kill(running.pid_of("harness.run.reaper"), signal.SIGKILL)
        assert running.end() == 1, running.said.read_text()
        assert trouble.broken(kept) == {}
        assert not running.ledger.exists()


@pytest.mark.parametrize(
    ("module", "name"), [("harness.observe.prober", "prober"), ("harness.observe.loadgen", "load")]
)
@trouble.asked_again
def test_a_lost_observer_is_no_result(module: str, name: str, *, kept: str, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, trouble.JOB, budget=trouble.LONG)
    with drill(tmp_path, path, instance=kept) as running:
        running.command("inject-fault")
        os.kill(running.pid_of(module), signal.SIGKILL)
        assert running.end() == 4, running.said.read_text()
        assert trouble.broken(kept) == {}
        card = score(read(running.history))
    assert card.verdict is Verdict.ENV_ERROR
    assert any(name in reason for reason in card.reasons)


@trouble.asked_again
def test_a_fault_that_went_with_its_proxy_is_no_repair(kept: str, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, trouble.LATENCY, budget=trouble.LONG)
    with drill(tmp_path, path, instance=kept) as running:
        running.wait_for(lambda e: e["kind"] == "witness" and e["effect"] == "present", what="the effect")
        os.kill(trouble.shop(kept).status().services[PROXY].pid, signal.SIGKILL)
        assert running.end() == 4, running.said.read_text()
        until(lambda: trouble.shop(kept).status().services[PROXY].pid, what="the proxy's return")
        trouble.shop(kept).proxy.wait_ready(within_s=trouble.WITHIN_S)
        assert trouble.broken(kept) == {}
        card = score(read(running.history))
    assert card.verdict is Verdict.ENV_ERROR
    assert any(PROXY in reason for reason in card.reasons)


@trouble.asked_again
def test_without_harness_and_reaper_leases_and_heal_take_it_back(state: None, tmp_path: Path) -> None:
    withheld = trouble.WITHHOLD.replace("back", "front")  # whoever holds alias and settings must be able to tell them
    path = trouble.scenario(
        tmp_path, trouble.PROMOTE, trouble.JOB, withheld, trouble.LATENCY, trouble.NULLS, budget=trouble.LONG
    )
    with drill(tmp_path, path, instance="orphan") as running:
        for index in range(5):
            running.wait_for(
                lambda e, index=index: (
                    e["kind"] == "command" and e["command"]["do"] == "inject-fault" and e["command"]["fault"] == index
                ),
                what=f"injection {index}",
            )
        until(lambda: len(trouble.broken("orphan")) == 5, what="the faults")
        reaper = running.pid_of("harness.run.reaper")
        os.kill(reaper, signal.SIGKILL)
        running.send(signal.SIGKILL)
        assert running.end() == -9

        code, told = trouble.tool("doctor")
        assert code == 6
        assert told["dirty"]
        assert "alias toy/champion" in told["checks"][0]["says"]

        leased = ("process", "cpu", "link-up", "toxic", "tap")
        until(
            lambda: not any(point.split()[0] in leased for point in trouble.broken("orphan")),
            what="the end of the leases",
        )
        assert trouble.broken("orphan") == {"alias toy/champion": "2", "config back/job_fail": "disk quota exceeded"}

        code, told = trouble.tool("heal")
        assert (code, told[0]["failures"]) == (0, [])
        assert trouble.broken("orphan") == {}
        assert "orphan" not in trouble.EmbeddedDriver().instances(), "it had brought the instance up"

        code, told = trouble.tool("doctor")
        assert not told["dirty"]
        assert code in (0, 4), "4: this machine may be too busy for drills, which is no leftover"
