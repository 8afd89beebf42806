"""The live view and the ending: news once each, nothing that blocks, nothing that raises, nothing that steers a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import select
from contextlib import contextmanager, suppress
from itertools import pairwise

import msgspec
import pytest

from harness.contract.words import Action, Observation
from harness.history.commands import Observe
from harness.history.events import AlertReceived, CommandIssued, Input, ObservationDone
from harness.report import terminal
from harness.report.live import Follower
from harness.report.outlet import Outlet
from harness.report.terminal import open_view, summary
from harness.respond.playbook import PlaybookResponder
from harness.run.machine import Conductor
from harness.run.simulated import simulate
from harness.run.stubworld import Behaviour
from harness.score import score
from tests.golden import build
from tests.simulated.plans import a_plan, planned_fault
from tests.unit.report import made

PLAN = a_plan(planned_fault())
SEES = {"versions": {"champion": "2", "previous": "1"}}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def simulated_events():
    behaviour = Behaviour(cures=frozenset({Action.ROLLBACK}), observations=SEES)
    return simulate(PLAN, PlaybookResponder(), behaviour).events


def play(view, *, change=lambda event: event) -> None:
    """Shows a whole simulated run to a view, as the live driver does."""
    conductor = Conductor(PLAN, PlaybookResponder())
    state = conductor.start()
    for event in map(change, simulated_events()):
        if isinstance(event, CommandIssued):
            continue
        if isinstance(event, Input):
            state, commands = conductor.step(state, event)
            view(state, event, commands)
        else:
            view(state, event, ())


def shown(*, quiet: bool = False, change=lambda event: event) -> str:
    stream = io.StringIO()
    with open_view(PLAN, stream=stream, quiet=quiet) as view:
        play(view, change=change)
    return stream.getvalue()


@contextmanager
def a_terminal():
    """A pseudo-terminal as a text stream, and what can be read from its other end."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")

    def said() -> str:
        data = b""
        while select.select([master], [], [], 0)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        return data.decode()

    try:
        yield stream, said, master
    finally:
        stream.close()
        with suppress(OSError):  # a test may have closed it
            os.close(master)


IN_ORDER = (
    "phase: baseline",
    "inject: stub.break",
    "witness sees it",
    "objective lost: availability",
    "PAGE Stub",
    "ack by playbook",
    "look at versions",
    "rollback to=1",
    "witness is clear",
    "objectives back",
    "undo applied",
    "end: claimed",
)


def test_where_there_is_no_terminal_each_thing_is_one_plain_line():
    text = shown()
    at = [text.find(words) for words in IN_ORDER]
    assert -1 not in at
    assert at == sorted(at)
    assert "\x1b" not in text
    assert [text.count(words) for words in ("witness sees it", "PAGE Stub", "objectives back")] == [1, 1, 1]


def test_lines_carry_the_clock_since_the_fault_was_active():
    page = next(line for line in shown().splitlines() if "PAGE Stub" in line)
    assert re.match(r"\s+\d+\.\d\d s\s+\+\d\.\d\d ! PAGE", page)


def test_a_look_that_is_taken_again_and_again_is_told_once():
    follower = Follower(PLAN)
    state = Conductor(PLAN, PlaybookResponder()).start()
    look = {
        step: Observe(id=f"c{step}", observation=Observation.QUALITY, arguments={}, by="playbook", step=step)
        for step in "12"
    }
    told = []
    for step in "11121":
        done = ObservationDone(t_ns=1, command=f"c{step}", from_ns=1, ok=True)
        for commands in ((look[step],), ()):
            told += [(one.step, one.text) for one in follower.follow(state, done, commands)]
    assert told == [("1", "look at quality"), ("2", "look at quality"), ("1", "look at quality")]


def test_quiet_shows_nothing():
    assert shown(quiet=True) == ""


def test_what_a_target_wrote_cannot_steer_the_terminal():
    def hostile(event):
        if isinstance(event, AlertReceived):
            return msgspec.structs.replace(event, summary="\x1b[2J\x1b]0;owned\x07 gone\r\n fake line [bold]x[/bold]")
        return event

    text = shown(change=hostile)
    assert set(re.findall(r"[\x00-\x09\x0b-\x1f\x7f\x9b]", text)) == set()
    assert "[bold]x[/bold]" in text


def test_a_terminal_gets_news_and_a_panel_that_goes_away():
    with a_terminal() as (stream, said, _), open_view(PLAN, stream=stream, quiet=False) as view:
        collected = ""
        conductor = Conductor(PLAN, PlaybookResponder())
        state = conductor.start()
        for event in simulated_events():
            if isinstance(event, Input):
                state, commands = conductor.step(state, event)
                view(state, event, commands)
                collected += said()
        collected += said()
    assert "PAGE Stub" in collected
    assert "━━ stub" in collected
    assert "\x1b[?25l" not in collected  # the cursor is never hidden, so it need not be restored


def test_the_panel_is_drawn_at_most_four_times_a_second(monkeypatch):
    drawn: list[int] = []
    screen = terminal._Screen
    draw = screen._draw
    monkeypatch.setattr(screen, "_draw", lambda self, state: (drawn.append(self._drawn_ns), draw(self, state)))
    with a_terminal() as (stream, _, _), open_view(PLAN, stream=stream, quiet=False) as view:
        play(view)
    drawn.pop()  # the last takes the panel away, whenever that is
    assert len(drawn) > 10
    assert [b - a for a, b in pairwise(drawn) if b - a < 250_000_000] == []


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_plain_lines_can_be_asked_for_on_a_terminal(monkeypatch, *, variable):
    monkeypatch.setenv(variable, "1")
    with a_terminal() as (stream, said, _):
        with open_view(PLAN, stream=stream, quiet=False) as view:
            play(view)
        assert "\x1b" not in said()


def test_a_terminal_that_is_gone_is_no_error():
    with a_terminal() as (stream, _, master), open_view(PLAN, stream=stream, quiet=False) as view:
        os.close(master)
        play(view)


def test_a_closed_pipe_is_no_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream, open_view(PLAN, stream=stream, quiet=False) as view:
        play(view)


def test_a_closed_stream_is_no_error():
    stream = io.StringIO()
    stream.close()
    with open_view(PLAN, stream=stream, quiet=False) as view:
        play(view)


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_run():
    """The writes would block for ever, were they blocking: the time limit of the tests is what this is held by."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream:
        outlet = Outlet(stream)
        for _ in range(100):
            outlet.write("x" * 10_000)
        assert outlet.stuck
        assert os.get_blocking(write_end)  # what others share is left as it was
        outlet.close()
    os.close(read_end)


def test_a_defect_of_the_view_ends_the_view_only(monkeypatch):
    def fail(*_):
        raise ValueError("a defect")

    monkeypatch.setattr(terminal.Follower, "follow", fail)
    assert shown().count("the live view stopped") == 1


# --- the ending -----------------------------------------------------------------------------------------------------


def ending_of(story) -> str:
    history = story if not isinstance(story, build.Story) else story.history()
    return summary(history, score(history), report=None, colour=False)


def test_the_ending_says_verdict_times_and_how_to_repeat_it():
    text = ending_of(build.bad_model())
    assert text.splitlines()[1].startswith("PASS  bad-model-version: ")
    assert re.search(r"TTD +fault active to page +3\.00 s ± 0\.20 s +2\.00 s", text)
    assert "repeat      drill run bad-model-version --seed 7" in text
    assert "\x1b" not in text


def test_the_ending_splits_ttd_where_the_monitoring_tells_all_of_it():
    text = ending_of(made.rich())
    assert re.search(r"  sense +fault active to condition seen by a rule +1\.40 s ± 0\.20 s +1\.00 s", text)
    assert re.search(r"  hold +condition seen to rule firing +1\.10 s ± 1\.0 ms +1\.00 s", text)
    assert re.search(r"  deliver +rule firing to page received +0\.50 s ± ", text)
    assert "monitoring  scrape 0.50 s, evaluation 0.50 s, hold of CanaryWrong 1.00 s" in text
    untold = ending_of(build.bad_model(page_at=None).alert(7.0, fire=6.5))
    assert "  hold" not in untold


def test_what_never_came_is_told_as_more_than():
    text = ending_of(made.rich(responds=False, end_at=36.0))
    assert re.search(r"TTR +fault active to recovered +> 32\.0 s \(budget\)", text)
    assert "mitigate    missed" in text


def test_the_ending_is_plain_where_it_is_no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    history = build.bad_model().history()
    assert "\x1b" not in summary(history, score(history), report=None)


def test_the_ending_names_what_is_still_broken():
    story = build.bad_model(heal=False)
    story = story.without(lambda event: isinstance(event, CommandIssued) and type(event.command).__name__ == "Finish")
    story.issue(16.0, build.c.Finish, reason=build.EndReason.CLAIMED, dirty=(0,))
    assert "STILL BROKEN" in ending_of(story)
