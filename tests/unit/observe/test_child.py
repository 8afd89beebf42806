"""An observer's process: what it says is put, and its death, junk and silence are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem
from harness.history.events import AnyEvent, Note, ObserverLost
from harness.observe.child import Child

HELLO = 'print(\'{"kind":"note","t_ns":1,"text":"hello"}\', flush=True)'


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Child, list[AnyEvent]]]:
    def make(body: str, *, silent_s_max: float | None = None) -> tuple[Child, list[AnyEvent]]:
        (tmp_path / "observer_of_a_test.py").write_text(f"import sys, time\n{body}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        events: list[AnyEvent] = []
        log = tmp_path / "observer.log"
        child = Child("prober", "observer_of_a_test", log=log, put=events.append, silent_s_max=silent_s_max)
        child.spawn()
        return child, events

    return make


def until(holds: Callable[[], bool], *, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_its_death_is_told_with_its_last_words(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, events = start(f"{HELLO}\nprint('out of paper', file=sys.stderr)\nsys.exit(3)")
    assert until(lambda: any(isinstance(event, ObserverLost) for event in events))
    lost = events[-1]
    assert isinstance(lost, ObserverLost)
    assert (lost.observer, lost.error) == ("prober", "out of paper")
    with pytest.raises(EnvironmentProblem, match="out of paper"):
        child.wait_first(5)
    child.stop()


def test_whoever_waits_for_it_does_not_wait_for_the_dead(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, _ = start("sys.exit('no paper at all')")
    began = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="no paper at all"):
        child.wait_first(60)
    assert time.monotonic() - began < 30
    child.stop()


def test_its_silence_is_a_loss_told_once(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, events = start(f"{HELLO}\nsys.stdin.read()", silent_s_max=0.3)
    child.wait_first(20)
    assert until(lambda: any(isinstance(event, ObserverLost) for event in events))
    child.stop()
    assert [event.error for event in events if isinstance(event, ObserverLost)] == ["it said nothing for 0.3 s"]


def test_junk_is_left_out_and_said(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, events = start(f"print('{{{{', flush=True)\nsys.stdout.buffer.write(b'\\xff\\n')\n{HELLO}\nsys.stdin.read()")
    assert until(lambda: len(events) == 3)
    child.stop()
    assert [event.text for event in events if isinstance(event, Note)][-1] == "hello"
    assert not any(isinstance(event, ObserverLost) for event in events), "it was told to stop"


def test_one_that_does_not_listen_is_ended_by_force(
    start: Callable[..., tuple[Child, list[AnyEvent]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.observe.child.STOP_S", 0.2)
    child, events = start(f"{HELLO}\ntime.sleep(600)")
    child.wait_first(20)
    child.stop()
    child.stop()
    assert child._process is not None
    assert child._process.poll() is not None
    assert not any(isinstance(event, ObserverLost) for event in events)
