"""How much memory a process has to itself: the number that a limit is about.

Private bytes (the sum of `Private_*` and swap in smaps_rollup) rather than RSS, because services are forked from
one warm interpreter and share its pages: what they share is nobody's growth. Rejected: RLIMIT_DATA, which gives a
MemoryError inside instead of a kill from outside, and cgroups, which need rights that a user often lacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.target.embedded.processes import PROC, family

COUNTED = ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:", "SwapPss:")


def private_bytes(pid: int) -> int | None:
    """None when the process is gone."""
    return _sum(pid, COUNTED)


def proportional_bytes(pid: int) -> int | None:
    """PSS: what is shared counts in parts, so that a sum over processes is what they cost together."""
    return _sum(pid, ("Pss:",))


def family_private_bytes(pid: int) -> int | None:
    """Private bytes of a process and its descendants; None when the process itself is gone."""
    own = private_bytes(pid)
    if own is None:
        return None
    return own + sum(private_bytes(member) or 0 for member in family(pid)[1:])


def _sum(pid: int, names: Iterable[str]) -> int | None:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return None
    if not text:
        return None
    wanted = tuple(names)
    return 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(wanted))
