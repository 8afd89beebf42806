"""What is wrong with a file that people wrote, with its place, and how to say so.

Everything that reads such a file collects `Problem`s rather than stopping at the first, and `refuse` turns them into the
one error that a reader may raise. Rejected: raising where a fault is met, which shows people one mistake per attempt.

Always true: problems leave in the order of the file, at most `SHOWN_MAX` of them, each on one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn

from harness.errors import InvalidFileError

SHOWN_MAX = 50
LEGAL_SHOWN_MAX = 40


class Problem(NamedTuple):
    """One thing wrong: line and column count from 1; `text` says what was found and what is legal."""

    line: int
    column: int
    text: str


def refuse(where: str, problems: Iterable[Problem], *, hint: str = "") -> NoReturn:
    """Raise the file's `InvalidFileError` with a line `file:line:column: text` for each problem."""
    found = sorted(set(problems))
    lines = [f"{where}:{line}:{column}: {' '.join(text.split())}" for line, column, text in found[:SHOWN_MAX]]
    if len(found) > SHOWN_MAX:
        lines.append(f"{where}: and {len(found) - SHOWN_MAX} more")
    raise InvalidFileError(tuple(lines), hint=hint)


def nearest(word: str, legal: Iterable[str]) -> str | None:
    """The legal word that `word` was most likely meant to be, if any is near."""
    by_folded = {name.casefold().replace("_", "-"): name for name in legal}
    folded = word[:64].casefold().replace("_", "-")
    match = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if match:
        return by_folded[match[0]]
    begun = [name for spelt, name in by_folded.items() if len(folded) > 2 and spelt.startswith(folded)]
    return begun[0] if len(begun) == 1 else None


def meant(word: str, legal: Sequence[str], *, what: str = "Legal") -> str:
    """`. Did you mean 'x'? Legal: x, y, z`: what follows a word that is not legal."""
    near = nearest(word, legal)
    suggestion = f" Did you mean '{near}'?" if near is not None else ""
    if not legal:
        return f".{suggestion}"
    rest = f", and {len(legal) - LEGAL_SHOWN_MAX} more" if len(legal) > LEGAL_SHOWN_MAX else ""
    return f".{suggestion} {what}: {', '.join(legal[:LEGAL_SHOWN_MAX])}{rest}"
