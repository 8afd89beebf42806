"""A tap on Redis without sockets: what it damages, what it leaves alone to the byte, and how it finds its place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import corrupt
from harness.proxy.tap.redis import RedisTap
from harness.proxy.tap.redis_values import bulk, parse
from tests.unit.proxy.redis_support import SCALE, Wires, array, command, cut, entries, streams, tap, values

READ = command(b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"shop", b">")
HALF = {"type": "missing", "columns": ["amount"], "dose": 0.5, "seed": 3}
NOTHING = SCALE | {"dose": 0}


def _row(n: int, amount: object = 5) -> bytes:
    return json.dumps({"id": f"t-{n}", "amount": amount}).encode()


def _rows(*numbers: int) -> list[tuple[str, bytes]]:
    return [(f"{n}-0", _row(n)) for n in numbers]


def _amounts(reply: bytes) -> list[object]:
    """Of all documents in a reply, in order."""
    found: list[object] = []

    def walk(value: object) -> None:
        for item in value.items:  # type: ignore[attr-defined] # a Value; this is a test
            if item.text.startswith(b"{"):
                found.append(json.loads(item.text)["amount"])
            walk(item)

    walk(parse(reply))
    return found


@pytest.mark.parametrize("resp3", [False, True])
def test_a_read_is_damaged_and_told_by_id(resp3: bool) -> None:
    tapped = tap()
    wires = Wires(tapped)
    wires.say(READ)
    wires.answer(streams(b"shop", _rows(1, 2), resp3=resp3))
    assert _amounts(wires.answered()) == [500, 500]
    assert [record[:2] for record in tapped.damaging.log._records] == [("t-1", ("amount",)), ("t-2", ("amount",))]
    assert (tapped.messages, tapped.messages_damaged, tapped.passed) == (1, 1, {})


REPLIES = {
    "XREAD": (command(b"XREAD", b"STREAMS", b"shop", b"0"), streams(b"shop", _rows(1))),
    "XRANGE": (command(b"XRANGE", b"shop", b"-", b"+"), entries(_rows(1))),
    "XREVRANGE": (command(b"xrevrange", b"shop", b"+", b"-"), entries(_rows(1))),
    "XCLAIM": (command(b"XCLAIM", b"shop", b"g", b"c", b"0", b"1-0"), entries(_rows(1))),
    "XAUTOCLAIM": (
        command(b"XAUTOCLAIM", b"shop", b"g", b"c", b"0", b"0"),
        array([bulk(b"0-0"), entries(_rows(1)), array([bulk(b"3-0")])]),
    ),
}


@pytest.mark.parametrize("name", REPLIES)
def test_every_reading_command(name: str) -> None:
    asked, reply = REPLIES[name]
    wires = Wires(tap(keys="sh*"))
    wires.say(command(b"PING"), asked)
    wires.answer(b"+PONG\r\n" + reply)
    assert wires.answered() == b"+PONG\r\n" + reply.replace(bulk(_row(1)), bulk(b'{"id":"t-1","amount":500}'))
    other = Wires(tap(keys="other"))
    other.say(asked)
    other.answer(reply)
    assert other.answered() == reply


def test_replies_are_paired_in_a_pipeline_with_pushes_between() -> None:
    tapped = tap(keys="shop")
    wires = Wires(tapped)
    wires.say(command(b"XRANGE", b"other", b"-", b"+") + command(b"XRANGE", b"shop", b"-", b"+"))
    wires.answer(array([bulk(b"invalidate"), b"_\r\n"], b">"), entries(_rows(1)), entries(_rows(2)))
    assert wires.down[1] == entries(_rows(1))
    assert _amounts(bytes(wires.down[2])) == [500]  # type: ignore[arg-type] # it is bytes
    assert tapped.passed == {}


def test_a_transaction_with_a_command_that_redis_refused_to_queue() -> None:
    wires = Wires(tap(keys="shop"))
    wires.say(command(b"MULTI"), command(b"WATCH", b"x"), command(b"INCR", b"n"))
    wires.say(command(b"XRANGE", b"shop", b"-", b"+"), command(b"EXEC"), command(b"XRANGE", b"other", b"-", b"+"))
    wires.answer(b"+OK\r\n", b"-ERR WATCH inside MULTI is not allowed\r\n", b"+QUEUED\r\n+QUEUED\r\n")
    wires.answer(array([b":1\r\n", entries(_rows(1))]), entries(_rows(2)))
    assert _amounts(bytes(wires.down[-2])) == [500]  # type: ignore[arg-type] # it is bytes
    assert wires.down[-1] == entries(_rows(2))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((b"SUBSCRIBE", b"c"), "subscribed"),
        ((b"MONITOR",), "monitor"),
        ((b"PSYNC", b"?", b"-1"), "replication"),
        ((b"CLIENT", b"reply", b"OFF"), "no-replies"),
    ],
)
def test_where_replies_cannot_be_counted_all_passes_from_there(words: tuple[bytes, ...], reason: str) -> None:
    tapped = tap()
    wires = Wires(tapped)
    wires.say(command(*words))
    wires.answer(b"junk", streams(b"shop", _rows(1)))
    wires.say(READ)
    assert wires.answered() == b"junk" + streams(b"shop", _rows(1))
    assert wires.said() == command(*words) + READ
    assert tapped.passed == {reason: 1}


def test_what_is_no_redis_passes_and_is_counted_once() -> None:
    tapped = tap()
    wires = Wires(tapped)
    wires.answer(b"HTTP/1.1 200 OK\r\n\r\n", b"more")
    assert wires.answered() == b"HTTP/1.1 200 OK\r\n\r\nmore"
    assert tapped.passed == {"not-redis": 1}


def test_the_entries_own_fields_are_a_record() -> None:
    tapped = tap(field="", id_key="id")
    wires = Wires(tapped)
    fields = [bulk(word) for word in (b"id", b"t-1", b"amount", b"2.5", b"zip", b"007", b"raw", b"\xff")]
    reply = array([array([bulk(b"shop"), array([array([bulk(b"1-0"), array(fields)])])])])
    wires.say(READ)
    wires.answer(reply)
    assert wires.answered() == reply.replace(bulk(b"2.5"), bulk(b"250.0"))
    assert [record[0] for record in tapped.damaging.log._records] == ["t-1"]


def test_a_record_without_an_id_is_drawn_by_its_entrys() -> None:
    def damaged() -> list[object]:
        wires = Wires(tap(spec=HALF, id_key="nothing"))
        wires.say(READ * len(batches))
        for batch in batches:
            wires.answer(streams(b"shop", _rows(*batch)))
        return [amount for item in wires.down for amount in _amounts(bytes(item))]  # type: ignore[arg-type] # bytes

    batches = [range(40)]
    together = damaged()
    batches = [range(7), range(7, 40)]
    assert damaged() == together
    assert 8 < together.count(None) < 32


def test_as_the_whole_table_at_once() -> None:
    wires = Wires(tap(spec=HALF))
    wires.say(READ * 3)
    for batch in (range(10), range(10, 11), range(11, 60)):
        wires.answer(streams(b"shop", _rows(*batch)))
    got = [amount for item in wires.down for amount in _amounts(bytes(item))]  # type: ignore[arg-type] # it is bytes
    whole = corrupt.damage(
        {"amount": np.array([5] * 60, dtype=object)}, corrupt.parse(HALF), ids=[f"t-{n}" for n in range(60)]
    )
    assert got == whole.columns["amount"].tolist()


def test_what_cannot_be_read_passes_and_its_neighbours_do_not() -> None:
    tapped = tap()
    wires = Wires(tapped)
    rows = [("1-0", b"{broken"), ("2-0", _row(2)), ("3-0", b"[]"), ("4-0", b"\xff")]
    wires.say(READ)
    wires.answer(streams(b"shop", rows))
    assert wires.answered() == streams(b"shop", rows).replace(bulk(_row(2)), bulk(b'{"id":"t-2","amount":500}'))
    assert tapped.passed == {"not-json": 2, "no-records": 1}


def test_a_reply_beyond_the_bound_passes_and_the_next_is_damaged() -> None:
    tapped = tap(body_bytes=2000)
    wires = Wires(tapped)
    large = streams(b"shop", [(f"{n}-0", _row(n)) for n in range(100)])
    wires.say(READ * 2)
    for n in range(0, len(large), 100):
        wires.answer(large[n : n + 100])
        assert wires.stages[1] is not None
        assert wires.stages[1].held <= 2100
    wires.answer(streams(b"shop", _rows(1)))
    assert wires.answered().startswith(large)
    assert _amounts(wires.answered()[len(large) :]) == [500]
    assert tapped.passed == {"too-large": 1}


def test_a_reply_that_comes_too_slowly_passes() -> None:
    tapped = tap()
    wires = Wires(tapped)
    reply = streams(b"shop", _rows(1))
    wires.say(READ * 2)
    wires.answer(reply[:20])
    assert wires.answered() == b""
    wires.fire()
    assert wires.answered() == reply[:20]
    wires.answer(reply[20:] + streams(b"shop", _rows(2)))
    assert wires.answered()[: len(reply)] == reply
    assert _amounts(wires.answered()[len(reply) :]) == [500]
    wires.fire()
    assert tapped.passed == {"late": 1}


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_removing_the_tap_gives_on_what_was_held(stream: str) -> None:
    wires = Wires(tap(stream))
    add = command(b"XADD", b"shop", b"*", b"e", _row(1))
    wires.say(add[:-3])
    wires.answer(streams(b"shop", _rows(1))[:-3])
    for stage in wires.stages:
        if stage is not None:
            stage.detach()
    assert wires.said() == add[:-3]
    assert wires.answered() == streams(b"shop", _rows(1))[:-3]


# upstream


@pytest.mark.parametrize(
    "options",
    [
        (b"*",),
        (b"7-0",),
        (b"NOMKSTREAM", b"MAXLEN", b"~", b"1000", b"LIMIT", b"10", b"*"),
        (b"minid", b"5-0", b"5-*"),
        (b"KEEPREF", b"MAXLEN", b"=", b"9", b"*"),
    ],
)
def test_an_added_entry_is_damaged(options: tuple[bytes, ...]) -> None:
    tapped = tap("upstream", keys="shop")
    wires = Wires(tapped)
    other = command(b"XADD", b"other", *options, b"e", _row(1))
    wires.say(command(b"PING") + other + command(b"xadd", b"shop", *options, b"x", b"1", b"e", _row(1)))
    damaged = command(b"xadd", b"shop", *options, b"x", b"1", b"e", b'{"id":"t-1","amount":500}')
    assert wires.said() == command(b"PING") + other + damaged
    assert tapped.passed == {}


def test_an_option_nobody_knows_passes() -> None:
    tapped = tap("upstream")
    wires = Wires(tapped)
    add = command(b"XADD", b"shop", b"NEWOPTION", b"*", b"e", _row(1))
    wires.say(add, b"XADD shop * e 1\r\n")
    assert wires.said() == add + b"XADD shop * e 1\r\n"
    assert tapped.passed == {"unknown-options": 1, "inline": 1}


def test_the_arguments_of_a_script_where_asked_for() -> None:
    append = command(b"EVALSHA", b"sha", b"2", b"shop", b"last", b"30000", b"e", _row(1), _row(2))
    wires = Wires(tap("upstream", keys="shop", commands=("XADD", "EVALSHA")))
    wires.say(append)
    assert [json.loads(word.text)["amount"] for word in parse(wires.said()).items[-2:]] == [500, 500]
    assert wires.said().startswith(append[: append.index(_row(1)) - 5])
    for untouched in (tap("upstream", keys="shop"), tap("upstream", keys="other", commands=("EVALSHA",))):
        wires = Wires(untouched)
        wires.say(append)
        assert wires.said() == append


# taps that come late


def test_a_read_that_was_waiting_when_the_tap_came_is_damaged() -> None:
    tapped = tap(keys="shop")
    wires = Wires(tapped, fresh=False)
    wires.answer(streams(b"shop", _rows(1)))
    wires.say(command(b"XACK", b"shop", b"g", b"1-0"))
    wires.answer(b":1\r\n")
    wires.say(command(b"XRANGE", b"shop", b"-", b"+"))
    wires.answer(entries(_rows(2)))
    assert [_amounts(bytes(wires.down[n])) for n in (0, 2)] == [[500], [500]]  # type: ignore[arg-type] # bytes
    assert tapped.passed == {}


def test_a_reply_that_was_half_through_when_the_tap_came_passes() -> None:
    reply = streams(b"shop", _rows(1, 2))
    for n in range(1, len(reply)):
        wires = Wires(tap(), fresh=False)
        wires.answer(reply[n:])
        assert wires.answered() == reply[n:]
        wires.say(READ)
        wires.answer(streams(b"shop", _rows(3)))
        assert _amounts(wires.answered()[len(reply) - n :]) == [500], n


def test_a_command_that_was_half_through_when_the_tap_came_passes() -> None:
    add = command(b"XADD", b"shop", b"*", b"e", _row(1))
    for n in range(1, len(add)):
        wires = Wires(tap("upstream"), fresh=False)
        wires.say(add[n:], add)
        assert wires.said() == add[n:] + add.replace(bulk(_row(1)), bulk(b'{"id":"t-1","amount":500}')), n


def test_pairs_that_were_shifted_when_the_tap_came_fit_again() -> None:
    """Two commands were on their way; nothing but entries of the right key is ever changed."""
    tapped = tap(keys="shop")
    wires = Wires(tapped, fresh=False)
    wires.say(command(b"XRANGE", b"other", b"-", b"+"))
    wires.answer(b"+one\r\n", streams(b"shop", _rows(1)), entries(_rows(2)))
    assert wires.down[2] == entries(_rows(2))
    assert _amounts(bytes(wires.down[1])) == [500]  # type: ignore[arg-type] # it is bytes
    wires.say(command(b"XRANGE", b"shop", b"-", b"+"))
    wires.answer(entries(_rows(3)))
    assert _amounts(bytes(wires.down[3])) == [500]  # type: ignore[arg-type] # it is bytes


# nothing is lost


def _conversations(draw: st.DrawFn) -> tuple[bytes, bytes]:
    asked = st.sampled_from([READ, command(b"GET", b"k"), command(b"XRANGE", b"shop", b"-", b"+"), b"PING\r\n"])
    said = b"".join(draw(st.lists(asked, max_size=5)))
    replies = st.one_of(values(), st.just(streams(b"shop", _rows(1, 2))), st.just(entries(_rows(3))))
    return said, b"".join(draw(st.lists(replies, max_size=6)))


conversations = st.composite(_conversations)()


def _passed(tapped: RedisTap, said: list[bytes], answered: list[bytes], *, fresh: bool) -> tuple[bytes, bytes]:
    wires = Wires(tapped, fresh=fresh)
    wires.say(*said)
    wires.answer(*answered)
    wires.end()
    return wires.said(), wires.answered()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@given(conversations, st.booleans(), st.integers(0, 60), st.data())
def test_at_dose_zero_every_byte_arrives_in_order(
    stream: str, talk: tuple[bytes, bytes], fresh: bool, missed: int, data: st.DataObject
) -> None:
    talk = talk if fresh else (talk[0][missed:], talk[1][missed:])
    tapped = tap(stream, NOTHING, commands=("XADD", "EVALSHA"), body_bytes=data.draw(st.sampled_from([1 << 20, 50])))
    assert _passed(tapped, data.draw(cut(talk[0])), data.draw(cut(talk[1])), fresh=fresh) == talk


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@given(st.binary(max_size=300), st.booleans(), st.data())
def test_junk_arrives_as_it_came(stream: str, junk: bytes, fresh: bool, data: st.DataObject) -> None:
    pieces = data.draw(cut(junk))
    assert _passed(tap(stream), pieces, pieces, fresh=fresh) == (junk, junk)


@given(st.data())
def test_however_it_is_cut_the_damage_is_the_same(data: st.DataObject) -> None:
    said = READ + command(b"GET", b"k") + READ
    answered = streams(b"shop", _rows(*range(9))) + bulk(b"x" * 50) + streams(b"shop", _rows(*range(9, 12)))
    whole = _passed(tap(spec=HALF), [said], [answered], fresh=True)
    pieces = data.draw(cut(said)), data.draw(cut(answered))
    assert _passed(tap(spec=HALF), *pieces, fresh=True) == whole
    assert whole[1] != answered
