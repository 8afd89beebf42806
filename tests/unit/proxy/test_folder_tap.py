"""What passes between loop and worker: orders that count at once, and the mask of a file that is delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.folder.carrier import Step
from harness.proxy.folder.link import FolderLink, Route
from harness.proxy.folder.tap import FolderTap
from harness.proxy.folder.worker import Worker
from harness.proxy.loop import Loop
from harness.proxy.tap import recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damage import damage_of
from harness.proxy.tap.formats import Wanted
from harness.proxy.tap.masklog import MaskLog


def _log(numbers: range, records_max: int) -> MaskLog:
    log = MaskLog(records_max)
    for n in numbers:
        log.write(n, ("amount",), n)
    return log


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 8), st.integers(1, 8))
def test_a_log_that_took_over_another_is_as_if_it_had_been_written_itself(
    before: int, after: int, records_max: int, other_max: int
) -> None:
    log = _log(range(before), records_max)
    log.take_over(_log(range(before, before + after), other_max))
    page = log.page(0, 1000)
    kept = min(after, other_max, records_max) if after > other_max else min(before + after, records_max)
    assert [record["id"] for record in page["records"]] == list(range(before + after - kept, before + after))  # type: ignore[attr-defined, index] # the page is JSON
    assert (page["next"], page["dropped"]) == (before + after, before + after - kept)


class Held:
    """A worker that does its job when told."""

    def __init__(self) -> None:
        self.job: Callable[[], Step] | None = None

    def submit(self, job: Callable[[], Step], done: Callable[[Step], None]) -> None:
        assert self.job is None, "a link has one job at a time"
        self.job = job

    def work(self) -> Step:
        assert self.job is not None
        return self.job()


@pytest.fixture
def held(tmp_path: Path) -> tuple[Held, FolderLink, Path]:
    """A link whose step is under way and has done nothing yet."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    worker = Held()
    route = Route(name="f", source=str(tmp_path / "a"), target=str(tmp_path / "b"), pattern="*", settle_ms=0)
    link = FolderLink(Loop(), cast("Worker", worker), route, enabled=True)
    (tmp_path / "a" / "x.csv").write_bytes(b"id,amount\n1,5\n")
    return worker, link, tmp_path


def _tap() -> FolderTap:
    columns, damage = damage_of({"type": "scale", "factor": 100, "columns": ["amount"]})
    wanted = Wanted(recordpath.parse("$"), "id", columns)
    bounds = Bounds(within_ms=0)
    return FolderTap("tap", "csv", "$", wanted, damage, bounds, {}, MaskLog(), lease="lease")


def test_what_was_told_before_a_file_came_counts_for_the_step_under_way(held: tuple[Held, FolderLink, Path]) -> None:
    worker, link, folder = held
    link.enable(False)
    assert worker.work().waiting == 1
    assert (folder / "a" / "x.csv").exists()
    link.enable(True)
    link.add_tap(_tap())
    assert worker.work().in_hand == b"x.csv"


@pytest.mark.parametrize("lifted", ["lift", "remove", "reset"])
def test_a_tap_that_went_before_a_file_came_is_gone_for_the_step_under_way(
    held: tuple[Held, FolderLink, Path], lifted: str
) -> None:
    worker, link, _ = held
    link.add_tap(_tap())
    if lifted == "lift":
        link.lift("lease")
    elif lifted == "remove":
        link.remove_tap(link.tap("tap"))
    else:
        link.reset()
    step = worker.work()
    assert (step.in_hand, step.delivered) == (b"", 1)
