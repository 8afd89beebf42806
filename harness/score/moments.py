"""The moments of a run, t_inject to t_end, as one record.

Times of commands are those at which they were issued; an action's effect is its reply's. Nothing before the injection counts as
a response to it. What never came is None, never a stand-in.
"""

from __future__ import annotations

from harness.contract.words import HARMLESS_ACTIONS, ReportKind
from harness.history.commands import Act, Observe
from harness.history.scorecard import Moments
from harness.measure.onset import Interval
from harness.score.detection import Detection
from harness.score.evidence import Evidence
from harness.score.objectives import Impact
from harness.score.recovery import Recovery


def moments(
    evidence: Evidence,
    *,
    active: Interval | None,
    detected: Detection,
    impact: Impact,
    recovery: Recovery | None,
    loc_ns: int | None,
) -> Moments:
    """All of them; `recovery` None where nothing was broken."""
    inject_ns = evidence.first_inject_ns
    from_ns = inject_ns if inject_ns is not None else evidence.baseline_end_ns()
    page, called = detected.page, detected.called
    acts = [t for t, act in evidence.issued(Act) if act.action not in HARMLESS_ACTIONS]
    return Moments(
        t_inject=inject_ns,
        t_active_from=active.from_ns if active else None,
        t_active_to=active.to_ns if active else None,
        t_impact=impact.at_ns,
        t_cond=page.active_ns if page else None,
        t_fire=page.starts_ns if page else None,
        t_page=page.t_ns if page else None,
        t_called=called.t_ns if called else None,
        t_detect=detected.detect_ns,
        t_ack=_first(_said(evidence, ReportKind.ACK), called.t_ns if called else from_ns),
        t_sev=_first(_said(evidence, ReportKind.SEVERITY), from_ns),
        t_engage=_first([t for t, _ in evidence.issued(Observe)], from_ns),
        t_loc=loc_ns,
        t_mut=_first(acts, from_ns),
        t_escalate=tuple(_said(evidence, ReportKind.ESCALATE)),
        t_update=tuple(_said(evidence, ReportKind.UPDATE)),
        t_mitig=recovery.mitigated.at_ns if recovery and recovery.mitigated else None,
        t_repair=recovery.repaired.at_ns if recovery and recovery.repaired else None,
        t_recover=recovery.recovered.at_ns if recovery and recovery.recovered else None,
        t_claim=_first(_said(evidence, ReportKind.RESOLVE), from_ns),
        t_end=evidence.ended_ns,
    )


def _said(evidence: Evidence, report: ReportKind) -> list[int]:
    return [t_ns for t_ns, say in evidence.says() if say.report is report]


def _first(times: list[int], from_ns: int | None) -> int | None:
    return next((t_ns for t_ns in times if from_ns is None or t_ns >= from_ns), None)
