"""The criteria: each one limit, one reading, one answer and the reason in a sentence.

Every error of a reading makes it too long, never too short: the zero is the last moment at which the effect was not there
yet, the end the first at which its end was seen. So a reading within its limit is met for certain; one beyond it by less than
its resolution can't be decided; what never happened is missed once the limit has passed, and also where the responder called
it resolved. Rejected: two-sided resolution, which would leave half of the certain answers open.

Controls and decoys have three criteria of their own: nothing pages, nobody changes anything, objectives hold.
"""

from __future__ import annotations

import msgspec

from harness.contract.words import HARMLESS_ACTIONS, EndReason
from harness.history.commands import Act
from harness.history.events import AlertReceived
from harness.history.scorecard import Answer, Criterion
from harness.measure.onset import Interval
from harness.score.detection import Detection
from harness.score.evidence import NS, Evidence
from harness.score.objectives import Impact
from harness.score.reached import Reached
from harness.score.recovery import Recovery, spared

INSIDE = "the limit lies inside the resolution"


class Zero(msgspec.Struct, frozen=True):
    """What limits count from, until when the run was watched, and whether the responder ended it."""

    active: Interval
    ended_ns: int
    claimed: bool


def fault_criteria(
    evidence: Evidence,
    *,
    active: Interval,
    detected: Detection,
    impact: Impact,
    recovery: Recovery,
) -> tuple[Criterion, ...]:
    """Of a fault arm: what the plan expects, in the order detect, mitigate, recover."""
    plan, finish = evidence.plan, evidence.finish()
    claimed = finish is not None and finish.reason is EndReason.CLAIMED
    zero = Zero(active, evidence.ended_ns, claimed)
    criteria = []
    if plan.detect is not None:
        # A page that the claim forestalled might still have come: a claim doesn't make it missed.
        unclaimed = msgspec.structs.replace(zero, claimed=False)
        criteria.append(_limit("detect", _page(evidence, detected), plan.detect.within_s, unclaimed))
    if plan.mitigate is not None:
        state = recovery.mitigated
        if state is None:
            within_s = plan.mitigate.within_s
            state = spared(impact, recovery.repaired, evidence, zero_ns=active.from_ns, within_s=within_s)
            if state.at_ns is not None:
                state = msgspec.structs.replace(state, why=impact.short or "no objective was ever lost")
        criteria.append(_limit("mitigate", state, plan.mitigate.within_s, zero))
    if plan.recover is not None:
        state = recovery.recovered or Reached(None, why="the cause is beyond the operator")
        criteria.append(_limit("recover", state, plan.recover.within_s, zero))
    return tuple(criteria)


def quiet_criteria(
    evidence: Evidence, *, paged: tuple[AlertReceived, ...], changed: tuple[Act, ...], impact: Impact
) -> tuple[Criterion, ...]:
    """Of a control or a decoy."""
    names = ", ".join(sorted({alert.name for alert in paged}))
    actions = ", ".join(sorted({str(act.action) for act in changed}))
    return (
        _none("no page", len(paged), f"paged: {names}", "nothing paged"),
        _none("no change", len(changed), f"changed by the responder: {actions}", "nobody changed anything"),
        _objectives_hold(impact, declared=bool(evidence.plan.slis)),
    )


def changes(evidence: Evidence, *, from_ns: int) -> tuple[Act, ...]:
    """State-changing actions from `from_ns` on, unless the target refused them. What wasn't answered may have changed it."""
    return tuple(
        act
        for t_ns, act, done in evidence.acts()
        if t_ns >= from_ns and act.action not in HARMLESS_ACTIONS and (done is None or done.ok)
    )


def _page(evidence: Evidence, detected: Detection) -> Reached:
    perhaps = detected.perhaps.t_ns if detected.perhaps is not None else None
    if detected.page is None:
        why = "no page that qualifies came"
        if perhaps is not None:
            why = "the clocks can't tell whether the page's condition became true after the injection"
        return Reached(None, maybe_ns=perhaps, why=why)
    page = detected.page
    return Reached(page.t_ns, page.res_ns + evidence.lag_ns(page.t_ns), perhaps, why=f"page {page.name}")


def _limit(name: str, state: Reached, limit_s: float, zero: Zero) -> Criterion:
    """Compares when a state was reached, counted from the zero, with its limit."""
    if state.at_ns is not None:
        reading_s = (state.at_ns - zero.active.from_ns) / NS
        resolution_s = (zero.active.width_ns + state.res_ns) / NS
        answer, why = _decide(reading_s, resolution_s, limit_s, _maybe_s(state, zero))
        detail = why or (state.why if answer is Answer.MET else "")
        reason = f"{name} at {reading_s:.3g} s, limit {limit_s:g} s" + (f": {detail}" if detail else "")
        return Criterion(name, answer, reason, "s", limit_s, reading_s, resolution_s)
    maybe_s = _maybe_s(state, zero)
    watched_s = (zero.ended_ns - zero.active.from_ns) / NS
    if maybe_s is not None and maybe_s <= limit_s:
        answer = Answer.NOT_OBSERVED
    elif watched_s >= limit_s or zero.claimed:
        answer = Answer.MISSED
    else:
        answer = Answer.NOT_OBSERVED
    ended = "the responder had called it resolved" if zero.claimed else f"watched for {watched_s:.3g} s"
    return Criterion(name, answer, f"{name} not reached, limit {limit_s:g} s: {state.why}; {ended}", "s", limit_s)


def _decide(reading_s: float, resolution_s: float, limit_s: float, maybe_s: float | None) -> tuple[Answer, str]:
    if reading_s <= limit_s:
        return Answer.MET, ""
    if reading_s - resolution_s <= limit_s:
        return Answer.NOT_OBSERVED, INSIDE
    if maybe_s is not None and maybe_s <= limit_s:
        return Answer.NOT_OBSERVED, "a reading is missing at the decisive time"
    return Answer.MISSED, ""


def _maybe_s(state: Reached, zero: Zero) -> float | None:
    """The earliest moment that can't be ruled out; not before the zero, where nothing could be reached yet."""
    if state.maybe_ns is None:
        return None
    return max(state.maybe_ns - zero.active.from_ns - zero.active.width_ns, 0) / NS


def _none(name: str, count: int, found: str, fine: str) -> Criterion:
    answer = Answer.MISSED if count else Answer.MET
    return Criterion(name, answer, found if count else fine, "count", 0.0, float(count))


def _objectives_hold(impact: Impact, *, declared: bool) -> Criterion:
    name = "objectives hold"
    if impact.at_ns is not None:
        return Criterion(name, Answer.MISSED, f"lost: {', '.join(impact.lost)}", "")
    if impact.unknown:
        return Criterion(name, Answer.NOT_OBSERVED, f"could not be read: {', '.join(impact.unknown)}", "")
    if not declared or impact.samples == 0:
        return Criterion(name, Answer.NOT_OBSERVED, "no objective was sampled", "")
    few = f"; {impact.short}" if impact.short else ""
    return Criterion(name, Answer.MET, f"no objective was lost in {impact.samples} samples{few}", "")
