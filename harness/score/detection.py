"""Who noticed, and when: the page that the scenario expects, or a person's own declaration, whichever came first.

A page qualifies if it matches what is expected, was not firing before, and its condition became true after the injection.
The last is why a chronic alert detects nothing. Where the clocks' error, or a time that isn't told, leaves open on which side of
the injection the condition became true, the page neither qualifies nor is it ruled out: detection is then undecided.

Whoever answers may be called by another page before the one that counts: two rules see one fault half a second apart. What the
responder then does is counted from that call on (`called`), or an acknowledgement half a second early would be none at all.

Rejected: "an alert fired" (any alert), the end of the session as the time of detection, and the cleared alert as proof.
"""

from __future__ import annotations

import msgspec

from harness.contract.words import ReportKind, Severity
from harness.history.events import AlertReceived
from harness.history.scorecard import Monitoring
from harness.score.evidence import NS, Evidence
from harness.spec.plan import Plan, PlannedDetect

FIRING = "firing"


class Detection(msgspec.Struct, frozen=True):
    """`page`: the first that qualifies. `perhaps`: one of which the clocks can't tell. `detect_ns`: page or declaration.

    `called`: the first page since the injection, whatever it was about, or the one that qualifies where that came first.
    `floors`: None where no page is expected.
    """

    page: AlertReceived | None
    called: AlertReceived | None
    perhaps: AlertReceived | None
    detect_ns: int | None
    res_ns: int
    floors: Floors | None


class Floors(msgspec.Struct, frozen=True):
    """What the monitoring's settings alone can cost, as a whole and of each part, every period counted whole.

    Whose page is the absence of heartbeats has no parts: no rule tells when it became true.

    What scrape and evaluation cost is part of sense, not of its resolution: `activeAt` is the evaluation that saw the condition
    first, and how long it had been true by then is what sense measures. The rule's hold counts from that evaluation.
    """

    whole_s: float
    sense_s: float | None = None
    hold_s: float | None = None
    deliver_s: float | None = None


def detection(evidence: Evidence) -> Detection:
    """The detection of a fault arm; everything None where nothing was injected or nothing is expected."""
    plan, inject_ns = evidence.plan, evidence.first_inject_ns
    page = perhaps = called = None
    if plan.detect is not None and inject_ns is not None:
        chronic = firing_before(evidence, inject_ns)
        for alert in evidence.alerts:
            if not inject_ns <= alert.t_ns <= evidence.ended_ns:
                continue
            if alert.name in chronic or not _expected(alert, plan.detect, plan):
                continue
            after = _became_true_after(alert, inject_ns, plan)
            if after is True:
                page = alert
                break
            perhaps = perhaps or (alert if after is None else None)
        called = _first_call(evidence, inject_ns, page)
    declared_ns = _declared_ns(evidence, inject_ns)
    moments = [t_ns for t_ns in (page.t_ns if page else None, declared_ns) if t_ns is not None]
    detect_ns = min(moments, default=None)
    by_page = page is not None and detect_ns == page.t_ns
    lag_ns = evidence.lag_ns(detect_ns) if detect_ns is not None else 0
    return Detection(
        page=page,
        called=called,
        perhaps=perhaps,
        detect_ns=detect_ns,
        res_ns=lag_ns + (page.res_ns if page is not None and by_page else 0),
        floors=_floors(plan, page),
    )


def firing_before(evidence: Evidence, t_ns: int) -> frozenset[str]:
    """Names of alerts that were firing at this moment: by the baseline, and by what our sink had received."""
    baseline = evidence.snapshot("baseline")
    firing = set(baseline.firing) if baseline is not None else set()
    for alert in evidence.alerts:
        if alert.t_ns >= t_ns:
            break
        if alert.status == FIRING:
            firing.add(alert.name)
        else:
            firing.discard(alert.name)
    return frozenset(firing)


def _first_call(evidence: Evidence, inject_ns: int, page: AlertReceived | None) -> AlertReceived | None:
    """The first page that began to fire since the injection, though it may have fired and gone before; or the one that counts."""
    firing = set(firing_before(evidence, inject_ns))
    for alert in evidence.alerts:
        if not inject_ns <= alert.t_ns <= evidence.ended_ns:
            continue
        if alert is page or (alert.status == FIRING and alert.severity is Severity.PAGE and alert.name not in firing):
            return alert
        if alert.status != FIRING:
            firing.discard(alert.name)
    return page


def pages(evidence: Evidence, *, from_ns: int, to_ns: int) -> tuple[AlertReceived, ...]:
    """Episodes of pages that began in the window; an alert told again while it fires is still the same."""
    chronic = firing_before(evidence, from_ns)
    open_now: set[tuple[str, str]] = set()
    found: list[AlertReceived] = []
    for alert in evidence.alerts:
        if not from_ns <= alert.t_ns <= to_ns or alert.severity is not Severity.PAGE or alert.name in chronic:
            continue
        key = (alert.name, alert.fingerprint)
        if alert.status != FIRING:
            open_now.discard(key)
        elif key not in open_now:
            open_now.add(key)
            found.append(alert)
    return tuple(found)


def _expected(alert: AlertReceived, detect: PlannedDetect, plan: Plan) -> bool:
    if alert.status != FIRING or alert.severity is not detect.severity:
        return False
    if detect.alert is not None and alert.name != detect.alert:
        return False
    return (alert.layer or _declared_layer(plan, alert.name)) == detect.layer


def _declared_layer(plan: Plan, name: str) -> str:
    return next((str(rule.layer) for rule in plan.alerts.rules if rule.name == name), "")


def _became_true_after(alert: AlertReceived, inject_ns: int, plan: Plan) -> bool | None:
    """Whether the condition became true after the injection; None where what the monitoring tells leaves it open.

    Where it tells only when the alert fired, the condition was true a hold and up to an evaluation before.
    """
    error_ns, settings = alert.clock_error_ns, plan.alerts
    hold_ns = round(next((rule.hold_s for rule in settings.rules if rule.name == alert.name), 0.0) * NS)
    evaluation_ns = round(settings.evaluation_s * NS)
    if alert.active_ns is not None:
        earliest_ns, latest_ns = alert.active_ns - error_ns, alert.active_ns + error_ns
    elif alert.starts_ns is not None:
        latest_ns = alert.starts_ns - hold_ns + error_ns
        earliest_ns = latest_ns - evaluation_ns - 2 * error_ns
    else:  # by our own clock, which has no error against itself
        latest_ns = alert.t_ns - hold_ns
        earliest_ns = latest_ns - evaluation_ns - round(settings.group_wait_s * NS)
    if earliest_ns >= inject_ns:
        return True
    return None if latest_ns >= inject_ns else False


def _declared_ns(evidence: Evidence, inject_ns: int | None) -> int | None:
    if inject_ns is None:
        return None
    for t_ns, say in evidence.says():
        if t_ns >= inject_ns and say.report is ReportKind.DIAGNOSE and say.data.get("declared") is True:
            return t_ns
    return None


def monitoring(plan: Plan, detected: Detection) -> Monitoring:
    """What the target's monitoring is set to, and by which clock its times were converted."""
    settings, page, floors = plan.alerts, detected.page, detected.floors
    return Monitoring(
        scrape_s=settings.scrape_s,
        evaluation_s=settings.evaluation_s,
        group_wait_s=settings.group_wait_s,
        rule=page.name if page is not None else (plan.detect.alert or "") if plan.detect is not None else "",
        hold_s=floors.hold_s if floors is not None else None,
        clock=page.clock if page is not None else "",
        clock_error_s=page.clock_error_ns / NS if page is not None and page.clock else None,
        heartbeat_s=floors.whole_s if floors is not None and floors.sense_s is None else None,
    )


def _floors(plan: Plan, page: AlertReceived | None) -> Floors | None:
    """Of several rules that could have paged, the quickest one's."""
    detect, settings = plan.detect, plan.alerts
    if detect is None:
        return None
    name = page.name if page is not None else detect.alert
    rules = [rule for rule in settings.rules if (rule.name == name if name is not None else rule.layer is detect.layer)]
    quickest = min(rules, key=settings.floor_s, default=None)
    sense_s = settings.scrape_s + settings.evaluation_s
    if quickest is None:
        return Floors(sense_s + settings.group_wait_s, sense_s, None, settings.group_wait_s)
    if settings.heartbeat is not None and quickest.name == settings.heartbeat.page:
        return Floors(settings.floor_s(quickest))
    return Floors(settings.floor_s(quickest), sense_s, settings.held_s(quickest), settings.group_wait_s)
