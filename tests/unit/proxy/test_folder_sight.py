"""How long a file has stood still, on a clock of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.proxy.folder.sight import Sight

SETTLE_NS = 300


def sight(folder: Path, times: list[int]) -> Sight:
    """`times`: what its clock says each time that it is asked."""
    left: Iterator[int] = iter(times)
    return Sight(os.fsencode(folder), pattern="*", settle_ns=SETTLE_NS, clock=lambda: next(left))


def test_a_stall_in_the_middle_of_a_look_is_no_time_of_standing_still(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    look = sight(tmp_path, [0, 400, 500, 699, 700])
    assert look.arrived() == []  # began at 0, and saw it at 400
    assert [look.arrived() for _ in (500, 699, 700)] == [[], [], [b"x"]]


def test_a_change_begins_the_time_anew(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    look = sight(tmp_path, [0, 0, 299, 299, 598, 599])
    assert look.arrived() == []
    (tmp_path / "x").write_bytes(b"12")
    assert [look.arrived() for _ in (299, 598, 599)] == [[], [], [b"x"]]
