"""What a folder's tap tells of a file that is delivered: one mask log taken over by another, nothing told twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
