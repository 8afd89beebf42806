"""Files whose records are damaged while they stream: as the whole at once, and what can't be read passes to the byte."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import corrupt
from harness.proxy.folder.rewriting import Plan, Rewriting
from harness.proxy.tap import recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damage import damage_of
from harness.proxy.tap.formats import FORMATS, Wanted
from tests.unit.proxy.redis_support import cut

HALF = {"type": "missing", "columns": ["amount"], "dose": 0.5, "seed": 3}
SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}


def rewriting(
    form: str, spec: dict[str, object] = SCALE, *, batch: int = 7, body_bytes: int = 1 << 20, ordinal: int = 0
) -> Rewriting:
    columns, damage = damage_of(spec)
    wanted = Wanted(recordpath.parse("$"), "id", columns)
    bounds = Bounds(batch=batch, body_bytes=body_bytes)
    return Rewriting(Plan(0, FORMATS[form], wanted, damage, bounds, ordinal), FORMATS[form])


def through(made: Rewriting, *pieces: bytes) -> bytes:
    return b"".join(made.feed(piece) for piece in pieces) + made.end()


def csv_of(rows: list[list[object]], *, ends: str = "\n") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=ends).writerows(rows)
    return out.getvalue().encode()


def amounts(form: str, body: bytes) -> list[object]:
    if form == "csv":
        found = [row["amount"] for row in csv.DictReader(io.StringIO(body.decode(), newline=""))]
        return [int(amount) if amount else None for amount in found]
    return [json.loads(line)["amount"] for line in body.splitlines() if line.strip()]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)
keys = st.none() | st.integers(0, 50) | st.sampled_from(["a", "b-2", 'say "x"'])
rows = st.lists(st.tuples(keys, texts), max_size=40)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@given(rows, st.integers(1, 9), st.integers(0, 100), st.data())
def test_in_any_pieces_as_the_whole_table_at_once(
    form: str, ends: str, rows: list[tuple[object, str]], batch: int, ordinal: int, data: st.DataObject
) -> None:
    if form == "csv":
        body = csv_of([["id", "note", "amount"], *([key, note, 5] for key, note in rows)], ends=ends)
    else:
        body = "".join(json.dumps({"id": key, "note": note, "amount": 5}) + ends for key, note in rows).encode()
    made = rewriting(form, HALF, batch=batch, ordinal=ordinal)
    got = through(made, *data.draw(cut(body)))
    amount = np.array([5] * len(rows), dtype=object)
    ids = [key for key, _ in rows]
    whole = corrupt.damage({"amount": amount}, corrupt.parse(HALF), ids=ids, first_ordinal=ordinal)
    assert amounts(form, got) == whole.columns["amount"].tolist()
    assert made.damaging.records == ordinal + len(rows)
    assert made.damaging.records_damaged == int(whole.records.sum())
    assert made.passed == {}


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@given(st.binary(max_size=400), st.integers(1, 5), st.sampled_from([10, 1000]), st.data())
def test_at_dose_zero_every_byte_stays(form: str, body: bytes, batch: int, bound: int, data: st.DataObject) -> None:
    made = rewriting(form, SCALE | {"dose": 0}, batch=batch, body_bytes=bound)
    assert through(made, *data.draw(cut(body))) == body


@given(
    st.lists(st.sampled_from([b"a,5\n", b'b,"5"\r\n', b'"c\n",5\n', b"\xff,5\n", b'd"x",5\n', b"\n", b"e\n"])),
    st.data(),
)
def test_a_broken_row_passes_and_its_neighbours_are_damaged(parts: list[bytes], data: st.DataObject) -> None:
    made = rewriting("csv", batch=100)
    body = b"id,amount\n" + b"".join(parts)
    got = through(made, *data.draw(cut(body)))
    damaged = {
        b"a,5\n": b"a,500\n",
        b'b,"5"\r\n': b'b,"500"\r\n',
        b'"c\n",5\n': b'"c\n",500\n',
        b'd"x",5\n': b'd"x",500\n',
    }
    assert got == b"id,amount\n" + b"".join(damaged.get(part, part) for part in parts)
    assert made.passed.get("not-csv", 0) == parts.count(b"\xff,5\n")


def test_a_broken_line_of_json_passes_and_is_counted() -> None:
    made = rewriting("ndjson")
    lines = [b'{"id":1,"amount":5}', b'{"id":2,', b"\xff\xfe", b"", b'{"id":3,"amount":5}', b"[]", b"{broken"]
    got = through(made, b"\n".join(lines))
    assert got == b"\n".join([b'{"id":1,"amount":500}', *lines[1:4], b'{"id":3,"amount":500}', *lines[5:]])
    assert sum(made.passed.values()) == 3


def test_a_line_beyond_its_bound_passes_and_the_next_is_damaged() -> None:
    long = b'{"id":1,"amount":5,"note":"' + b"x" * 500 + b'"}\n'
    for pieces in ([long], [long[n : n + 50] for n in range(0, len(long), 50)]):
        made = rewriting("ndjson", body_bytes=100)
        assert through(made, *pieces, b'{"id":2,"amount":5}\n') == long + b'{"id":2,"amount":500}\n'
        assert made.passed == {"too-large": 1}


def test_a_quote_that_is_never_closed_lets_the_rest_pass() -> None:
    body = b"id,amount\na,5\n" + b'"b,5\n' + b"c,5\n" * 100
    made = rewriting("csv", body_bytes=100)
    assert through(made, *[body[n : n + 40] for n in range(0, len(body), 40)]) == body.replace(b"a,5", b"a,500")
    assert made.passed == {"too-large": 1}


def test_a_tap_that_goes_lets_the_rest_pass() -> None:
    made = rewriting("ndjson")
    line = b'{"id":1,"amount":5}\n'
    out = made.feed(line + line[:5])
    out += made.let_go() + made.feed(line[5:] + line) + made.end()
    assert out == b'{"id":1,"amount":500}\n' + line * 2


def test_what_is_held_of_a_long_file_is_one_record() -> None:
    made = rewriting("csv", batch=1000)
    made.feed(b"id,amount\n")
    for n in range(2000):
        made.feed(b"%d,5\n%d" % (n, n))
        made.feed(b",6\n")
        assert len(made._buffer) == 0
    assert made.damaging.records == 4000
