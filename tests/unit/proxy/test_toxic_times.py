"""When what leaves, to the nanosecond, on a clock of its own; and draws that don't depend on how a stream is cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.proxy.stage import Mark
from harness.proxy.toxic import Per, Toxic
from tests.unit.proxy.clocked import ClockedPipe, piped, toxic

MS = 1_000_000
S = 1_000_000_000
BINARY = random.Random(1).randbytes(60_000)


def in_chunks(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(stream[at : at + size])
        at += size
    return [chunk for chunk in [*chunks, stream[at:]] if chunk]


SIZES = st.lists(st.integers(1, 9_000), max_size=12)

# bandwidth


@pytest.mark.parametrize("rate", [1, 3, 7, 1_000, 123_457, 100_000_000])
def test_bandwidth_is_exact_over_time_however_late_the_loop_wakes(rate: int) -> None:
    pipe = piped(toxic("bandwidth", rate=rate), late_ns=300_000)
    chunk = bytes(rate * 7 + 1)
    for _ in range(50):
        pipe.feed(chunk)
    pipe.run()
    exact_ns = 50 * len(chunk) * MS // rate
    assert exact_ns <= pipe.out[-1][0] <= exact_ns + 300_000 + 1


def test_bandwidth_of_many_single_bytes_does_not_drift() -> None:
    pipe = piped(toxic("bandwidth", rate=7))
    for _ in range(7_000):
        pipe.feed(b"x")
    pipe.run()
    assert pipe.out[-1][0] == S


def test_bandwidth_gives_pieces_of_at_most_100_ms_and_never_ahead_of_its_rate() -> None:
    pipe = piped(toxic("bandwidth", rate=100))
    pipe.feed(bytes(1_000_000))
    pipe.run()
    passed = 0
    for at_ns, item in pipe.out:
        assert isinstance(item, bytes)
        passed += len(item)
        assert passed * MS <= 100 * at_ns
    assert passed == 1_000_000
    assert max(after - before for (before, _), (after, _) in pairwise(pipe.out)) <= 100 * MS


def test_a_line_that_was_idle_has_saved_nothing() -> None:
    pipe = piped(toxic("bandwidth", rate=10))
    pipe.feed(bytes(100))
    pipe.run(10 * S)
    pipe.feed(bytes(1_000))
    pipe.run()
    assert pipe.out[-1][0] == 10 * S + 100 * MS


def test_a_new_rate_holds_for_what_waits() -> None:
    slow = toxic("bandwidth", rate=1)
    pipe = piped(slow)
    pipe.feed(bytes(1_000_000))
    pipe.run(S)
    assert len(pipe.data) == 1_000
    slow.attributes = {"rate": 1_000}
    pipe.stages[0][1].updated()
    pipe.run()
    assert pipe.out[-1][0] == S + 999 * MS


# slicer


def test_slices_are_as_long_as_told_and_delayed_from_the_second_on() -> None:
    pipe = piped(toxic("slicer", average_size=100, size_variation=30, delay=500))
    pipe.feed(BINARY)
    pipe.run()
    assert all(70 <= size <= 130 for size in pipe.sizes[:-1])
    assert 95 <= sum(pipe.sizes) / len(pipe.sizes) <= 105
    assert len(set(pipe.sizes)) > 20
    assert [at_ns for at_ns, _ in pipe.out] == [n * 500_000 for n in range(len(pipe.out))]


def test_what_is_not_longer_than_a_slice_goes_whole_and_at_once() -> None:
    pipe = piped(toxic("slicer", average_size=100, size_variation=30, delay=500))
    pipe.feed(bytes(130))
    assert pipe.sizes == [130]
    assert pipe.stages[0][0].counts.chunks == 0


def test_a_shorter_delay_of_slices_holds_at_once() -> None:
    slicer = toxic("slicer", average_size=10, delay=3_600_000_000)
    pipe = piped(slicer)
    pipe.feed(bytes(100))
    assert pipe.sizes == [10]
    slicer.attributes = slicer.attributes | {"delay": 0}
    pipe.stages[0][1].updated()
    assert len(pipe.data) == 100


# slow_close, limit_data, timeout


def test_slow_close_delays_the_end_only() -> None:
    pipe = piped(toxic("slow_close", delay=70))
    pipe.feed(b"bytes")
    pipe.feed(Mark.END)
    pipe.run()
    assert pipe.out == [(0, b"bytes"), (70 * MS, Mark.END)]
    assert pipe.stages[0][0].shown(counters=True)["affected"] == {"connections": 1, "chunks": 0, "bytes": 0}


@given(limit=st.integers(0, 5_000), sizes=SIZES)
@settings(deadline=None)
def test_limit_data_closes_after_exactly_so_many_bytes(limit: int, sizes: list[int]) -> None:
    pipe = piped(toxic("limit_data", bytes=limit))
    for chunk in in_chunks(BINARY, sizes):
        pipe.feed(chunk)
    assert pipe.data == BINARY[:limit]
    assert pipe.out[-1][1] is Mark.CLOSE


def test_timeout_means_what_it_says_and_in_compat_starts_anew_with_each_chunk() -> None:
    for compat, closes_ms in ((False, 100), (True, 160)):
        pipe = piped(toxic("timeout", timeout=100, compat=compat))
        for _ in range(3):
            pipe.run(pipe.now + 20 * MS)
            pipe.feed(b"talks")
        pipe.run()
        assert pipe.out == [(closes_ms * MS, Mark.CLOSE)], compat


def test_removing_a_timeout_closes_who_lost_bytes_and_in_compat_everybody() -> None:
    for compat, talks, closes in ((False, False, False), (False, True, True), (True, False, True)):
        pipe = piped(toxic("timeout", compat=compat))
        if talks:
            pipe.feed(b"lost")
        pipe.chain([])
        assert pipe.closed is closes


# stall


@given(sizes=SIZES)
@settings(deadline=None)
def test_a_stalled_stream_stands_still_for_each_lost_segment_however_it_is_cut(sizes: list[int]) -> None:
    stall = toxic("stall", stall=50, loss=300, segment=1_000)
    pipe = piped(stall)
    for chunk in in_chunks(BINARY, sizes):
        pipe.feed(chunk)
    pipe.run()
    whole = piped(toxic("stall", stall=50, loss=300, segment=1_000))
    whole.feed(BINARY)
    whole.run()
    assert pipe.out[-1][0] == whole.out[-1][0]
    assert 8 <= whole.out[-1][0] // (50 * MS) <= 30, "of 60 segments"
    assert standing(pipe) == standing(whole)
    assert stall.counts.bytes == 1_000 * (whole.out[-1][0] // (50 * MS))


def standing(pipe: ClockedPipe) -> dict[int, int]:
    """How many bytes left at which time."""
    left: dict[int, int] = {}
    for at_ns, item in pipe.out:
        left[at_ns] = left.get(at_ns, 0) + len(item if isinstance(item, bytes) else b"")
    return left


def test_records_stall_each_by_its_own_draw() -> None:
    pipe = piped(toxic("stall", per=Per.RECORD, stall=50, loss=500))
    for n in range(40):
        pipe.feed(b"record %d\n" % n)
    pipe.run()
    assert 10 <= pipe.out[-1][0] // (50 * MS) <= 30
    assert pipe.stages[0][0].counts.units == pipe.out[-1][0] // (50 * MS)


# corrupt


@given(sizes=SIZES, bits=st.integers(1, 8))
@settings(deadline=None)
def test_corruption_hits_the_same_places_however_the_stream_is_cut(sizes: list[int], bits: int) -> None:
    def corrupted(chunks: list[bytes]) -> tuple[bytes, Toxic]:
        corrupt = toxic("corrupt", rate=5_000, bits=bits)
        pipe = piped(corrupt)
        for chunk in chunks:
            pipe.feed(chunk)
        return pipe.data, corrupt

    (whole, _), (cut, counted) = corrupted([BINARY]), corrupted(in_chunks(BINARY, sizes))
    assert cut == whole
    flipped = [(a ^ b).bit_count() for a, b in zip(whole, BINARY, strict=True) if a != b]
    assert set(flipped) == {bits}
    assert 220 <= len(flipped) <= 380, "of 60,000 bytes at 5,000 a million"
    assert counted.counts.bytes == len(flipped)


@pytest.mark.parametrize("rate", [100, 20_000, 100_000])
def test_the_rate_of_corruption_is_what_was_asked_for(rate: int) -> None:
    corrupt = toxic("corrupt", rate=rate)
    pipe = piped(corrupt)
    for _ in range(50):
        pipe.feed(BINARY)
    expected = rate * 3
    assert abs(corrupt.counts.bytes - expected) <= 5 * expected**0.5


# draws


def test_jitter_belongs_to_the_place_where_a_chunk_begins() -> None:
    def last_delay(chunks: list[bytes]) -> int:
        pipe = piped(toxic("latency", latency=50, jitter=50))
        for chunk in chunks:
            pipe.feed(chunk)
        pipe.run(S)
        pipe.feed(b"the last")
        pipe.run()
        return pipe.out[-1][0] - S

    assert last_delay([b"abc", b"def"]) == last_delay([b"abcdef"]) == last_delay([b"a", b"b", b"cd", b"ef"])
    assert last_delay([b"abcdef"]) != last_delay([b"abcdefg"])


def test_draws_belong_to_seed_connection_and_toxic() -> None:
    def fate(seed: int, ordinal: int) -> bytes:
        pipe = piped(toxic("corrupt", rate=5_000, seed=seed), ordinal=ordinal)
        pipe.feed(BINARY)
        return pipe.data

    assert fate(1, 0) == fate(1, 0)
    assert len({fate(1, 0), fate(1, 1), fate(2, 0)}) == 3


@given(sizes=SIZES)
@settings(deadline=None)
def test_which_records_are_hit_does_not_depend_on_how_the_stream_is_cut(sizes: list[int]) -> None:
    lines = b"".join(b"line %d\n" % n for n in range(200))

    def hit(chunks: list[bytes]) -> tuple[list[bytes], int]:
        toxic_ = toxic("latency", per=Per.RECORD, toxicity=0.2, latency=10)
        pipe = piped(toxic_)
        for chunk in chunks:
            pipe.feed(chunk)
            pipe.run(pipe.now + S)
        late = b"".join(item for at_ns, item in pipe.out if at_ns % S and isinstance(item, bytes))
        return late.splitlines(), toxic_.counts.units

    # Each line waits behind the late ones before it; apart, only the late ones are late.
    alone = hit(lines.splitlines(keepends=True))
    assert 20 <= alone[1] <= 60
    assert len(alone[0]) == alone[1]
    assert hit(in_chunks(lines, sizes))[1] == alone[1]
