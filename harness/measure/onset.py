"""When did something begin, told by readings that each took a while: an interval, never an instant.

A reading of `res_ns` ending at `t_ns` was taken somewhere within `[t_ns - res_ns, t_ns]`. What was last seen absent by a
reading and first seen present by a later one began between the *start* of the former and the *end* of the latter. Rejected:
the time of the first reading alone, which hides how late it may be.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Look(msgspec.Struct, frozen=True):
    """One reading: present or not, None where it couldn't be told."""

    t_ns: int
    res_ns: int
    present: bool | None


class Interval(msgspec.Struct, frozen=True):
    """Something happened at one moment within [from_ns, to_ns]."""

    from_ns: int
    to_ns: int

    @property
    def width_ns(self) -> int:
        return self.to_ns - self.from_ns


def first_present(looks: Iterable[Look], *, not_before_ns: int) -> Interval | None:
    """The interval in which it became present, or None where no reading from `not_before_ns` on shows it."""
    from_ns = not_before_ns
    for look in looks:
        if look.t_ns < not_before_ns or look.present is None:
            continue
        if look.present:
            return Interval(from_ns, look.t_ns)
        from_ns = max(from_ns, look.t_ns - look.res_ns)
    return None
