"""RESP: where values end, however the stream is cut; what they hold; what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.tap.redis_values import (
    DEPTH_MAX,
    HEAD_BYTES_MAX,
    LINE_BYTES_MAX,
    CommandScanner,
    ReplyScanner,
    RespError,
    bulk,
    parse,
    with_replaced,
)
from tests.unit.proxy.redis_support import command, cut, values


def _ends(scanner: ReplyScanner | CommandScanner, pieces: list[bytes]) -> list[int]:
    """Where in the whole stream values ended."""
    ends: list[int] = []
    base = 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            at = scanner.feed(piece, at)
            if scanner.between:
                ends.append(base + at)
        base += len(piece)
    return ends


@given(st.lists(values(), min_size=1, max_size=6), st.data())
def test_values_end_where_they_end_however_the_stream_is_cut(sent: list[bytes], data: st.DataObject) -> None:
    expected = [sum(map(len, sent[: n + 1])) for n in range(len(sent))]
    assert _ends(ReplyScanner(), data.draw(cut(b"".join(sent)))) == expected


@given(values())
def test_a_value_is_parsed_to_its_last_byte(sent: bytes) -> None:
    assert with_replaced(sent, []) == sent
    parsed = parse(sent)
    assert parsed.end == len(sent)


@given(st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=5), min_size=1, max_size=5), st.data())
def test_commands_end_where_they_end_and_tell_their_heads(sent: list[list[bytes]], data: st.DataObject) -> None:
    scanner = CommandScanner()
    heads = []
    for piece in data.draw(cut(b"".join(command(*words) for words in sent))):
        at = 0
        while at < len(piece):
            at = scanner.feed(piece, at)
            if scanner.named:
                assert scanner.heads == sent[len(heads)][:2], "named before its heads had come"
            if scanner.between:
                heads.append(scanner.heads)
    assert heads == [words[:2] for words in sent]


def test_inline_commands_and_empty_ones() -> None:
    scanner = CommandScanner()
    assert _ends(scanner, [b"PING\r\n\r\nSET a b\n*0\r\n*-1\r\n"]) == [6, 8, 16, 20, 25]
    scanner.feed(b"set key value\r\n", 0)
    assert scanner.heads == [b"set", b"key"]
    assert scanner.inline


def test_a_head_beyond_its_bound_equals_nothing() -> None:
    scanner = CommandScanner()
    scanner.feed(command(b"XADD", b"k" * 5000), 0)
    assert scanner.heads[1] == b"k" * (HEAD_BYTES_MAX + 1)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"$x\r\n",
        b"$3\r\nabcd\r\n",
        b"*1\n",
        b"*9999999999999\r\n",
        b"$?\r\n",
        b"+" + b"x" * LINE_BYTES_MAX,
        b"*1\r\n" * (DEPTH_MAX + 1),
    ],
)
def test_what_is_no_value_is_refused(sent: bytes) -> None:
    scanner = ReplyScanner()
    with pytest.raises(RespError):
        scanner.feed(sent + b"\r\n", 0)


def test_an_attribute_belongs_to_the_value_behind_it() -> None:
    sent = b"|1\r\n+ttl\r\n:5\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n"
    assert _ends(ReplyScanner(), [sent + b"+OK\r\n"]) == [len(sent), len(sent) + 5]
    assert [item.text for item in parse(sent).items] == [b"1", b"2"]


def test_replaced_texts_have_their_new_lengths_and_all_else_its_bytes() -> None:
    sent = b"*3\r\n$1\r\na\r\n:7\r\n=7\r\ntxt:abc\r\n"
    first, _, last = parse(sent).items
    assert (
        with_replaced(sent, [(last, b""), (first, b"\xc3\xa9t")])
        == b"*3\r\n" + bulk(b"\xc3\xa9t") + b":7\r\n$0\r\n\r\n"
    )


def test_a_long_value_in_single_bytes_is_looked_at_once() -> None:
    class Counting(ReplyScanner):
        looked = 0

        def _take(self, line: bytes) -> None:
            self.looked += len(line)
            super()._take(line)

    scanner = Counting()
    sent = b"+" + b"x" * 30_000 + b"\r\n"
    for n in range(len(sent)):
        scanner.feed(sent[n : n + 1], 0)
    assert scanner.looked == len(sent)
    assert scanner.between
