"""Taps that drop or double records: batch by batch what the library does to the whole, in messages that stay valid."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import corrupt
from harness.proxy.refusal import Refusal
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.redis_asked import redis_tap
from harness.proxy.tap.redis_values import parse
from tests.unit.proxy.redis_support import Wires, array, bulk, command, entries, streams, tap
from tests.unit.proxy.tap_support import Wire, answer, body_of, made, mask, post

DROP: dict[str, object] = {"type": "drop"}
DOUBLE: dict[str, object] = {"type": "duplicate"}
TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}
READ = command(b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"shop", b">")


def _body(form: str, rows: list[dict[str, Any]]) -> bytes:
    if form == "json":
        return json.dumps({"n": 1.10, "rows": rows}).encode()
    if form == "ndjson":
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    lines = [",".join(str(value) for value in row.values()) + "\r\n" for row in rows]
    return ("id,amount\r\n" + "".join(lines)).encode()


def _rows(form: str, body: bytes) -> list[dict[str, Any]]:
    if form == "json":
        document = json.loads(body)
        assert document["n"] == 1.10
        return list(document["rows"])
    if form == "ndjson":
        return [json.loads(line) for line in body.splitlines()]
    return [
        {"id": int(row["id"]) if row["id"].isdigit() else row["id"], "amount": int(row["amount"])}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    ]


def _through(tap: Any, form: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wire = Wire(tap)
    wire.up(post(_body(form, rows), content_type=TYPES[form]))
    return _rows(form, body_of(wire.out["upstream"]))


SPECS = st.sampled_from(
    [
        {"type": "drop", "dose": 0.4},
        {"type": "duplicate", "dose": 0.3},
        {"type": "duplicate", "copies": 3, "dose": 0.5},
        {"type": "drop", "dose": 0.7, "mechanism": {"kind": "where", "column": "amount", "least": 50}},
        {"type": "drop", "dose": 0.5, "mechanism": {"kind": "burst", "length": 4}},
        {"type": "duplicate", "mechanism": {"kind": "batch", "size": 3, "every": 2}},
    ]
)


@settings(deadline=None)
@given(
    form=st.sampled_from(list(TYPES)),
    spec=SPECS,
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    named=st.sampled_from(["id", "no such field"]),
)
def test_batch_by_batch_as_the_library_on_the_whole(
    form: str, spec: dict[str, Any], seed: int, cuts: list[int], named: str
) -> None:
    spec = {**spec, "seed": seed}
    count = sum(cuts)
    amounts = np.arange(count) * 37 % 100
    ids = [f"p-{n}" if n % 3 else n for n in range(count)]
    whole = corrupt.damage({"amount": amounts}, corrupt.parse(spec), ids=ids if named == "id" else None)
    rows = [{"id": ids[n], "amount": int(amounts[n])} for n in range(count)]

    tapped, log = made(
        stream="upstream",
        record="$.rows" if form == "json" else "$",
        id=named,
        format=form,
        corrupt=spec,
        within_ms=60_000,
    )
    out: list[dict[str, Any]] = []
    for start, size in zip(np.cumsum([0, *cuts]), cuts, strict=False):
        out += _through(tapped, form, rows[start : start + size])

    assert out == [rows[n] for n in whole.ordinals]
    assert (out == rows) is (whole.hits == 0)
    expected = [None if named != "id" else ids[n] for n in range(count) if (whole.ordinals == n).sum() != 1]
    assert [told for told, _ in mask(log)] == expected
    assert {columns for _, columns in mask(log)} <= {(spec["type"],)}
    assert tapped.damaging.counters()["records_damaged"] == len(expected)


@pytest.mark.parametrize(
    ("form", "body", "empty"),
    [
        ("json", b'{"n": 1.10, "rows": [{"id": 1}, {"id": 2}]}', b'{"n":1.10,"rows":[]}'),
        ("json", b'{"n": 1.10, "rows": [7, {"id": 1}]}', b'{"n":1.10,"rows":[7]}'),
        ("ndjson", b'{"id": 1}\n\n{"id": 2}\n', b"\n"),
        ("ndjson", b'[{"id": 1},{"id": 2}]\n{"id": 3}', b"[]"),
        ("csv", b'\xef\xbb\xbfid,"a"\r\n1,2\r\n\r\n"2",""\r\n', b'\xef\xbb\xbfid,"a"\r\n\r\n'),
        ("csv", b"id,a\n1,2", b"id,a\n"),
    ],
)
def test_a_message_that_lost_all_its_records_is_a_valid_one(form: str, body: bytes, empty: bytes) -> None:
    tapped, log = made(stream="upstream", record="$.rows[*]" if form == "json" else "$", format=form, corrupt=DROP)
    wire = Wire(tapped)
    wire.up(post(body, content_type=TYPES[form]))
    assert body_of(wire.out["upstream"]) == empty
    assert len(mask(log)) == tapped.damaging.records == tapped.damaging.records_damaged
    assert tapped.passed == {}


@pytest.mark.parametrize(
    ("form", "body", "doubled"),
    [
        ("csv", b'id,a\r\n1,"x, \r\ny"\r\n2,3', b'id,a\r\n1,"x, \r\ny"\r\n1,"x, \r\ny"\r\n2,3\r\n2,3'),
        ("ndjson", b'{"id":  1}\r\n{"id": 2}', b'{"id":  1}\r\n{"id":  1}\r\n{"id": 2}\n{"id": 2}'),
        ("json", b'{"rows":[{"id":  1.10}]}', b'{"rows":[{"id":  1.10},{"id":  1.10}]}'),
    ],
)
def test_a_doubled_record_is_there_twice_to_the_byte(form: str, body: bytes, doubled: bytes) -> None:
    tapped, _ = made(stream="upstream", record="$.rows" if form == "json" else "$", format=form, corrupt=DOUBLE)
    wire = Wire(tapped)
    wire.up(post(body, content_type=TYPES[form]))
    assert body_of(wire.out["upstream"]) == doubled


def test_lines_in_chunks_that_all_go_leave_an_empty_body() -> None:
    tapped, log = made(corrupt=DROP)
    wire = Wire(tapped)
    wire.up(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.down(head + b'b\r\n{"id": 1}\n{\r\n8\r\n"id":2}\n\r\n0\r\n\r\n')
    assert wire.out["downstream"] == head + b"0\r\n\r\n"
    assert [told for told, _ in mask(log)] == [1, 2]


def test_what_goes_is_the_element_of_the_last_list_on_the_way() -> None:
    rows = [["1-0", {"id": "a"}], ["2-0", {"id": "b"}]]
    spec = DROP | {"mechanism": {"kind": "where", "column": "id", "equals": "a"}}
    tapped, log = made(record="$.entries[*][1]", corrupt=spec)
    wire = Wire(tapped)
    wire.up(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
    wire.down(answer(json.dumps({"entries": rows}).encode()))
    assert json.loads(body_of(wire.out["downstream"])) == {"entries": rows[1:]}
    assert mask(log) == [("a", ("drop",))]


def test_a_record_alone_stays_and_is_counted() -> None:
    tapped, log = made(stream="upstream", record="$.payment", corrupt=DROP)
    wire = Wire(tapped)
    wire.up(post(b'{"payment":  {"id": 1}}'))
    assert body_of(wire.out["upstream"]) == b'{"payment":  {"id": 1}}'
    assert (tapped.passed, mask(log), tapped.messages_damaged) == ({"unwritable": 1}, [], 0)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": "json"}, r"record '\$' may be one alone: say where the list is, such as \$\[\*\]"),
        ({"format": "oip"}, "in oip the n-th elements of all tensors make one"),
    ],
)
def test_bodies_without_a_list_of_records_are_refused(fields: dict[str, str], says: str) -> None:
    with pytest.raises(Refusal) as told:
        made(corrupt=DROP, **fields)
    assert re.search(says, told.value.message)


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resp3", [False, True])
@pytest.mark.parametrize(("spec", "times"), [(DROP, 0), (DOUBLE, 2), (DOUBLE | {"copies": 2}, 3)])
def test_entries_of_a_reply_are_dropped_and_doubled(resp3: bool, spec: dict[str, object], times: int) -> None:
    whom = spec | {"mechanism": {"kind": "where", "column": "id", "among": ["t-1", "t-3"]}}
    tapped = tap(spec=whom)
    wires = Wires(tapped)
    wires.say(READ)
    rows = [(f"{n}-0", b'{"id": "t-%d"}' % n) for n in range(4)]
    wires.answer(streams(b"shop", rows, resp3=resp3))
    kept = [row for n, row in enumerate(rows) for _ in range(times if n in (1, 3) else 1)]
    assert wires.answered() == streams(b"shop", kept, resp3=resp3)
    assert [record[:2] for record in tapped.damaging.log._records] == [(f"t-{n}", (spec["type"],)) for n in (1, 3)]


def test_a_reply_that_lost_all_its_entries_is_a_valid_one() -> None:
    wires = Wires(tap(spec=DROP, field=""))
    wires.say(READ)
    wires.answer(streams(b"shop", [("1-0", b"x"), ("2-0", b"y")]))
    assert wires.answered() == array([array([bulk(b"shop"), b"*0\r\n"])])
    parse(wires.answered())


def test_records_in_a_list_within_an_entry_go_from_that_list() -> None:
    tapped = tap(spec=DROP | {"mechanism": {"kind": "where", "column": "id", "equals": 1}})
    wires = Wires(tapped)
    wires.say(READ)
    wires.answer(streams(b"shop", [("1-0", b'[{"id":1},{"id":2}]'), ("2-0", b'{"id":1}')]))
    assert wires.answered() == streams(b"shop", [("1-0", b'[{"id":2}]')])


def test_as_the_whole_table_in_any_batching() -> None:
    spec = {"type": "drop", "dose": 0.5, "seed": 11}
    ids = [f"{n}-0" for n in range(1, 41)]
    whole = corrupt.damage({"x": np.zeros(40)}, corrupt.parse(spec), ids=ids)
    for size in (1, 7, 40):
        wires = Wires(tap(spec=spec, field=""))
        wires.say(*[command(b"XRANGE", b"shop", b"-", b"+")] * -(-40 // size))
        for at in range(0, 40, size):
            wires.answer(entries([(one, b"x") for one in ids[at : at + size]]))
        assert [one for one in ids if bulk(one.encode()) in wires.answered()] == [ids[n] for n in whole.ordinals]


def test_with_an_attribute_between_two_entries_nothing_is_dropped() -> None:
    one = array([bulk(b"1-0"), array([bulk(b"a"), bulk(b"1")])])
    odd = array([one, b"|1\r\n+ttl\r\n:1\r\n" + one])
    reply = b"*2\r\n" + odd.split(b"\r\n", 1)[1]
    tapped = tap(spec=DROP, field="")
    wires = Wires(tapped)
    wires.say(command(b"XRANGE", b"shop", b"-", b"+"))
    wires.answer(reply)
    assert (wires.answered(), tapped.passed) == (reply, {"unwritable": 2})


def test_a_command_is_never_dropped() -> None:
    fields = {"name": "tap", "stream": "upstream", "field": "e", "corrupt": DROP}
    with pytest.raises(Refusal) as told:
        redis_tap(fields, 0, lambda _: MaskLog())
    assert "A command that isn't passed on would have no reply" in told.value.message
    assert redis_tap(fields | {"record": "$[*]"}, 0, lambda _: MaskLog()).chosen.record == "$[*]"


def test_documents_in_a_command_lose_records() -> None:
    wires = Wires(tap("upstream", DOUBLE, record="$[*]"))
    wires.say(command(b"XADD", b"shop", b"*", b"e", b'[{"id":1}]'))
    assert wires.said() == command(b"XADD", b"shop", b"*", b"e", b'[{"id":1},{"id":1}]')
