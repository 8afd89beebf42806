"""An observer's process: what it says is put, and its death, junk and silence are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem
from harness.history.events import AnyEvent, Event, Note, ObserverLost, Records, Sample
from harness.observe.child import SILENT_S_MAX, Child
from harness.observe.observers import Observers
from harness.spec.load import load_target
from tests.golden.build import plan

SHOP = Path(__file__).parents[2] / "fixtures_shop" / "target.yaml"

HELLO = 'print(\'{"kind":"note","t_ns":1,"text":"hello"}\', flush=True)'


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Child, list[AnyEvent]]]:
    def make(
        body: str, *, silent_s_max: float | None = None, must_say: type[Event] = Event
    ) -> tuple[Child, list[AnyEvent]]:
        (tmp_path / "observer_of_a_test.py").write_text(f"import sys, time\n{body}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        events: list[AnyEvent] = []
        log = tmp_path / "observer.log"
        child = Child(
            "prober", "observer_of_a_test", log=log, put=events.append, silent_s_max=silent_s_max, must_say=must_say
        )
        child.spawn()
        return child, events

    return make


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> bool:
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
        child.wait_first(60)
    child.stop()


def test_whoever_waits_for_it_does_not_wait_for_the_dead(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, _ = start("sys.exit('no paper at all')")
    with pytest.raises(EnvironmentProblem, match="no paper at all"):
        child.wait_first(3600)  # longer than a test may take
    child.stop()


def test_one_that_can_say_nothing_any_more_is_lost_before_it_is_dead(
    start: Callable[..., tuple[Child, list[AnyEvent]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output ends a moment before its process does."""
    monkeypatch.setattr("harness.observe.child.STOP_S", 0.2)
    child, _ = start("import os\nprint('no ink', file=sys.stderr, flush=True)\nos.close(1)\ntime.sleep(600)")
    with pytest.raises(EnvironmentProblem, match="no ink"):
        child.wait_first(60)
    child.stop()


def test_its_silence_is_a_loss_told_once(start: Callable[..., tuple[Child, list[AnyEvent]]]) -> None:
    child, events = start(f"{HELLO}\nsys.stdin.read()", silent_s_max=0.3)
    child.wait_first(60)
    assert until(lambda: any(isinstance(event, ObserverLost) for event in events))
    child.stop()
    assert [event.error for event in events if isinstance(event, ObserverLost)] == ["it said nothing for 0.3 s"]


TALKS_ON = """
for _ in range(2000):
    print('{"kind":"records","t_ns":2,"reading":"decisions","records":[]}', flush=True)
    time.sleep(0.02)
"""


def test_what_it_says_besides_does_not_hide_that_its_samples_stopped(
    start: Callable[..., tuple[Child, list[AnyEvent]]],
) -> None:
    child, events = start(HELLO + TALKS_ON, silent_s_max=0.3, must_say=Sample)
    child.wait_first(60)
    assert until(lambda: any(isinstance(event, ObserverLost) for event in events))
    assert until(lambda: any(isinstance(event, Records) for event in events))
    child.stop()
    assert [event.error for event in events if isinstance(event, ObserverLost)] == ["it gave no sample for 0.3 s"]


def test_of_the_prober_only_samples_are_a_sign_of_life(tmp_path: Path) -> None:
    described = load_target(SHOP)
    watched = Observers(plan(), spec=described.spec, folder=SHOP.parent, fill=str, logs=tmp_path, put=lambda _: None)
    assert (watched._prober.must_say, watched._prober.silent_s_max) == (Sample, SILENT_S_MAX)


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
    child.wait_first(60)
    child.stop()
    child.stop()
    assert child._process is not None
    assert child._process.poll() is not None
    assert not any(isinstance(event, ObserverLost) for event in events)
