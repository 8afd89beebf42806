"""The harness is told to stop, or is killed, at a sample of each kind of boundary: no fault is left, whatever was going on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.history.reader import read
from harness.score import score
from tests.e2e import trouble
from tests.e2e.trouble import Drill, drill, until

EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


def strike(running: Drill, at: str) -> None:
    """Returns when the drill has just come to this boundary."""
    match at:
        case "action-in-flight":
            running.command("inject-fault")
            post_page(running)
            running.command("act")
        case _:
            running.command(at)


def post_page(running: Drill) -> None:
    """What the shop's monitoring would send, if it had any."""
    running.wait_for(lambda e: e["kind"] == "command" and e["command"].get("phase") == "respond", what="the effect")
    trouble.page(running.instance, "Scripted")


def nothing_is_left(running: Drill) -> None:
    until(lambda: not running.processes(), what="the end of all that it started")
    assert trouble.broken(running.instance) == {}
    assert not running.ledger.exists()


@pytest.mark.parametrize(
    ("number", "at", "fault"),
    [
        (signal.SIGTERM, "set-up", trouble.PROMOTE),
        (signal.SIGINT, "take-snapshot", trouble.JOB),  # the baseline: prepared, secured, not injected
        (signal.SIGHUP, "inject-fault", trouble.PROMOTE),
        (signal.SIGINT, "inject-fault", trouble.PAUSE),
        (signal.SIGTERM, "action-in-flight", trouble.JOB),
        (signal.SIGKILL, "set-up", trouble.PROMOTE),
        (signal.SIGKILL, "start-witness", trouble.PROMOTE),  # between the durable undo and the injection
        (signal.SIGKILL, "inject-fault", trouble.PROMOTE),
        (signal.SIGKILL, "inject-fault", trouble.NULLS),
        (signal.SIGKILL, "action-in-flight", trouble.LATENCY),
        (signal.SIGKILL, "heal-fault", trouble.JOB),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value.split(",")[0].removeprefix("{fault: "),
)
@trouble.asked_again
def test_no_fault_is_left(number: signal.Signals, at: str, fault: str, *, kept: str, tmp_path: Path) -> None:
    budget = "3s" if at == "heal-fault" else trouble.LONG
    path = trouble.scenario(tmp_path, fault, budget=budget)
    with drill(tmp_path, path, "--playbook", str(trouble.SHOP / "slow-hands.md"), instance=kept) as running:
        strike(running, at)
        running.send(number)
        assert running.end() == EXITS[number], running.said.read_text()
        nothing_is_left(running)
        history = read(running.history)
        if number is not signal.SIGKILL:
            assert int(score(history).exit) == EXITS[number]


@trouble.asked_again
def test_a_second_interrupt_hurries_nothing(kept: str, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, trouble.PROMOTE, trouble.PAUSE, budget=trouble.LONG)
    with drill(tmp_path, path, instance=kept) as running:
        running.command("inject-fault")
        running.send(signal.SIGINT)
        running.command("heal-fault")
        running.send(signal.SIGINT)
        running.send(signal.SIGTERM)
        running.command("stop-observers")
        running.send(signal.SIGINT)
        assert running.end() in (130, 143), running.said.read_text()
        nothing_is_left(running)
        assert "Traceback" not in running.said.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
@trouble.asked_again
def test_an_instance_that_it_brought_up_goes_with_it(number: signal.Signals, *, state: None, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, trouble.PROMOTE, budget=trouble.LONG)
    with drill(tmp_path, path, instance="owned") as running:
        running.command("inject-fault")
        running.send(number)
        assert running.end() == EXITS[number], running.said.read_text()
        nothing_is_left(running)
        assert "owned" not in trouble.EmbeddedDriver().instances()
