"""Whether users got what they should, sample by sample, as the prober saw it from outside.

What always holds: a value that is missing is never good. It is *unknown*, which breaks a recovery and starts no impact;
but where nothing answered at all, the availability is bad already, and a latency that nobody could measure says nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.measure.folds import KofM
from harness.measure.onset import Look
from harness.spec.plan import Plan, PlannedSli

OF_ANSWERS = frozenset({SliKind.LATENCY, SliKind.CORRECTNESS, SliKind.FALLBACK_SHARE})
"""SLIs of answers: without an answer they have no value."""


class Impact(msgspec.Struct, frozen=True):
    """Whether and when an objective was lost, and which; `unknown` names SLIs that couldn't be read k of m times."""

    at_ns: int | None
    lost: tuple[SliKind, ...]
    unknown: tuple[SliKind, ...]
    samples: int


def bad(sli: PlannedSli, sample: Sample) -> bool | None:
    """Whether the sample misses this objective; None where its value is missing."""
    value = sample.values.get(sli.kind)
    return None if value is None else not sli.good(value)


def good(plan: Plan, sample: Sample) -> bool | None:
    """Whether the sample meets all objectives: False where one is missed, None where none is but one is unknown."""
    answers = [bad(sli, sample) for sli in plan.slis]
    if True in answers:
        return False
    return None if None in answers else True


def looks(plan: Plan, samples: Iterable[Sample], *, from_ns: int, to_ns: int) -> Iterator[Look]:
    """The samples of a window as readings of "all objectives are met"."""
    for sample in samples:
        if from_ns <= sample.t_ns <= to_ns:
            yield Look(sample.t_ns, sample.res_ns, good(plan, sample))


def impact(plan: Plan, samples: Iterable[Sample], *, from_ns: int, to_ns: int) -> Impact:
    """Folds k-of-m over each objective, from `from_ns` on."""
    window = [sample for sample in samples if from_ns <= sample.t_ns <= to_ns]
    onsets = {sli.kind: _onset((s.t_ns, bad(sli, s)) for s in window) for sli in plan.slis}
    found = {kind: t_ns for kind, t_ns in onsets.items() if t_ns is not None}
    unknown = tuple(
        sli.kind
        for sli in plan.slis
        if _onset((s.t_ns, bad(sli, s) is None and not _excused(plan, sli, s)) for s in window) is not None
    )
    return Impact(
        at_ns=min(found.values(), default=None),
        lost=tuple(sorted(found, key=lambda kind: (found[kind], kind))),
        unknown=unknown,
        samples=len(window),
    )


def _onset(series: Iterable[tuple[int, bool | None]]) -> int | None:
    fold = KofM()
    for t_ns, is_bad in series:
        fold = fold.step(t_ns, is_bad)
        if fold.onset_ns is not None:
            break
    return fold.onset_ns


def _excused(plan: Plan, sli: PlannedSli, sample: Sample) -> bool:
    """Nothing answered, and the availability says so."""
    declared = any(other.kind is SliKind.AVAILABILITY for other in plan.slis)
    return sli.kind in OF_ANSWERS and sample.ok == 0 and declared
