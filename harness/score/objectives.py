"""Whether users got what they should, sample by sample, as the prober saw it from outside.

What always holds: a value that is missing is never good. It is *unknown*, which breaks a recovery and starts no impact;
but where nothing answered at all, the availability is bad already, and a latency that nobody could measure says nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.measure.folds import onset
from harness.measure.onset import Look
from harness.spec.plan import Plan, PlannedSli

OF_ANSWERS = frozenset({SliKind.LATENCY, SliKind.CORRECTNESS, SliKind.FALLBACK_SHARE})
"""SLIs of answers: without an answer they have no value."""


class Judged(msgspec.Struct, frozen=True):
    """A sample against each objective, in the plan's order: True where it misses it, None where its value is missing.

    `good`: all are met; False where one is missed, None where none is but one is unknown.
    """

    t_ns: int
    res_ns: int
    bad: tuple[bool | None, ...]
    good: bool | None
    answered: bool


class Impact(msgspec.Struct, frozen=True):
    """Whether and when an objective was lost, and which; `unknown` names SLIs that couldn't be read k of m times."""

    at_ns: int | None
    lost: tuple[SliKind, ...]
    unknown: tuple[SliKind, ...]
    samples: int


def judged(plan: Plan, samples: Iterable[Sample]) -> tuple[Judged, ...]:
    """Every sample against the plan's objectives."""
    bounds = [(sli.kind.value, sli.min, sli.max) for sli in plan.slis]
    results = []
    for sample in samples:
        values = sample.values
        bad: list[bool | None] = []
        for kind, low, high in bounds:
            value = values.get(kind)
            if value is None:
                bad.append(None)
            else:
                bad.append((low is not None and value < low) or (high is not None and value > high))
        good = False if True in bad else (None if None in bad else True)
        results.append(Judged(sample.t_ns, sample.res_ns, tuple(bad), good, sample.ok > 0))
    return tuple(results)


def looks(samples: Iterable[Judged], *, from_ns: int, to_ns: int) -> Iterator[Look]:
    """The samples of a window as readings of "all objectives are met"."""
    for sample in samples:
        if from_ns <= sample.t_ns <= to_ns:
            yield Look(sample.t_ns, sample.res_ns, sample.good)


def impact(plan: Plan, samples: Iterable[Judged], *, from_ns: int, to_ns: int) -> Impact:
    """Folds k-of-m over each objective, from `from_ns` on."""
    window = [sample for sample in samples if from_ns <= sample.t_ns <= to_ns]
    found: dict[SliKind, int] = {}
    unknown: list[SliKind] = []
    for column, sli in enumerate(plan.slis):
        lost_ns = onset((sample.t_ns, sample.bad[column]) for sample in window)
        if lost_ns is not None:
            found[sli.kind] = lost_ns
        excusable = _excusable(plan, sli)
        missing = onset((s.t_ns, s.bad[column] is None and (s.answered or not excusable)) for s in window)
        if missing is not None:
            unknown.append(sli.kind)
    return Impact(
        at_ns=min(found.values(), default=None),
        lost=tuple(sorted(found, key=lambda kind: (found[kind], kind))),
        unknown=tuple(unknown),
        samples=len(window),
    )


def _excusable(plan: Plan, sli: PlannedSli) -> bool:
    """Whether a missing value says nothing where nothing answered, because the availability says so already."""
    return sli.kind in OF_ANSWERS and any(other.kind is SliKind.AVAILABILITY for other in plan.slis)
