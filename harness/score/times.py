"""The durations between moments, each with its resolution, its floor, and whether it is censored.

Never the oracle's own time, never the hold: mitigation and recovery are stamped where their hold began. What did not happen
until the run's end is censored there: its value then says how long it was watched for, not how long it took. What has no zero
to count from is not observed. A duration may be negative where things came in another order than usual (mitigated before
anyone noticed): that is what happened. Both ends of hold are of the monitoring's own clock, so converting them costs it nothing;
what their texts cut off is all the error it has.
"""

from __future__ import annotations

import msgspec

from harness.contract.words import Arm
from harness.history.scorecard import Moments, Time, Times
from harness.score.detection import Detection
from harness.score.evidence import NS, Evidence
from harness.score.objectives import Impact
from harness.score.reached import Reached
from harness.score.recovery import Recovery


class End(msgspec.Struct, frozen=True):
    """The end of a duration: when it came and how much earlier it may have been; else why it never came.

    `censors`: whether "not by the run's end" is a statement about it; it isn't where it was never due.
    """

    at_ns: int | None
    res_ns: int = 0
    why: str = "it never came"
    censors: bool = True


def times(evidence: Evidence, at: Moments, *, detected: Detection, impact: Impact, recovery: Recovery | None) -> Times:
    """All durations. In a control nothing was injected, so there is nothing to count from."""
    active = at.t_active_from
    width = (at.t_active_to or 0) - (active or 0)
    expects = evidence.plan.arm is Arm.FAULT
    page = detected.page
    error = page.clock_error_ns if page is not None else 0
    detect = End(at.t_detect, detected.res_ns, "nobody noticed", expects)
    called = detected.called
    called_res = called.res_ns + evidence.lag_ns(called.t_ns) if called is not None else 0
    page_end = End(at.t_page, page.res_ns + evidence.lag_ns(page.t_ns) if page else 0, "no page that qualifies")
    no_zero = "the fault was never seen to be active" if expects else "nothing is to be noticed in this arm"

    def span(zero: int | None, zero_res: int, end: End, why_no_zero: str, floor_s: float | None = None) -> Time:
        return _span(evidence, zero, zero_res, end, why_no_zero=why_no_zero, floor_s=floor_s)

    unhurt = impact.short or "no objective was lost"
    nothing = End(None, why=impact.short or f"{unhurt}: there was nothing to mitigate", censors=False)
    undetected = "nobody noticed, so there is no zero"
    detected_at, detected_res = (at.t_detect, detected.res_ns) if expects else (None, 0)
    zero = active if expects else None
    floors = detected.floors
    untold = "the monitoring doesn't say" if page is not None else "no page that qualifies"
    return Times(
        ttd=span(zero, width, detect, no_zero, floors.whole_s if floors else None),
        tta=span(at.t_called, called_res, End(at.t_ack, 0, "nobody acknowledged"), "nobody was paged"),
        tte=span(at.t_ack, 0, End(at.t_engage, 0, "nobody looked at evidence"), "nobody acknowledged"),
        ttl=span(detected_at, detected_res, End(at.t_loc, 0, "no diagnosis earned credit"), undetected),
        ttm=span(detected_at, detected_res, _end(recovery.mitigated if recovery else None, nothing), undetected),
        ttrepair=span(detected_at, detected_res, _end(recovery.repaired if recovery else None, EXTERNAL), undetected),
        ttr=span(zero, width, _end(recovery.recovered if recovery else None, EXTERNAL), no_zero),
        sense=span(zero, width, End(at.t_cond, error, untold, False), no_zero, floors.sense_s if floors else None),
        hold=span(
            at.t_cond,
            page.cut_ns if page is not None else 0,
            End(at.t_fire, 0, untold, False),
            untold,
            floors.hold_s if floors else None,
        ),
        deliver=span(at.t_fire, error, page_end, untold, floors.deliver_s if floors else None),
        lead=span(at.t_impact, impact.res_ns, detect, unhurt) if expects else Time(reason=no_zero),
    )


EXTERNAL = End(None, why="the cause is beyond the operator: only mitigation is scored", censors=False)


def _end(state: Reached | None, absent: End) -> End:
    return absent if state is None else End(state.at_ns, state.res_ns, state.why)


def _span(
    evidence: Evidence, zero: int | None, zero_res: int, end: End, *, why_no_zero: str, floor_s: float | None
) -> Time:
    if zero is None:
        return Time(reason=why_no_zero, floor_s=floor_s)
    if end.at_ns is not None:
        resolution_s = (zero_res + end.res_ns) / NS
        return Time((end.at_ns - zero) / NS, resolution_s, floor_s, at_ns=end.at_ns)
    if not end.censors:
        return Time(reason=end.why, floor_s=floor_s)
    return Time(max(evidence.ended_ns - zero, 0) / NS, zero_res / NS, floor_s, censored=True, reason=end.why)
