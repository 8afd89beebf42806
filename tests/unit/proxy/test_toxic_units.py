"""Toxicity per request and per record: what is hit, what passes, and that nothing overtakes."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import seeds
from harness.proxy.stage import Mark
from harness.proxy.toxic import Per
from harness.proxy.toxic.parts import units
from harness.proxy.toxic.parts.base import NO_UNIT
from tests.unit.proxy.clocked import piped, toxic

MS = 1_000_000

REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nContent-Length: 30\r\n\r\n" + b"b" * 30,
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nccccc\r\n0\r\n\r\n",
    b"HEAD /d HTTP/1.1\r\n\r\n",
    b"POST /e HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\naaa",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ncc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n",  # of a HEAD: no body follows
    b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nee",
]
LINES = [b"one\n", b"\n", b"three three three\n", b"\xff\xfe\n", b"five, without an end"]
BY_KIND = {"requests": REQUESTS, "responses": RESPONSES, "lines": LINES}


def cut(kind: str, data: bytes, sizes: list[int], *, fresh: bool = True) -> list[tuple[int, bytes]]:
    """The units by ordinal, joined, and what belongs to none."""
    given_on: list[tuple[int, bytes]] = []

    def give(piece: bytes, unit: int) -> None:
        if given_on and given_on[-1][0] == unit:
            given_on[-1] = (unit, given_on[-1][1] + piece)
        else:
            given_on.append((unit, piece))

    if kind == "lines":
        cutter: units.Cutter = units.Lines(give, fresh=fresh)
    else:
        asked = deque(["GET", "GET", "GET", "HEAD", "GET"]) if kind == "responses" else None
        cutter = units.Messages(give, fresh=fresh, asked=asked)
    at = 0
    for size in [*sizes, len(data)]:
        if data[at : at + size]:
            cutter.feed(data[at : at + size])
        at += size
    cutter.release()
    return given_on


@given(kind=st.sampled_from(sorted(BY_KIND)), sizes=st.lists(st.integers(1, 60), max_size=20))
@settings(max_examples=200, deadline=None)
def test_units_are_found_however_the_stream_is_cut(kind: str, sizes: list[int]) -> None:
    expected = BY_KIND[kind]
    assert cut(kind, b"".join(expected), sizes) == list(enumerate(expected))


@given(data=st.binary(max_size=300), kind=st.sampled_from(sorted(BY_KIND)), fresh=st.booleans())
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_given_on_whole(data: bytes, kind: str, fresh: bool) -> None:
    assert b"".join(piece for _, piece in cut(kind, data, [7, 1, 40], fresh=fresh)) == data


def test_what_began_before_the_toxic_is_no_unit() -> None:
    assert cut("lines", b"st of it\nnext\n", [], fresh=False) == [(NO_UNIT, b"st of it\n"), (1, b"next\n")]


@pytest.mark.parametrize("data", [b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01", b"SET a 1\r\n", b"hello", b"PING\r\n"])
def test_what_is_no_http_passes_at_once_and_is_counted(data: bytes) -> None:
    slow = toxic("latency", per=Per.REQUEST, latency=1000)
    slow.stream = "upstream"
    pipe = piped(slow)
    pipe.feed(data)
    assert pipe.out == [(0, data)]
    assert slow.shown(counters=True)["affected"] == {
        "connections": 0,
        "chunks": 0,
        "bytes": 0,
        "requests": 0,
        "unframed": 1,
    }


def test_a_line_without_an_end_is_no_record_for_good() -> None:
    slow = toxic("latency", per=Per.RECORD, latency=10)
    pipe = piped(slow)
    piece = b"x" * (256 << 10)
    for _ in range(6):
        pipe.feed(piece)
        pipe.run()
    assert pipe.data == piece * 6
    assert slow.counts.unframed == 1
    assert slow.counts.bytes == 1 << 20


def hit_ones(count: int, toxicity: float, seed: int = 7) -> list[int]:
    return [n for n in range(count) if seeds.fraction(seed, "toxicity", 0, n) < toxicity]


def test_what_is_not_hit_waits_behind_what_is_and_only_that_is_delayed() -> None:
    slow = toxic("latency", per=Per.RECORD, toxicity=0.3, latency=10)
    pipe = piped(slow)
    for n in range(30):
        pipe.feed(b"%d\n" % n)
        pipe.run()
    late = [int(item) for at_ns, item in pipe.out if isinstance(item, bytes) and at_ns != _before(pipe.out, item)]
    assert late == hit_ones(30, 0.3)
    assert slow.counts.units == slow.counts.chunks == len(late)
    together = piped(toxic("latency", per=Per.RECORD, toxicity=0.3, latency=10))
    together.feed(b"".join(b"%d\n" % n for n in range(30)))
    assert together.data == b"".join(b"%d\n" % n for n in range(late[0])), "the others wait behind the first late one"
    together.run()
    assert together.data == pipe.data


def _before(out: list[tuple[int, object]], item: object) -> int:
    at = [entry for _, entry in out].index(item)
    return out[at - 1][0] if at else 0


@pytest.mark.parametrize("kind", ["reset_peer", "timeout"])
def test_a_fatal_toxic_waits_for_the_first_record_that_it_hits(kind: str) -> None:
    fatal = toxic(kind, per=Per.RECORD, toxicity=0.2, timeout=5)
    pipe = piped(fatal)
    first = hit_ones(50, 0.2)[0]
    assert first > 0
    for n in range(50):
        pipe.feed(b"%d\n" % n)
    assert pipe.data == b"".join(b"%d\n" % n for n in range(first))
    pipe.run()
    assert pipe.now == 5 * MS
    assert pipe.reset is (kind == "reset_peer")
    assert pipe.closed
    assert fatal.counts.units == 1


@pytest.mark.parametrize("kind", ["reset_peer", "timeout"])
def test_a_stream_with_no_hit_record_ends_as_it_would(kind: str) -> None:
    pipe = piped(toxic(kind, per=Per.RECORD, toxicity=0.0, timeout=5))
    pipe.feed(b"whole\n")
    pipe.feed(Mark.END)
    pipe.run()
    assert [item for _, item in pipe.out] == [b"whole\n", Mark.END]


def test_only_the_hit_records_are_corrupted() -> None:
    corrupt = toxic("corrupt", per=Per.RECORD, toxicity=0.3, rate=100_000, bits=8)
    pipe = piped(corrupt)
    lines = [b"%03d %s\n" % (n, b"a" * 200) for n in range(40)]
    pipe.feed(b"".join(lines))
    changed = [n for n, line in enumerate(lines) if pipe.data[n * 205 : (n + 1) * 205] != line]
    assert changed == hit_ones(40, 0.3)
    assert corrupt.counts.units == len(changed)


def test_a_new_toxicity_holds_from_the_next_record_on() -> None:
    slow = toxic("latency", per=Per.RECORD, toxicity=0.0, latency=10)
    pipe = piped(slow)
    pipe.feed(b"begun ")
    slow.toxicity = 1.0
    pipe.chain([slow])
    pipe.feed(b"ended\nnext\n")
    assert pipe.data == b"begun ended\n"
    pipe.run()
    assert pipe.data == b"begun ended\nnext\n"


@pytest.mark.parametrize("kind", ["bandwidth", "slicer", "stall"])
def test_on_a_wire_only_the_hit_records_take_their_time(kind: str) -> None:
    slow = {"rate": 1, "average_size": 10, "delay": 10_000, "stall": 10, "loss": 1000}
    attributes = {key: slow[key] for key in toxic(kind).attributes if key in slow}
    pipe = piped(toxic(kind, per=Per.RECORD, toxicity=0.3, **attributes))
    for n in range(50):
        pipe.feed(b"%09d\n" % n)
        pipe.run(pipe.now + 50 * MS)
    late = [int(item) for at_ns, item in pipe.out if at_ns % (50 * MS) and isinstance(item, bytes)]
    # A slice is delayed behind the one before it only, which is long gone here.
    assert late == ([] if kind == "slicer" else hit_ones(50, 0.3))


def test_a_record_has_one_delay_however_it_is_cut() -> None:
    def delays(step: int) -> list[int]:
        pipe = piped(toxic("latency", per=Per.RECORD, latency=20, jitter=20))
        for n in range(20):
            pipe.now = n * 100 * MS
            record = b"record %02d\n" % n
            for at in range(0, len(record), step):
                pipe.feed(record[at : at + step])
            pipe.run(pipe.now + 99 * MS)
        return [at_ns % (100 * MS) for at_ns, item in pipe.out if isinstance(item, bytes) and item.endswith(b"\n")]

    whole = delays(100)
    assert len(set(whole)) == 20
    assert delays(3) == delays(1) == whole


def test_a_record_that_comes_in_parts_stalls_once() -> None:
    pipe = piped(toxic("stall", per=Per.RECORD, stall=50, loss=1000))
    for part in (b"one ", b"record ", b"only\n"):
        pipe.feed(part)
    pipe.run()
    assert pipe.out[-1][0] == 50 * MS
