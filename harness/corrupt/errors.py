"""What is wrong with a corruption or its columns: the field, what was found, what is legal, the nearest match."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import Exit, HarnessError

SHOWN_MAX = 40
"""Names in one message: all types of damage, and not all columns of a wide table."""


class CorruptionError(HarnessError):
    """A corruption can't be understood, or doesn't fit the columns it is to damage."""

    exit = Exit.USAGE


def unknown(field: str, value: object, *, known: Iterable[str]) -> CorruptionError:
    from difflib import get_close_matches  # only when something is wrong: it costs milliseconds to import

    names = sorted(known)
    near = get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    more = f" and {len(names) - SHOWN_MAX:,} more" if len(names) > SHOWN_MAX else ""
    return CorruptionError(f"{field}: unknown '{str(value)[:100]}'.{hint} Known: {', '.join(names[:SHOWN_MAX])}{more}")


def illegal(field: str, value: object, *, legal: str) -> CorruptionError:
    return CorruptionError(f"{field}: {str(value)[:100]!r} is not legal; legal is {legal}")
