"""What the figure shows, gathered from a history and its scorecard: the stretch of time, its zero, and what stands on it.

Moments come from the scorecard, never from a second reckoning here; what the scorecard doesn't hold (each alert, each look, each
action) comes from the events.
"""

from __future__ import annotations

import msgspec

from harness.contract.words import Phase, Severity
from harness.history.commands import EnterPhase
from harness.history.events import AlertReceived, AnyEvent, CommandIssued, Sample
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report.drawing import Scale
from harness.report.series import Stretch
from harness.report.telling import Happening, tell
from harness.spec.plan import Plan

PLOT_WIDTH = 890.0
TOGETHER_NS = 50_000_000
BEFORE_NS = 3_000_000_000
"""How much of the time before the zero is shown at least, if it was recorded."""


class AlertBar(msgspec.Struct, frozen=True):
    """One firing of one alert, or of several of one name that came together (`count`).

    `to_ns` None: it still fired at the end; `qualifies`: it is the page that detected.
    """

    name: str
    layer: str
    summary: str
    severity: Severity
    at_ns: int
    cond_ns: int | None
    to_ns: int | None
    qualifies: bool
    count: int = 1


class Scene(msgspec.Struct, frozen=True):
    """All that the figure needs."""

    plan: Plan
    card: Scorecard
    scale: Scale
    zero_label: str
    phases: tuple[tuple[str, Stretch], ...]
    alerts: tuple[AlertBar, ...]
    told: tuple[Happening, ...]
    samples: tuple[Sample, ...]
    end_ns: int

    @property
    def zero_ns(self) -> int:
        return self.scale.zero_ns

    @property
    def active(self) -> Stretch | None:
        """From where the first fault was active to where the last was clear."""
        starts = [fault.effect_from_ns for fault in self.card.faults if fault.effect_from_ns is not None]
        if not starts:
            return None
        ends = [fault.cleared_ns or self.end_ns for fault in self.card.faults if fault.effect_from_ns is not None]
        return Stretch(min(starts), max(ends))


def scene_of(history: History, card: Scorecard) -> Scene:
    """The scene of a scored run."""
    events = list(history.events())
    begin_ns = history.header.t_ns
    end_ns = max((event.t_ns for event in events), default=begin_ns + 1)
    phases = _phases(events, begin_ns, end_ns)
    zero_ns, zero_label = _zero(card, phases, begin_ns)
    baseline_ns = next((s.from_ns for name, s in phases if name == Phase.BASELINE), begin_ns)
    from_ns = min(max(baseline_ns, begin_ns), max(zero_ns - BEFORE_NS, begin_ns))
    scale = Scale(from_ns, max(end_ns, from_ns + 1), zero_ns, PLOT_WIDTH)
    return Scene(
        plan=history.header.plan,
        card=card,
        scale=scale,
        zero_label=zero_label,
        phases=tuple(phases),
        alerts=_alerts(events, card),
        told=tuple(tell(history)),
        samples=tuple(event for event in events if isinstance(event, Sample)),
        end_ns=end_ns,
    )


def _zero(card: Scorecard, phases: list[tuple[str, Stretch]], begin_ns: int) -> tuple[int, str]:
    at = card.moments
    if at.t_active_from is not None:
        return at.t_active_from, "the fault became active"
    if at.t_inject is not None:
        return at.t_inject, "the injection began"
    after = [s.from_ns for name, s in phases if name in (Phase.INJECT, Phase.RESPOND)]
    return (after[0], "the baseline ended") if after else (begin_ns, "the run began")


def _phases(events: list[AnyEvent], begin_ns: int, end_ns: int) -> list[tuple[str, Stretch]]:
    """Each phase from its entry to the next one's; the run begins with its setup."""
    entered: list[tuple[str, int]] = [(str(Phase.SETUP), begin_ns)]
    for event in events:
        if isinstance(event, CommandIssued) and isinstance(event.command, EnterPhase):
            entered.append((str(event.command.phase), event.t_ns))
    ends = [t_ns for _, t_ns in entered[1:]] + [end_ns]
    return [
        (name, Stretch(from_ns, to_ns))
        for (name, from_ns), to_ns in zip(entered, ends, strict=True)
        if to_ns > from_ns and name != Phase.ENDED
    ]


def _alerts(events: list[AnyEvent], card: Scorecard) -> tuple[AlertBar, ...]:
    """Each alert from its first firing notice to the one that resolved it; repeated notices are one."""
    bars: list[AlertBar] = []
    open_at: dict[str, int] = {}
    for event in events:
        if not isinstance(event, AlertReceived):
            continue
        key = event.fingerprint or event.name
        if event.status == "firing" and key not in open_at:
            open_at[key] = len(bars)
            bars.append(
                AlertBar(
                    name=event.name,
                    layer=event.layer,
                    summary=event.summary,
                    severity=event.severity,
                    at_ns=event.t_ns,
                    cond_ns=event.active_ns,
                    to_ns=None,
                    qualifies=event.t_ns == card.moments.t_page,
                )
            )
        elif event.status != "firing" and key in open_at:
            index = open_at.pop(key)
            bars[index] = msgspec.structs.replace(bars[index], to_ns=event.t_ns)
    return _merged(bars)


def _merged(bars: list[AlertBar]) -> tuple[AlertBar, ...]:
    """Alerts of one name that came within one delivery (one for each replica, say) are one bar."""
    merged: list[AlertBar] = []
    for bar in bars:
        same = next(
            (i for i, one in enumerate(merged) if one.name == bar.name and bar.at_ns - one.at_ns <= TOGETHER_NS), None
        )
        if same is None:
            merged.append(bar)
            continue
        one = merged[same]
        conds = [cond for cond in (one.cond_ns, bar.cond_ns) if cond is not None]
        merged[same] = msgspec.structs.replace(
            one,
            cond_ns=min(conds) if conds else None,
            to_ns=None if one.to_ns is None or bar.to_ns is None else max(one.to_ns, bar.to_ns),
            qualifies=one.qualifies or bar.qualifies,
            count=one.count + 1,
        )
    return tuple(merged)
