"""JSON lines that are rewritten while they pass: however they are cut, and whenever the tap goes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.stage import Mark
from harness.proxy.tap.chunks import At, Chunks, chunk
from tests.unit.proxy.tap_support import Wire, made, mask

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
HEAD = b"POST /x HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"POST /x HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n" + b'{"amount":1}'


def lines(count: int) -> bytes:
    return b"".join(b'{"id":%d, "amount":%d}\r\n' % (n, n + 1) for n in range(count))


def damaged(body: bytes) -> bytes:
    rows = [json.loads(line) for line in body.splitlines()]
    return b"".join(b'{"id":%d,"amount":%d}\r\n' % (row["id"], row["amount"] * 100) for row in rows)


def chunked(body: bytes, sizes: list[int], trailer: bytes = b"") -> bytes:
    out, at = b"", 0
    for size in sizes:
        out += chunk(body[at : at + size])
        at += size
    return out + chunk(body[at:]) + b"0\r\n" + trailer + b"\r\n"


def dechunked(wire: bytes) -> tuple[bytes, bytes]:
    """The body, and what comes behind it. Fails where the chunks don't end."""
    chunks = Chunks()
    body = b""
    for n in range(len(wire)):
        for at, piece in chunks.feed(wire[n : n + 1]):
            body += piece if at is At.BODY else b""
        if chunks.at is At.END:
            return body, wire[n + 1 :]
    raise AssertionError(f"the chunks don't end: {wire!r}")


def tapped(**fields: object) -> Wire:
    return Wire(made(stream="upstream", corrupt=SCALE, **fields)[0])


def send(wire: Wire, data: bytes, cuts: list[int]) -> None:
    at = 0
    for cut in cuts:
        if data[at : at + cut]:
            wire.up(data[at : at + cut])
        at += cut
    if data[at:]:
        wire.up(data[at:])


sizes = st.lists(st.integers(1, 50), max_size=12)


@given(st.integers(0, 8), sizes, sizes, st.integers(1, 3))
def test_lines_in_chunks_are_damaged_however_they_are_cut(
    count: int, of_chunks: list[int], cuts: list[int], batch: int
) -> None:
    body = lines(count)
    wire = tapped(batch=batch)
    send(wire, HEAD + chunked(body, of_chunks, b"X-Sum: 1\r\n") + NEXT, cuts)
    assert wire.out["upstream"].startswith(HEAD)
    got, rest = dechunked(wire.out["upstream"][len(HEAD) :])
    assert got == damaged(body)
    assert rest.endswith(b'{"amount":100}'), "the next message is tapped again"
    assert b"0\r\nX-Sum: 1\r\n\r\n" in wire.out["upstream"]


@given(st.integers(0, 8), sizes, sizes, st.integers(0, 400))
def test_a_tap_removed_at_any_byte_leaves_a_valid_body(
    count: int, of_chunks: list[int], cuts: list[int], gone_at: int
) -> None:
    body = lines(count)
    data = HEAD + chunked(body, of_chunks)
    wire = tapped()
    send(wire, data[:gone_at], cuts)
    wire.detach()
    wire.up(data[gone_at:] + NEXT)
    got, rest = dechunked(wire.out["upstream"][len(HEAD) :])
    assert rest == NEXT
    assert [json.loads(line)["id"] for line in got.splitlines()] == list(range(count)), "no line is lost or cut"
    changed = [json.loads(line)["amount"] for line in got.splitlines()]
    assert all(amount in (n + 1, 100 * (n + 1)) for n, amount in enumerate(changed))


def test_whole_lines_go_on_at_once_and_the_last_needs_no_end() -> None:
    wire = tapped()
    wire.up(HEAD + chunk(b'{"amount":1}\n{"amo'))
    assert wire.out["upstream"] == HEAD + chunk(b'{"amount":100}\n')
    wire.up(chunk(b'unt":2}') + b"0\r\n\r\n")
    assert wire.out["upstream"] == HEAD + chunk(b'{"amount":100}\n') + chunk(b'{"amount":200}') + b"0\r\n\r\n"


def test_until_the_end_of_the_connection() -> None:
    tap, log = made(corrupt=SCALE)
    wire = Wire(tap)
    wire.up(b"GET /x HTTP/1.0\r\n\r\n")
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
    wire.down(head + b'{"id":1,"amount":1}\n{"id":2,"amo')
    assert wire.out["downstream"] == head + b'{"id":1,"amount":100}\n'
    wire.down(b'unt":2}')
    wire.down(Mark.END)
    assert wire.out["downstream"] == head + b'{"id":1,"amount":100}\n{"id":2,"amount":200}'
    assert wire.marks["downstream"] == [Mark.END]
    assert mask(log) == [(1, ("amount",)), (2, ("amount",))]


def test_a_line_beyond_the_bound_passes_and_the_next_is_damaged() -> None:
    wire = tapped(body_bytes=20)
    long = b'{"amount":1,    "more": "than that"}\n'
    wire.up(HEAD + chunk(long[:30]) + chunk(long[30:] + b'{"amount":1}\n') + b"0\r\n\r\n")
    assert dechunked(wire.out["upstream"][len(HEAD) :])[0] == long + b'{"amount":100}\n'
    assert wire.tap.passed == {"too-large": 1}


def test_half_a_line_waits_no_longer_than_the_bound() -> None:
    wire = tapped(within_ms=50)
    wire.up(HEAD + chunk(b'{"amount":1}\n{"am') + b"7\r\noun")
    assert wire.out["upstream"] == HEAD + chunk(b'{"amount":100}\n')
    wire.pass_time(49)
    assert wire.out["upstream"] == HEAD + chunk(b'{"amount":100}\n')
    wire.pass_time(1)
    wire.up(b't":1\r\n' + chunk(b'}\n{"amount":1}\n') + b"0\r\n\r\n")
    body = dechunked(wire.out["upstream"][len(HEAD) :])[0]
    assert body == b'{"amount":100}\n{"amount":1}\n{"amount":100}\n'
    assert wire.tap.passed == {"late": 1}


def test_what_is_no_chunk_passes_as_it_is() -> None:
    wire = tapped()
    wire.up(HEAD + b"zz\r\nwhat")
    wire.up(b"ever\r\n")
    assert wire.out["upstream"] == HEAD + b"zz\r\nwhatever\r\n"
