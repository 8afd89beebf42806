"""Whether users got what they should, sample by sample, as the prober saw it from outside.

What always holds: a value that is missing is never good. It is *unknown*, which breaks a recovery and starts no impact. Where
nothing answered at all, latency and correctness are unknown, and the impact is the availability's. A stretch without samples
is unknown for every objective: that nothing was lost can be said only of what was watched. Bad samples that are too few to be
an impact are counted and said: they are harm, though no objective was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from harness.contract.words import SliKind
from harness.history.events import Sample
from harness.measure.folds import GAP_SAMPLES, IMPACT_K, IMPACT_M, onset
from harness.measure.onset import Look
from harness.score.evidence import NS
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
    """Whether and when an objective was lost, and which; `res_ns`: how much earlier it may have been.

    `unknown` names SLIs that couldn't be read k of m times, or for too long at a stretch. `bad`: how many samples missed each
    objective, of those that any did.
    """

    at_ns: int | None
    lost: tuple[SliKind, ...]
    unknown: tuple[SliKind, ...]
    samples: int
    res_ns: int = 0
    bad: dict[SliKind, int] = {}

    @property
    def short(self) -> str:
        """The harm where no objective was lost, in words; empty where none was seen, or where one was lost."""
        return short_harm(self.bad) if self.at_ns is None else ""


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
    bad: dict[SliKind, int] = {}
    unwatched = bool(window) and _silent(window, from_ns=from_ns, to_ns=to_ns, gap_s=GAP_SAMPLES * plan.sample_every_s)
    for column, sli in enumerate(plan.slis):
        lost_ns = onset((sample.t_ns, sample.bad[column]) for sample in window)
        if lost_ns is not None:
            found[sli.kind] = lost_ns
        count = sum(sample.bad[column] is True for sample in window)
        if count:
            bad[sli.kind] = count
        missing = onset((sample.t_ns, sample.bad[column] is None) for sample in window)
        if missing is not None or unwatched:
            unknown.append(sli.kind)
    at_ns = min(found.values(), default=None)
    return Impact(
        at_ns=at_ns,
        lost=tuple(sorted(found, key=lambda kind: (found[kind], kind))),
        unknown=tuple(unknown),
        samples=len(window),
        res_ns=0 if at_ns is None else _since_the_one_before(window, at_ns, from_ns=from_ns),
        bad=bad,
    )


def short_harm(bad: Mapping[SliKind, int] | Mapping[str, int]) -> str:
    """`2 bad samples of correctness, 1 of latency, not long enough to count (3 of 5)`; empty where there are none."""
    counted = [(count, str(kind)) for kind, count in bad.items()]
    if not counted:
        return ""
    (first, kind), *others = counted
    told = [f"{first} bad {'sample' if first == 1 else 'samples'} of {kind}"]
    told += [f"{count} of {other}" for count, other in others]
    return f"{', '.join(told)}, not long enough to count ({IMPACT_K} of {IMPACT_M})"


def _silent(window: list[Judged], *, from_ns: int, to_ns: int, gap_s: float) -> bool:
    """Whether users went unwatched for longer than `gap_s`. A sample watches for as long as it took."""
    ends = [from_ns, *(sample.t_ns for sample in window)]
    begins = [*(sample.t_ns - sample.res_ns for sample in window), to_ns]
    return any(begin - end > round(gap_s * NS) for end, begin in zip(ends, begins, strict=True))


def _since_the_one_before(window: list[Judged], at_ns: int, *, from_ns: int) -> int:
    """From the start of the sample before, or of the window: until then it may have been well."""
    before = [sample.t_ns - sample.res_ns for sample in window if sample.t_ns < at_ns]
    return at_ns - max(from_ns, before[-1] if before else from_ns)
