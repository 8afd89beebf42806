"""Whether users got what they should, sample by sample, as the prober saw it from outside.

What always holds: a value that is missing is never good. It is *unknown*, which breaks a recovery and starts no impact. Where
nothing answered at all, latency and correctness are unknown, and the impact is the availability's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.measure.folds import onset
from harness.measure.onset import Look
from harness.spec.plan import Plan


class Judged(msgspec.Struct, frozen=True):
    """A sample against each objective, in the plan's order: True where it misses it, None where its value is missing.

    `good`: all are met; False where one is missed, None where none is but one is unknown.
    """

    t_ns: int
    res_ns: int
    bad: tuple[bool | None, ...]
    good: bool | None


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
        results.append(Judged(sample.t_ns, sample.res_ns, tuple(bad), good))
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
        missing = onset((sample.t_ns, sample.bad[column] is None) for sample in window)
        if missing is not None:
            unknown.append(sli.kind)
    return Impact(
        at_ns=min(found.values(), default=None),
        lost=tuple(sorted(found, key=lambda kind: (found[kind], kind))),
        unknown=tuple(unknown),
        samples=len(window),
    )
