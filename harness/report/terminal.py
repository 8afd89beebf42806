"""The run as it happens, and how it ended, on the terminal.

On a terminal: news scrolls, and below it stands a panel with phase, clock, objectives, alerts and the playbook's steps. Elsewhere
(a file, a pipe, CI, NO_COLOR): one plain line for each thing that happened. The view knows the time from events only, so the
panel moves when something is recorded, which is several times a second.

What always holds: a view neither blocks nor raises, because it stands between two events of a run; a defect of it, or a closed
terminal, ends the view and not the drill. The cursor is never hidden, so it never has to be restored.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harness.history.commands import AnyCommand
from harness.history.events import AnyEvent
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report.ending import ending
from harness.report.live import Follower
from harness.report.outlet import Outlet
from harness.report.panel import Panel
from harness.report.telling import Happening, Lane
from harness.report.words import NS
from harness.run.state import State
from harness.spec.plan import Plan

View = Callable[[State, AnyEvent, tuple[AnyCommand, ...]], None]
DRAW_EVERY_NS = NS // 4


@contextmanager
def open_view(plan: Plan, *, stream: TextIO, quiet: bool) -> Iterator[View]:
    """The live view of one run; `quiet` shows nothing."""
    if quiet:
        yield _nothing
        return
    outlet = Outlet(stream)
    screen: _Screen | _Lines = _Screen(plan, outlet) if outlet.tty and not _plain_wanted() else _Lines(plan, outlet)

    broken = False

    def view(state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> None:
        nonlocal broken
        if broken:
            return
        try:
            screen.show(state, event, commands)
        except Exception as error:  # whatever is wrong with a picture, the drill goes on
            broken = True
            outlet.write(f"\n(the live view stopped: {type(error).__name__}; the run goes on)\n")

    try:
        yield view
    finally:
        if not broken:
            screen.close()
        outlet.close()


def summary(history: History, card: Scorecard, *, report: Path | None, colour: bool | None = None) -> str:
    """How the run ended, as text; `colour` None: where standard output is a terminal."""
    if colour is None:
        colour = sys.stdout.isatty() and not _plain_wanted()
    return ending(history, card, report=report, colour=colour)


def _plain_wanted() -> bool:
    """NO_COLOR and CI ask for plain lines, FORCE_COLOR takes it back."""
    if os.environ.get("FORCE_COLOR"):
        return False
    return any(os.environ.get(name) for name in ("NO_COLOR", "CI")) or os.environ.get("TERM") == "dumb"


def _nothing(state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> None:
    """Shows nothing."""


class _Lines:
    """One plain line for each thing that happened."""

    def __init__(self, plan: Plan, outlet: Outlet) -> None:
        self._follower = Follower(plan)
        self._outlet = outlet

    def show(self, state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> None:
        for happening in self._follower.follow(state, event, commands):
            self._outlet.write(line_of(happening, self._follower) + "\n")

    def close(self) -> None:
        self._outlet.flush()


class _Screen:
    """News that scrolls above a panel that is drawn anew, at most four times a second."""

    def __init__(self, plan: Plan, outlet: Outlet) -> None:
        self._follower = Follower(plan)
        self._outlet = outlet
        self._panel = Panel(plan)
        self._news: list[Happening] = []
        self._drawn_ns: int | None = None

    def show(self, state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> None:
        self._news += self._follower.follow(state, event, commands)
        if self._drawn_ns is not None and event.t_ns - self._drawn_ns < DRAW_EVERY_NS:
            return
        self._outlet.flush()
        if not self._outlet.stuck:
            self._drawn_ns = event.t_ns
            self._draw(state)

    def _draw(self, state: State | None) -> None:
        columns, rows = _size(self._outlet)
        news = [self._panel.news(one, line_of(one, self._follower), columns) for one in self._news]
        self._news = []
        body = self._panel.frame(state, self._follower, columns=columns, rows=rows) if state is not None else []
        self._outlet.write(self._panel.over(news, body))

    def close(self) -> None:
        """Leaves the news and takes the panel away."""
        self._draw(None)


def line_of(happening: Happening, follower: Follower) -> str:
    """`  12.31 s  +4.20  PAGE CanaryWrong [model-quality]`: since the start, and since the fault was active."""
    since_start = (happening.t_ns - follower.began_ns) / NS
    active_ns = follower.active_ns
    since_active = (
        "" if active_ns is None or happening.t_ns < active_ns else f"{(happening.t_ns - active_ns) / NS:+.2f}"
    )
    mark = "!" if happening.bad else "-" if happening.lane is not Lane.PHASE else "="
    return f"{since_start:8.2f} s {since_active:>7} {mark} {happening.text}"


def _size(outlet: Outlet) -> tuple[int, int]:
    """Columns and rows; a usual size where the terminal doesn't say."""
    size = outlet.size()
    return (size.columns or 80, size.lines or 24)
