"""What the responder said was wrong, against what was: component, cause class, onset, scope. A vector, never one number.

Of those made since the injection (a guess before it diagnoses nothing) the last one stands; the first that earns credit (the
right component or the right cause) makes `t_loc`.

A diagnosis is `{component: NAME or kind/NAME, cause: CLASS, onset: unix seconds or ISO time, scope: [NAME, ...]}`, each of
them optional. An onset is right within max(60 s, 2 x the resolution of t_active), by our wall clock or by a clock of the target
that was read: whoever took it from what the target shows has it by the target's clock, and it says nothing of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from harness.contract.faults import Component
from harness.contract.undo import Json
from harness.contract.words import CauseClass, ReportKind
from harness.history.events import ClockPair
from harness.history.scorecard import Diagnosis
from harness.measure.graph import hops
from harness.measure.onset import Interval
from harness.score.evidence import NS, Evidence
from harness.spec.plan import Plan

ONSET_WITHIN_S = 60.0


class Diagnosed(msgspec.Struct, frozen=True):
    """The vector of the last diagnosis, and when the first that earns credit was made."""

    diagnosis: Diagnosis
    loc_ns: int | None


def diagnosed(evidence: Evidence, *, active: Interval | None) -> Diagnosed:
    """Judges every diagnosis that was said once there was something to diagnose."""
    from_ns = evidence.baseline_end_ns() or 0
    said = [
        (t_ns, _judge(evidence, say.data, active=active))
        for t_ns, say in evidence.says()
        if say.report is ReportKind.DIAGNOSE and t_ns >= from_ns
    ]
    loc_ns = next((t_ns for t_ns, vector in said if vector.hops == 0 or vector.cause_right), None)
    return Diagnosed(said[-1][1] if said else Diagnosis(), loc_ns)


def _judge(evidence: Evidence, data: dict[str, Json], *, active: Interval | None) -> Diagnosis:
    plan = evidence.plan
    component, cause = _text(data.get("component")), _text(data.get("cause"))
    truth = [part for fault in plan.faults for part in fault.components]
    causes = {str(fault.cause) for fault in plan.faults} or {str(CauseClass.NONE)}
    onset_s, scope = data.get("onset"), data.get("scope")
    return Diagnosis(
        component=component,
        hops=_hops(plan, component, truth) if component is not None else None,
        cause=cause,
        cause_right=None if cause is None else cause in causes,
        onset_right=None if onset_s is None or active is None else _onset_right(evidence, onset_s, active),
        scope_right=None if scope is None else _names(scope) == {part.name for part in truth},
    )


def _hops(plan: Plan, component: str, truth: list[Component]) -> int | None:
    kind, _, name = component.rpartition("/")
    if any(part.name == name and kind in ("", part.kind) for part in truth):
        return 0
    if kind and any(part.name == name for part in truth):
        return None  # the right name of the wrong kind is no component of the graph
    return hops(_edges(plan), start=name, goals={part.name for part in truth})


def _edges(plan: Plan) -> Iterator[tuple[str, str]]:
    """A link lies between the two that it joins, who are also neighbours themselves."""
    for edge in plan.edges:
        yield edge.a, edge.b
        if edge.link is not None:
            yield edge.a, edge.link
            yield edge.link, edge.b


def _onset_right(evidence: Evidence, said: Json, active: Interval) -> bool:
    wall_s = _wall_s(said)
    if wall_s is None:
        return False
    tolerance_ns = max(round(ONSET_WITHIN_S * NS), 2 * active.width_ns)
    return any(
        active.from_ns - tolerance_ns - error_ns
        <= round(wall_s * NS) + offset_ns
        <= active.to_ns + tolerance_ns + error_ns
        for offset_ns, error_ns in _clocks(evidence)
    )


def _clocks(evidence: Evidence) -> Iterator[tuple[int, int]]:
    """(what to add to its times, error) of our wall clock and of each other one that was read: its sharpest pair."""
    header = evidence.header
    yield header.t_ns - header.wall_ns, 0
    sharpest: dict[str, ClockPair] = {}
    for pair in evidence.clocks:
        if pair.source not in sharpest or pair.error_ns < sharpest[pair.source].error_ns:
            sharpest[pair.source] = pair
    for pair in sharpest.values():
        yield pair.t_ns - pair.wall_ns, pair.error_ns


def _wall_s(said: Json) -> float | None:
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said)
    try:
        moment = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _names(scope: Json) -> set[str]:
    return {str(name) for name in scope} if isinstance(scope, list) else {str(scope)}


def _text(value: Json) -> str | None:
    return None if value is None else str(value)
