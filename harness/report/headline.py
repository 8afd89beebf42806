"""The top of the page: the verdict's one sentence, and the key figures against their limits."""

from __future__ import annotations

import msgspec

from harness.contract.words import Arm
from harness.history.scorecard import Answer, Scorecard, Time, Verdict
from harness.report import words
from harness.report.words import NS, plain, seconds
from harness.score.objectives import short_harm
from harness.spec.plan import Plan

MEANS = {
    Verdict.ENV_ERROR: "Nothing was learnt about resilience.",
    Verdict.INVALID_INJECTION: "Nothing was learnt about resilience: the injection was not witnessed.",
    Verdict.ABORTED: "The run was stopped before it could be judged.",
    Verdict.NOT_EXPOSED: "The fault was there, but no traffic met it.",
    Verdict.INCONCLUSIVE: "What was recorded can't decide it.",
}
PAST = {"detect": "noticed", "mitigate": "mitigated", "recover": "recovered"}
TONES = {Verdict.PASS: "good", Verdict.FAIL: "bad"}


class Figure(msgspec.Struct, frozen=True):
    """A key figure. `share` and `floor_share` are of the limit's track, 0 to 1; None: there is no limit to compare with."""

    short: str
    long: str
    value: str
    beside: str
    below: tuple[str, ...]
    tone: str = ""
    share: float | None = None
    floor_share: float | None = None
    told: str = ""


def tone(card: Scorecard) -> str:
    """good, bad or unsure."""
    return TONES.get(card.verdict, "unsure")


def sentence(plan: Plan, card: Scorecard) -> str:
    """Why the verdict is what it is, in one sentence or two."""
    if card.verdict in MEANS:
        return f"{MEANS[card.verdict]} {_joined(card.reasons)}".strip()
    if card.verdict is Verdict.FAIL:
        return _failed(card)
    if plan.arm is not Arm.FAULT:
        what = "a benign change" if plan.arm is Arm.DECOY else "nothing injected"
        return f"With {what}, nothing paged, nobody changed anything and objectives held.{_short_harm(card)}"
    at = card.moments
    told = []
    if card.times.ttd.value_s is not None and not card.times.ttd.censored:
        told.append(f"noticed after {seconds(card.times.ttd.value_s)}")
    for word, t_ns in (("mitigated", at.t_mitig), ("recovered", at.t_recover)):
        if t_ns is not None and at.t_active_from is not None:
            told.append(f"{word} after {seconds((t_ns - at.t_active_from) / NS)}")
    count = len(card.criteria)
    met = "The one criterion is met" if count == 1 else f"All {count} criteria met"
    return f"{met}: {', '.join(told) or 'as expected'}.{_short_harm(card)}"


def _short_harm(card: Scorecard) -> str:
    """Harm beside which no objective counts as lost: a sentence of its own, where there was any."""
    told = short_harm(card.bad_samples) if card.moments.t_impact is None else ""
    return f" The prober saw {told}." if told else ""


def _failed(card: Scorecard) -> str:
    """What was missed, shortly: the reasons in full stand with the criteria."""
    told = []
    for one in card.criteria:
        if one.answer is not Answer.MISSED:
            continue
        done = PAST.get(one.name)
        if done is None or one.limit is None:
            told.append(plain(one.reason, limit=140))
        elif one.reading is None:
            told.append(f"never {done} (limit {seconds(one.limit)})")
        else:
            told.append(f"{done} only after {seconds(one.reading)} (limit {seconds(one.limit)})")
    told += [plain(reason, limit=140) for reason in card.reasons if reason.startswith("catastrophic")]
    return _joined(tuple(told or card.reasons))


def figures(plan: Plan, card: Scorecard) -> list[Figure]:
    """Four for a fault arm; for a control or a decoy what must stay quiet."""
    if plan.arm is not Arm.FAULT:
        return _quiet(card)
    acknowledge_s = plan.playbook.acknowledge_s if plan.playbook is not None else None
    told = [
        _time(
            plan,
            card,
            "ttd",
            limit_s=plan.detect.within_s if plan.detect is not None else None,
            extra=tuple(filter(None, (words.parts_text(card),))),
        ),
        _time(plan, card, "tta", limit_s=acknowledge_s),
        _time(plan, card, "ttm", limit_s=None, extra=_mitigated(plan, card)),
        _time(plan, card, "ttr", limit_s=plan.recover.within_s if plan.recover is not None else None),
    ]
    return told


def _time(plan: Plan, card: Scorecard, name: str, *, limit_s: float | None, extra: tuple[str, ...] = ()) -> Figure:
    short, long, span = words.TIME_NAMES[name]
    time: Time = getattr(card.times, name)
    below: list[str] = []
    if limit_s is not None:
        below.append(f"limit {seconds(limit_s)}")
    if time.floor_s is not None:
        below.append(f"floor {seconds(time.floor_s)}")
    below += extra
    if time.value_s is None:
        return Figure(short, long, "-", "", (time.reason or words.NOT_OBSERVED, *below), told=span)
    if time.censored:
        budget = f"(budget {plan.budget_s:g} s)" if card.end_reason == "budget" else ""
        why = plain(time.reason, limit=60)
        watched = f"watched for {seconds(time.value_s)}"
        return Figure(short, long, "never", budget, (why, watched, *below), "bad", told=span)
    tone = "" if limit_s is None else "good" if time.value_s <= limit_s else "bad"
    track = max(limit_s or 0.0, time.value_s) or 1.0
    return Figure(
        short,
        long,
        seconds(time.value_s),
        f"± {seconds(time.resolution_s)}" if time.resolution_s else "",
        tuple(below),
        tone,
        share=None if limit_s is None else time.value_s / track,
        floor_share=None if limit_s is None or time.floor_s is None else min(time.floor_s / track, 1.0),
        told=span,
    )


def _mitigated(plan: Plan, card: Scorecard) -> tuple[str, ...]:
    """Its limit counts from the fault, not from the detection as the time does: both are said."""
    at = card.moments
    if plan.mitigate is None or at.t_mitig is None or at.t_active_from is None:
        return () if plan.mitigate is None else (f"limit {seconds(plan.mitigate.within_s)} from active",)
    reached = seconds((at.t_mitig - at.t_active_from) / NS)
    return (f"{reached} from active, limit {seconds(plan.mitigate.within_s)}",)


def _quiet(card: Scorecard) -> list[Figure]:
    exposure = f"in {seconds(card.exposure_s)}" if card.exposure_s is not None else ""

    def count(short: str, long: str, value: int | None) -> Figure:
        tone = "" if value is None else "bad" if value else "good"
        return Figure(short, long, "-" if value is None else str(value), exposure, (), tone)

    held = next((one for one in card.criteria if one.name == "objectives hold"), None)
    answers = {Answer.MET: ("yes", "good"), Answer.MISSED: ("no", "bad"), Answer.NOT_OBSERVED: ("?", "")}
    value, held_tone = answers[held.answer] if held is not None else ("-", "")
    return [
        count("Pages", "false pages", card.false_pages),
        count("Changes", "false actions", card.false_actions),
        Figure("Objectives", "held throughout", value, "", (held.reason,) if held is not None else (), held_tone),
    ]


def _joined(reasons: tuple[str, ...]) -> str:
    told = "; ".join(plain(reason) for reason in reasons[:3])
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return (told[:1].upper() + told[1:] + more + ".") if told else ""
