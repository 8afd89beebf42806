"""Bad-minutes by kind: how much of what users were offered went wrong, from the zero to the run's end.

It counts harm and detects nothing, so every bad sample counts, also those that are too few to be an impact. Rejected: from
impact to recovery, which called a harm of two samples none at all; where there is an impact and all is well after the
recovery, both windows give the same.

A kind's deficit at a sample is the share of traffic it spoils, and 0 while its objective is met: `errors` what wasn't
answered, `slow` what was answered beyond the latency objective, `wrong` what was answered wrongly (golden requests, or
decision quality below its bound, whichever is worse), `stale` all of it while freshness is beyond its bound. `total` takes at
each moment the sum of the kinds, at most all the traffic. `corrupt_rows` are rows written damaged, in minutes' worth of
planned traffic; they are not in the total, since what they do to users is in the other kinds already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.history.scorecard import BadMinutes
from harness.measure.deficit import Offered, bad_minutes, minutes_each
from harness.score.evidence import Evidence
from harness.spec.plan import Plan, PlannedSli


def bad_minutes_of(
    evidence: Evidence,
    damaged: Mapping[int, frozenset[str] | None],
    *,
    from_ns: int | None,
    until_ns: int,
) -> BadMinutes:
    """The bad-minutes of a run; None: a kind whose objectives aren't declared or were never sampled, or nothing to count from."""
    plan = evidence.plan
    slis = {sli.kind: sli for sli in plan.slis}
    offered = Offered(
        ((load.t_ns - load.res_ns, load.t_ns, load.scheduled) for load in evidence.loads),
        nominal_per_s=plan.load.rate if plan.load is not None else None,
    )
    window = [s for s in evidence.samples if from_ns is not None and from_ns <= s.t_ns <= until_ns]
    sampled = bool(window)
    minutes = minutes_each([sample.t_ns for sample in window], to_ns=until_ns, offered=offered)
    kinds: dict[str, float | None] = {}
    sums = [0.0] * len(window)
    for kind, (declared_by, deficit) in KINDS.items():
        if not sampled or not any(sli in slis for sli in declared_by):
            kinds[kind] = None
            continue
        shares = [deficit(slis, sample) for sample in window]
        sums = [total + share for total, share in zip(sums, shares, strict=True)]
        kinds[kind] = bad_minutes(shares, minutes)
    observed = any(value is not None for value in kinds.values())
    return BadMinutes(
        total=bad_minutes(sums, minutes) if observed else None,
        errors=kinds["errors"],
        slow=kinds["slow"],
        wrong=kinds["wrong"],
        stale=kinds["stale"],
        corrupt_rows=_corrupt_rows(plan, damaged),
    )


def _errors(slis: Mapping[SliKind, PlannedSli], sample: Sample) -> float:
    value = sample.values.get(SliKind.AVAILABILITY)
    return _share(1.0 - value) if _missed(slis, SliKind.AVAILABILITY, value) and value is not None else 0.0


def _slow(slis: Mapping[SliKind, PlannedSli], sample: Sample) -> float:
    value = sample.values.get(SliKind.LATENCY)
    return _share(sample.slow / sample.sent) if _missed(slis, SliKind.LATENCY, value) and sample.sent else 0.0


def _wrong(slis: Mapping[SliKind, PlannedSli], sample: Sample) -> float:
    golden = decided = 0.0
    if _missed(slis, SliKind.CORRECTNESS, sample.values.get(SliKind.CORRECTNESS)) and sample.sent:
        golden = sample.wrong / sample.sent
    quality, bound = sample.values.get(SliKind.DECISION_QUALITY), slis.get(SliKind.DECISION_QUALITY)
    if quality is not None and bound is not None and bound.min is not None:
        decided = bound.min - quality
    return _share(max(golden, decided))


def _stale(slis: Mapping[SliKind, PlannedSli], sample: Sample) -> float:
    return float(_missed(slis, SliKind.FRESHNESS, sample.values.get(SliKind.FRESHNESS)))


KINDS: dict[str, tuple[tuple[SliKind, ...], Callable[[Mapping[SliKind, PlannedSli], Sample], float]]] = {
    "errors": ((SliKind.AVAILABILITY,), _errors),
    "slow": ((SliKind.LATENCY,), _slow),
    "wrong": ((SliKind.CORRECTNESS, SliKind.DECISION_QUALITY), _wrong),
    "stale": ((SliKind.FRESHNESS,), _stale),
}
"""Kind of deficit -> the SLIs that show it, and its share at a sample."""


def _missed(slis: Mapping[SliKind, PlannedSli], kind: SliKind, value: float | None) -> bool:
    return value is not None and kind in slis and not slis[kind].good(value)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _corrupt_rows(plan: Plan, damaged: Mapping[int, frozenset[str] | None]) -> float | None:
    """Rows written damaged, as minutes of planned traffic; None where no fault damages rows or none is planned."""
    masked = [fault for fault in plan.faults if fault.damage is not None and fault.damage.by_mask]
    if not masked or plan.load is None or plan.load.rate <= 0:
        return None
    count = sum(len(damaged.get(fault.index) or ()) for fault in masked)
    return count / (plan.load.rate * 60.0)
