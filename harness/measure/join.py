"""Debt: which damaged records were repaid, and when the last of them was.

A join by record id between what was damaged (a mask, or records that bear the damage's mark) and what the target says it
has repaired. Rejected: comparing counts, which a responder could meet by repairing the wrong records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Repayment(msgspec.Struct, frozen=True):
    """How much of a debt was repaid. `all_ns`: when the last record was; None while any is outstanding, or without debt."""

    damaged: int
    repaid: int
    all_ns: int | None

    @property
    def clear(self) -> bool:
        return self.repaid == self.damaged


def repayment(damaged: Iterable[str], repaid_ns: Mapping[str, int]) -> Repayment:
    """Joins the damaged ids with when each was first seen repaid."""
    ids = frozenset(damaged)
    times = [repaid_ns[record] for record in ids if record in repaid_ns]
    whole = bool(ids) and len(times) == len(ids)
    return Repayment(damaged=len(ids), repaid=len(times), all_ns=max(times) if whole else None)
