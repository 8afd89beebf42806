"""What a history holds, sorted by what it is evidence of: one pass, so that every other module can ask in its own words.

Rejected: each measure reading the events for itself (ten passes over a million events, ten ideas of when a run ended).

What always holds: of a command issued twice the first issue counts, of a reply given twice the first; each series is in
order of time; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import msgspec

from harness.contract.words import Phase
from harness.history.commands import Act, AnyCommand, EnterPhase, Finish, HealFault, InjectFault, Say
from harness.history.events import (
    ActionDone,
    AlertReceived,
    AnyEvent,
    ClockPair,
    CommandIssued,
    Done,
    Failed,
    FaultHealed,
    FaultPrepared,
    Lag,
    LoadBucket,
    MaskRead,
    ObservationDone,
    ObserverLost,
    Records,
    Sample,
    ServiceExited,
    SignalReceived,
    Snapshot,
    SnapshotTaken,
    WitnessRead,
)
from harness.history.header import Header
from harness.spec.plan import Plan

NS = 1_000_000_000
CURE = "cure"
"""The reason of a heal that a responder's action brought about. Every other heal is the harness's own, after which nothing
that the target shows is the responder's doing."""

Reply = Done | Failed | SnapshotTaken | FaultPrepared | FaultHealed | ActionDone | ObservationDone
REPLIES = (Done, Failed, SnapshotTaken, FaultPrepared, FaultHealed, ActionDone, ObservationDone)
SERIES = (
    Sample,
    WitnessRead,
    AlertReceived,
    ServiceExited,
    SignalReceived,
    ObserverLost,
    LoadBucket,
    Records,
    MaskRead,
    Lag,
    ClockPair,
)

C = TypeVar("C", bound=AnyCommand)


class Recording(Protocol):
    """What is scored: a history as `harness.history.reader` gives it."""

    @property
    def header(self) -> Header: ...

    @property
    def digest(self) -> str: ...

    @property
    def torn(self) -> bool: ...

    def events(self) -> Iterator[AnyEvent]: ...


class Issue(msgspec.Struct, frozen=True):
    """A command and when it was first issued."""

    t_ns: int
    command: AnyCommand


class Evidence(msgspec.Struct, frozen=True):
    """A run's evidence. `ended_ns` is when it stopped being evidence: cleanup, abort, or where the history breaks off."""

    header: Header
    issues: tuple[Issue, ...]
    replies: dict[str, Reply]
    samples: tuple[Sample, ...]
    witness: dict[int, tuple[WitnessRead, ...]]
    alerts: tuple[AlertReceived, ...]
    exits: tuple[ServiceExited, ...]
    signals: tuple[SignalReceived, ...]
    lost: tuple[ObserverLost, ...]
    loads: tuple[LoadBucket, ...]
    records: dict[str, tuple[Records, ...]]
    masks: dict[int, tuple[MaskRead, ...]]
    lags: tuple[Lag, ...]
    clocks: tuple[ClockPair, ...]
    ended_ns: int

    @property
    def plan(self) -> Plan:
        return self.header.plan

    def issued(self, kind: type[C]) -> Iterator[tuple[int, C]]:
        """(when, command) of every command of this kind, in order."""
        for issue in self.issues:
            if isinstance(issue.command, kind):
                yield issue.t_ns, issue.command

    def acts(self) -> Iterator[tuple[int, Act, ActionDone | None]]:
        """Every action with its reply; None where none came (then nobody knows what it changed)."""
        for t_ns, act in self.issued(Act):
            reply = self.replies.get(act.id)
            yield t_ns, act, reply if isinstance(reply, ActionDone) else None

    def says(self) -> Iterator[tuple[int, Say]]:
        return self.issued(Say)

    def phase_ns(self, phase: Phase) -> int | None:
        """When the phase was entered first; None where it never was."""
        return next((t_ns for t_ns, entered in self.issued(EnterPhase) if entered.phase is phase), None)

    def inject_ns(self, fault: int) -> int | None:
        """When the injection was first ordered: no effect of it can be older."""
        return next((t_ns for t_ns, inject in self.issued(InjectFault) if inject.fault == fault), None)

    @property
    def first_inject_ns(self) -> int | None:
        return min((t_ns for t_ns, _ in self.issued(InjectFault)), default=None)

    def finish(self) -> Finish | None:
        return next((finish for _, finish in self.issued(Finish)), None)

    def snapshot(self, which: str) -> Snapshot | None:
        for reply in self.replies.values():
            if isinstance(reply, SnapshotTaken) and reply.which == which:
                return reply.snapshot
        return None

    def prepared(self, fault: int) -> FaultPrepared | None:
        for reply in self.replies.values():
            if isinstance(reply, FaultPrepared) and reply.fault == fault:
                return reply
        return None

    def baseline_end_ns(self) -> int | None:
        """Where the baseline ends: the first injection, or in a control the phase after it."""
        if self.first_inject_ns is not None:
            return self.first_inject_ns
        phases = (self.phase_ns(phase) for phase in (Phase.INJECT, Phase.RESPOND))
        return min((t_ns for t_ns in phases if t_ns is not None), default=None)

    def lag_ns(self, t_ns: int) -> int:
        """The harness's own lag around this moment: the worst of the stretch in which it lies."""
        return next((lag.worst_ns for lag in self.lags if lag.t_ns >= t_ns), 0)


def gather(recording: Recording) -> Evidence:
    """Sorts a history's events."""
    series: dict[type, list[Any]] = {kind: [] for kind in (*SERIES, CommandIssued, *REPLIES)}
    for event in recording.events():
        wanted = series.get(type(event))
        if wanted is not None:
            wanted.append(event)
    issues = _issues(series[CommandIssued])
    replies = _replies(reply for kind in REPLIES for reply in series[kind])
    for kind in SERIES:
        series[kind].sort(key=_time)
    last_ns = max((event.t_ns for events in series.values() for event in events[-1:]), default=recording.header.t_ns)
    return Evidence(
        header=recording.header,
        issues=issues,
        replies=replies,
        samples=tuple(series[Sample]),
        witness=_by(series[WitnessRead], "fault"),
        alerts=tuple(series[AlertReceived]),
        exits=tuple(series[ServiceExited]),
        signals=tuple(series[SignalReceived]),
        lost=tuple(series[ObserverLost]),
        loads=tuple(series[LoadBucket]),
        records=_by(series[Records], "reading"),
        masks=_by(series[MaskRead], "fault"),
        lags=tuple(series[Lag]),
        clocks=tuple(series[ClockPair]),
        ended_ns=min((issue.t_ns for issue in issues if _ends(issue.command)), default=last_ns),
    )


def _time(event: AnyEvent) -> int:
    return event.t_ns


def _issues(events: Iterable[CommandIssued]) -> tuple[Issue, ...]:
    first: dict[str, Issue] = {}
    for event in events:
        first.setdefault(event.command.id, Issue(event.t_ns, event.command))
    return tuple(first.values())


def _replies(events: Iterable[Reply]) -> dict[str, Reply]:
    first: dict[str, Reply] = {}
    for event in sorted(events, key=lambda reply: reply.seq):
        first.setdefault(event.command, event)
    return first


def _by(events: Iterable[Any], field: str) -> dict[Any, tuple[Any, ...]]:
    groups: dict[Any, list[Any]] = {}
    for event in events:
        groups.setdefault(getattr(event, field), []).append(event)
    return {key: tuple(group) for key, group in groups.items()}


def _ends(command: AnyCommand) -> bool:
    match command:
        case EnterPhase(phase=Phase.CLEANUP) | Finish():
            return True
        case HealFault(why=why):
            return why != CURE
        case _:
            return False
