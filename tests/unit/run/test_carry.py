"""Carrying commands out: what throws is a reply, brackets are told, and nothing is injected into a run that is over."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.contract.faults import Prepared
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem
from harness.history.commands import Act, InjectFault, Observe, SetUp
from harness.history.events import ActionDone, AnyEvent, Done, Failed, ObservationDone
from harness.run.carry import Carrier
from harness.run.ledger import Ledger


class Fault:
    """Injects when it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self.injected = 0

    def inject(self, *_: object) -> dict[str, Any]:
        self.begun.set()
        assert self.let.wait(60)
        self.injected += 1
        return {"said": True}


class Target:
    """Answers, or throws."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def act(self, *_: object) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {"done": 1}

    observe = act


def carrier(tmp_path: Path, target: Target, fault: Fault | None = None) -> tuple[Carrier, queue.Queue[AnyEvent]]:
    replies: queue.Queue[AnyEvent] = queue.Queue()

    def set_up() -> None:
        if target.error is not None:
            raise target.error

    made = Carrier(
        SimpleNamespace(faults=(SimpleNamespace(fault="stub", heal_within_s=1.0),)),
        target=target,
        faults=(fault or Fault(),),
        observers=SimpleNamespace(),
        ledger=Ledger(tmp_path / "ledger.jsonl"),
        put=replies.put,
        set_up=set_up,
        release=lambda: None,
    )
    made.prepared[0] = Prepared(undos=())
    return made, replies


COMMANDS = (
    (SetUp(id="c1"), Done, Failed),
    (Act(id="c1", action=Action.RESTART, arguments={}, by="x"), ActionDone, ActionDone),
    (Observe(id="c1", observation=Observation.SERVICES, arguments={}, by="x"), ObservationDone, ObservationDone),
)


@pytest.mark.parametrize("error", [None, EnvironmentProblem("refused"), ZeroDivisionError("a defect")], ids=repr)
@pytest.mark.parametrize(("command", "done", "failed"), COMMANDS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_reply_tells_its_bracket(
    command: Any, done: type, failed: type, *, error: Exception | None, tmp_path: Path
) -> None:
    made, replies = carrier(tmp_path, Target(error))
    made.carry(command)
    reply = replies.get(timeout=60)
    assert isinstance(reply, done if error is None else failed)
    assert reply.command == "c1"
    assert 0 < reply.res_ns == reply.t_ns - reply.from_ns
    assert getattr(reply, "error", "") == ("" if error is None else reply.error)
    assert (error is None) or str(error) in reply.error


def test_a_run_that_is_over_waits_for_its_injection_and_begins_none(tmp_path: Path) -> None:
    """Healing by the ledger must come after what is under way, or it lands on a healed target."""
    fault = Fault()
    made, replies = carrier(tmp_path, Target(), fault)
    made.carry(InjectFault(id="c1", fault=0))
    assert fault.begun.wait(60)
    over = threading.Thread(target=made.abandon)
    over.start()
    over.join(0.1)
    assert over.is_alive(), "an injection is under way"
    fault.let.set()
    over.join(60)
    assert not over.is_alive()
    assert isinstance(replies.get(timeout=60), Done)
    made.carry(InjectFault(id="c2", fault=0))
    refused = replies.get(timeout=60)
    assert isinstance(refused, Failed)
    assert "over" in refused.error
    assert fault.injected == 1
