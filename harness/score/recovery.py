"""Mitigated, repaired, recovered: objectives back; cause gone by its declared cure; also debt repaid and nothing else broken.

Each must hold, and is stamped at the start of the hold; what the harness itself healed counts for none of them, because no
reading after its first own heal is looked at. Rejected: one good sample, a cleared alert, the responder's word.

Without an impact there is nothing to mitigate: `mitigated` is then None and `spared` says from when to when users were
watched without losing anything. That is the best outcome where it was watched long enough or the cause was gone; a run that
was claimed resolved before the harm could show proves nothing, and the criterion stays undecided. Harm too short to be an
impact is nothing to mitigate either, but nobody has recovered before its last bad sample is over.

A cause counts as gone where every fault's witness is clear: for a `state` cure by whatever changed the state, for an
`action` cure only from that action on, for an `external` one never.
"""

from __future__ import annotations

import msgspec

from harness.contract.faults import CureKind
from harness.contract.undo import Json
from harness.contract.words import Effect
from harness.history.commands import HealFault
from harness.measure.folds import GAP_SAMPLES, witness_gap_s
from harness.measure.onset import Look
from harness.score import objectives
from harness.score.debt import Debt
from harness.score.evidence import CURE, NS, Evidence
from harness.score.faults import Witnessed, stale_ns
from harness.score.objectives import Impact, Judged
from harness.score.reached import Reached, reached, together


class Recovery(msgspec.Struct, frozen=True):
    """`mitigated` None: there was nothing to mitigate. `repaired` None: nothing that an operator could repair."""

    mitigated: Reached | None
    repaired: Reached | None
    recovered: Reached | None


def recovery(
    evidence: Evidence,
    seen: tuple[Witnessed, ...],
    samples: tuple[Judged, ...],
    *,
    zero_ns: int,
    impact: Impact,
    debt: Debt,
    safeguards: Reached,
) -> Recovery:
    """The recovery of a run whose effect began at `zero_ns`; `seen`: its faults, as witnessed; `samples`: judged."""
    plan = evidence.plan
    hold_s = plan.recover.hold_s if plan.recover is not None else plan.hold_s
    mitigate_hold_s = plan.mitigate.hold_s if plan.mitigate is not None else hold_s
    repaired = _repaired(evidence, seen, hold_s=hold_s)
    mitigated = None if impact.at_ns is None else _mitigated(evidence, samples, impact.at_ns, hold_s=mitigate_hold_s)
    if repaired is None:
        return Recovery(mitigated, None, None)
    back = None if impact.at_ns is None else _mitigated(evidence, samples, impact.at_ns, hold_s=hold_s)
    users = back if back is not None else spared(impact, repaired, evidence, zero_ns=zero_ns, within_s=0.0)
    if back is None and users.at_ns is not None:
        users = _unharmed(samples, impact, zero_ns=zero_ns, until_ns=evidence.ended_ns)
    parts = {"objectives": users, "cause": repaired, "debt": debt.reached, "safeguards": safeguards}
    whole = together((name, part) for name, part in parts.items() if part is not None)
    return Recovery(mitigated, repaired, whole)


def spared(impact: Impact, repaired: Reached | None, evidence: Evidence, *, zero_ns: int, within_s: float) -> Reached:
    """Users lost nothing: from `zero_ns` on, if that was watched for `within_s` or until the cause was gone."""
    if not evidence.plan.slis or impact.samples == 0:
        return Reached(None, maybe_ns=zero_ns, why="no objective was sampled")
    if impact.unknown:
        names = ", ".join(impact.unknown)
        return Reached(None, maybe_ns=zero_ns, why=f"{names} could not be read")
    gone = repaired is not None and repaired.at_ns is not None
    if not gone and evidence.ended_ns < zero_ns + round(within_s * NS):
        return Reached(None, maybe_ns=zero_ns, why="the run ended before harm could show, with the cause still there")
    return Reached(zero_ns, 0, zero_ns)


def _unharmed(samples: tuple[Judged, ...], impact: Impact, *, zero_ns: int, until_ns: int) -> Reached:
    """Without an impact: from `zero_ns` on, or from the first sample that met all objectives after the last that didn't."""
    window = [sample for sample in samples if zero_ns <= sample.t_ns <= until_ns]
    bad = [sample for sample in window if sample.good is False]
    if not bad:
        return Reached(zero_ns, 0, zero_ns)
    good_ns = next((sample.t_ns for sample in window if sample.good and sample.t_ns > bad[-1].t_ns), None)
    if good_ns is None:
        return Reached(None, maybe_ns=bad[-1].t_ns, why=f"{impact.short}, and none was seen to be good after them")
    return Reached(good_ns, good_ns - max(zero_ns, bad[-1].t_ns - bad[-1].res_ns), good_ns)


def _mitigated(evidence: Evidence, samples: tuple[Judged, ...], impact_ns: int, *, hold_s: float) -> Reached:
    every_ns = round(evidence.plan.sample_every_s * NS)
    return reached(
        objectives.looks(samples, from_ns=impact_ns, to_ns=evidence.ended_ns),
        hold_ns=round(hold_s * NS),
        every_ns=every_ns,
        gap_ns=GAP_SAMPLES * every_ns,
        unread_ns=impact_ns,
        until_ns=evidence.ended_ns,
    )


def _repaired(evidence: Evidence, seen: tuple[Witnessed, ...], *, hold_s: float) -> Reached | None:
    injected = [one for one in seen if one.inject_ns is not None]
    if not injected or any(one.fault.cure.kind is CureKind.EXTERNAL for one in injected):
        return None
    return together((one.fault.fault, _cause_gone(evidence, one, hold_s=hold_s)) for one in injected)


def _cause_gone(evidence: Evidence, seen: Witnessed, *, hold_s: float) -> Reached:
    fault = seen.fault
    from_ns = _cured_from_ns(evidence, seen)
    if from_ns is None:
        return Reached(None, why=f"{fault.cure.action} was never done, which alone ends the cause")
    return reached(
        (
            Look(r.t_ns, stale_ns(fault, r), None if r.effect is Effect.UNKNOWN else r.effect is Effect.ABSENT)
            for r in evidence.witness.get(fault.index, ())
            if from_ns <= r.t_ns <= evidence.ended_ns
        ),
        hold_ns=round(hold_s * NS),
        every_ns=round(fault.witness_every_s * NS),
        gap_ns=round(witness_gap_s(fault) * NS),
        unread_ns=from_ns,
        until_ns=evidence.ended_ns,
    )


def _cured_from_ns(evidence: Evidence, seen: Witnessed) -> int | None:
    """From when a clear witness counts as the cure's doing; None where the cure was never done."""
    fault, active_ns = seen.fault, seen.active.to_ns if seen.active is not None else seen.inject_ns
    if fault.cure.kind is not CureKind.ACTION or active_ns is None:
        return active_ns
    moments = [t_ns for t_ns, heal in evidence.issued(HealFault) if heal.fault == fault.index and heal.why == CURE]
    moments += [
        done.t_ns
        for _, act, done in evidence.acts()
        if done is not None
        and done.ok
        and act.action is fault.cure.action
        and carries(act.arguments, fault.cure.arguments)
    ]
    return min((t_ns for t_ns in moments if t_ns >= active_ns), default=None)


def carries(arguments: dict[str, Json], wanted: dict[str, Json]) -> bool:
    """Whether the arguments hold at least those wanted."""
    return all(name in arguments and arguments[name] == value for name, value in wanted.items())
