"""What a format of bodies must do: say which media types are its own, find rows, and write damaged values back.

Only the columns that the damage needs are read, and only values that were hit are written anew: what nobody asked for
stays as it came. To add a format: one small file here that ends in a `Format`, and a line in `formats.FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from harness.proxy.tap.damaging import Gone, Hit, Moved
from harness.proxy.tap.recordpath import RecordPath


class Unread(Exception):  # noqa: N818 - an answer, not a failure: the body passes unharmed and is counted
    """The body isn't what the format expects. `reason` is what it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Wanted:
    """What a tap wants of a body: where the records are (JSON), the key of their id, the columns that damage needs."""

    path: RecordPath
    id_key: str
    columns: tuple[str, ...]


class Parsed(Protocol):
    """A body that was read. `unread` counts parts of it that were no records and stay as they are."""

    rows: list[dict[str, object]]
    ids: list[object]
    unread: int

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        """The body with the hits' values, and the hits as they were really written: without values that the format
        can't hold."""


@dataclass(frozen=True)
class Format:
    """`parse` raises Unread. `by_line`: any run of whole lines is a body, so that long bodies go piece by piece."""

    name: str
    owns: Callable[[str], bool]
    parse: Callable[[bytes, Wanted], Parsed]
    by_line: bool = False


def holds(value: object) -> bool:
    """Whether JSON or CSV can hold the value: no NaN, no infinity; nor a field that is gone, unless the format says so itself."""
    return not isinstance(value, Gone | Moved) and (not isinstance(value, float) or isfinite(value))
