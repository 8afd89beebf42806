"""The replay driver: feeds a recorded history to the conductor and checks that it commands the same.

A history that replays proves that nothing but recorded events decided the run. It differs when the machine was changed
since (its version stands in the header), or when it was not pure, which is a defect.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from harness.errors import ImpossibleEventError
from harness.history.commands import AnyCommand
from harness.history.events import AnyEvent, CommandIssued, Input
from harness.plugin import Responder
from harness.run.machine import Conductor
from harness.run.state import State
from harness.spec.plan import Plan


class Difference(msgspec.Struct, frozen=True):
    """Where a replay left the record: after the event `seq`; None where one side had no command."""

    seq: int
    recorded: AnyCommand | None
    replayed: AnyCommand | None


class Replayed(msgspec.Struct, frozen=True):
    """How a replay went."""

    events: int
    commands: int
    differences: tuple[Difference, ...]
    state: State


def replay(plan: Plan, responder: Responder, events: Iterable[AnyEvent]) -> Replayed:
    """Feeds the inputs of a history, in order; compares commands event by event. A torn history just ends early."""
    conductor = Conductor(plan, responder)
    state = conductor.start()
    recorded = list(events)
    issued: dict[int, list[AnyCommand]] = {}
    for event in recorded:
        if isinstance(event, CommandIssued):
            issued.setdefault(event.after, []).append(event.command)
    differences: list[Difference] = []
    taken = commands = 0
    for event in recorded:
        if not isinstance(event, Input):
            continue
        try:
            state, replayed = conductor.step(state, event)
        except ImpossibleEventError:  # a reply to what the replay never commanded: from here on it is another run
            break
        taken += 1
        commands += len(replayed)
        differences.extend(_compare(event.seq, issued.pop(event.seq, []), list(replayed)))
    for seq, left in sorted(issued.items()):  # commands after what is no input, or after the replay had to stop
        differences.extend(_compare(seq, left, []))
    return Replayed(events=taken, commands=commands, differences=tuple(differences), state=state)


def _compare(seq: int, recorded: list[AnyCommand], replayed: list[AnyCommand]) -> list[Difference]:
    found = []
    for i in range(max(len(recorded), len(replayed))):
        before = recorded[i] if i < len(recorded) else None
        after = replayed[i] if i < len(replayed) else None
        if before != after:
            found.append(Difference(seq=seq, recorded=before, replayed=after))
    return found
