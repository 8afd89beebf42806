"""When a state was reached for good: the fold that mitigation, repair and recovery share.

Two folds run side by side over the readings. The strict one takes only what was seen to be good; the lenient one lets
what couldn't be read pass. Where only the lenient one holds, or the run ended in the middle of a hold, the state may have
been reached: that is neither success nor failure, and the criterion says so.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from harness.measure.folds import Hold
from harness.measure.onset import Look

STANDS = 2
"""A run ends between two readings: its last one stands for this many intervals."""


class Reached(msgspec.Struct, frozen=True):
    """`at_ns`: start of the hold, and `res_ns` how much earlier it may have been.

    `maybe_ns`: the earliest start that can't be ruled out, where there is one.
    """

    at_ns: int | None
    res_ns: int = 0
    maybe_ns: int | None = None
    why: str = ""
    relapses: int = 0


def reached(
    looks: Iterable[Look], *, hold_ns: int, every_ns: int, gap_ns: int, unread_ns: int, until_ns: int
) -> Reached:
    """Folds readings of "it is good now", meant to come every `every_ns`, up to `until_ns`.

    A stretch is broken by silence longer than `gap_ns`; the last reading stands for `STANDS` intervals at most.
    `unread_ns`: it can't have been reached before; from then on nothing is known if there is no reading at all.
    """
    readings = tuple(looks)
    if not readings:
        return Reached(None, maybe_ns=unread_ns, why="there is no reading")
    strict = Hold(hold_ns, gap_ns=gap_ns)
    before_ns = unread_ns
    res_ns = 0
    for look in readings:
        began = strict.since_ns
        strict = strict.step(look.t_ns, look.present)
        if strict.since_ns == look.t_ns and began != look.t_ns and strict.held_ns is None:
            res_ns = look.t_ns - before_ns
        if look.present is False:  # only what was seen to be bad rules out that it was good by then
            before_ns = max(unread_ns, look.t_ns - look.res_ns)
    last_ns = min(until_ns, readings[-1].t_ns + STANDS * every_ns)
    if strict.since_ns is not None and last_ns > readings[-1].t_ns:
        strict = strict.step(last_ns, True)
    lenient = _lenient(readings, strict)
    maybe_ns = lenient.since_ns if lenient.held_ns is None else lenient.held_ns
    if strict.held_ns is not None:
        return Reached(strict.held_ns, max(res_ns, 0), maybe_ns, relapses=strict.relapses)
    return Reached(None, maybe_ns=maybe_ns, why=_why(strict, lenient), relapses=strict.relapses)


def _lenient(readings: tuple[Look, ...], strict: Hold) -> Hold:
    """The fold that lets pass what couldn't be read, and silence."""
    fold = Hold(strict.hold_ns)
    for look in readings:
        fold = fold.step(look.t_ns, look.present is not False)
    return fold


def together(named: Iterable[tuple[str, Reached]]) -> Reached:
    """When all parts were reached: the last of them, if each was. Their names tell the reasons apart."""
    parts = tuple(named)
    all_parts = tuple(part for _, part in parts)
    ats = [part.at_ns for part in all_parts]
    maybes = [_earliest(part) for part in all_parts]
    last = max(all_parts, key=lambda part: part.at_ns or 0, default=Reached(None))
    return Reached(
        at_ns=None if None in ats else last.at_ns,
        res_ns=last.res_ns,
        maybe_ns=None if None in maybes else max((m for m in maybes if m is not None), default=None),
        why="; ".join(f"{name}: {part.why}" for name, part in parts if part.at_ns is None and part.why),
        relapses=sum(part.relapses for part in all_parts),
    )


def _earliest(part: Reached) -> int | None:
    known = [t_ns for t_ns in (part.at_ns, part.maybe_ns) if t_ns is not None]
    return min(known, default=None)


def _why(strict: Hold, lenient: Hold) -> str:
    if strict.since_ns is not None:
        return "the run ended before it had held"
    if lenient.since_ns is not None:
        return "a declared reading is missing at the decisive time"
    return "it relapsed" if strict.relapses else "it never came about"
