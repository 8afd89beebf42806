"""Formats of bodies: what is read, what is written back, and that nothing else changes."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.tap import recordpath
from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats import FORMATS, Format, Parsed, Unread, Wanted, format_of
from tests.unit.proxy.tap_support import Wire, body_of, made, mask, post

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
NULLS = {"type": "missing", "columns": ["amount"]}


def read(form: str, body: bytes, *, columns: tuple[str, ...] = ("a",), path: str = "$", id: str = "id") -> Parsed:
    return FORMATS[form].parse(body, Wanted(recordpath.parse(path), id, columns))


def wrote(parsed: Parsed, *values: dict[str, object]) -> tuple[bytes, list[dict[str, object]]]:
    """The body after the first records got these values ({} for none), and what was really written."""
    hits = [Hit(n, parsed.ids[n], given) for n, given in enumerate(values) if given]
    body, written = parsed.write(hits)
    return body, [hit.values for hit in written]


# --- by media type ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("application/json", "json"),
        ("application/problem+json; charset=utf-8", "json"),
        ("", "json"),
        ("application/x-ndjson", "ndjson"),
        ("application/jsonl", "ndjson"),
        ("Text/CSV; header=present", "csv"),
        ("text/plain", None),
        ("image/png", None),
    ],
)
def test_a_media_type_has_its_format(content_type: str, name: str | None) -> None:
    found: Format | None = format_of(content_type)
    assert (found.name if found else None) == name


# --- JSON -------------------------------------------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
json_rows = st.lists(
    st.one_of(json_values, st.dictionaries(st.sampled_from(["id", "a", "b", "ü"]), json_values, max_size=4)), max_size=6
)
STEPS: list[tuple[str, Any]] = [
    ("$", lambda rows: rows),
    ("$.e", lambda rows: {"x": 1, "e": rows}),
    ("$.e[*][1]", lambda rows: {"e": [[7, row] for row in rows]}),
    ("$[1].e", lambda rows: [0, {"e": rows}, "x"]),
]


@given(json_rows, st.sampled_from(STEPS), st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_and_written_as_the_standard_library_does(
    rows: list[Any], step: tuple[str, Any], indent: int | None, ascii: bool
) -> None:
    path, wrap = step
    body = json.dumps(wrap(rows), indent=indent, ensure_ascii=ascii).encode(errors="surrogatepass")
    parsed = read("json", body, path=path)
    objects = [row for row in rows if isinstance(row, dict)] if path != "$.e[*][1]" else list(_flat(rows))
    assert parsed.rows == [{"a": row["a"]} if "a" in row else {} for row in objects]
    assert parsed.ids == [row.get("id") for row in objects]
    for row in objects:
        row["a"] = "new"
    text, written = wrote(parsed, *[{"a": "new"} for _ in objects])
    assert json.loads(text) == wrap(rows)
    assert len(written) == len(objects)


def _flat(rows: list[Any]) -> Any:
    for row in rows:
        yield from (each for each in (row if isinstance(row, list) else [row]) if isinstance(each, dict))


def test_what_was_not_hit_keeps_its_text() -> None:
    body = (
        b' [{"id":1,"a":1.10,"b":1e5,"c":0.1000000000000000055511151231257827},  {"a" : 123456789012345678901.50} ]\n'
    )
    text, _ = wrote(read("json", body), {"a": 2})
    assert text == b'[{"id":1,"a":2,"b":1e5,"c":0.1000000000000000055511151231257827},{"a" : 123456789012345678901.50}]'


def test_json_cannot_hold_infinity_but_the_rest_of_the_record_is_damaged() -> None:
    parsed = read("json", b'{"a":1,"b":2}', columns=("a", "b"))
    assert wrote(parsed, {"a": math.inf, "b": 3}) == (b'{"a":1,"b":3}', [{"b": 3}])
    assert wrote(read("json", b'{"a":1}'), {"a": math.nan})[1] == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b'{"a":NaN}', b'{"a":1} x', b"\xff", b"[" * 9999, b'{"a":"\xff"}']
)
@pytest.mark.parametrize("path", ["$", "$.e"])
def test_what_is_no_json_is_told(body: bytes, path: str) -> None:
    if (body, path) == (b'{"a":"\xff"}', "$.e"):
        return  # a text that nobody asked for isn't read
    with pytest.raises(Unread, match="not-json"):
        read("json", body, path=path)


# --- JSON lines -------------------------------------------------------------------------------------------------------


def test_lines_that_were_not_hit_stay_byte_for_byte() -> None:
    body = b'{"id": 1,  "a": 1.10}\r\n\n  {"a" :2}\n[{"a": 3},{"a":4}]\nno json\n"text"\n{"a":  5}'
    parsed = read("ndjson", body)
    assert [row["a"] for row in parsed.rows] == [1.1, 2, 3, 4, 5]
    assert parsed.unread == 1
    text, _ = wrote(parsed, {"a": 0}, {}, {}, {"a": 9})
    assert text == b'{"id":1,"a":0}\r\n\n  {"a" :2}\n[{"a": 3},{"a":9}]\nno json\n"text"\n{"a":  5}'


def test_two_records_of_one_line_are_both_hit() -> None:
    assert wrote(read("ndjson", b'[{"a":1},{"a":2}]\n'), {"a": 3}, {"a": 4})[0] == b'[{"a":3},{"a":4}]\n'


def test_only_lines_that_are_no_json_are_no_json() -> None:
    with pytest.raises(Unread, match="not-json"):
        read("ndjson", b"a\nb\n")


# --- CSV --------------------------------------------------------------------------------------------------------------

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6) | st.sampled_from(
    ["1", '"', ",", "\r\n"]
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), max_size=5))


@given(tables, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]), st.data())
def test_csv_changes_only_the_cells_that_were_hit(
    rows: list[list[str]], quoting: Any, ends: str, data: st.DataObject
) -> None:
    width = len(rows[0]) if rows else 1
    header = ["id", "a", "b", "c"][:width]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator=ends).writerows([header, *rows])
    body = out.getvalue().encode()
    parsed = read("csv", body, columns=("a", "b", "id"))
    assert wrote(parsed)[0] == body
    assert len(parsed.rows) == len(rows)
    column = data.draw(st.sampled_from(header[:3]))
    at = header.index(column)
    hit = data.draw(st.sets(st.integers(0, len(rows) - 1)) if rows else st.just(set()))
    new = data.draw(cells | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
    text, written = wrote(parsed, *[{column: new} if n in hit else {} for n in range(len(rows))])
    assert len(written) == len(hit)
    expected = [
        [*row[:at], "" if new is None else str(new), *row[at + 1 :]] if n in hit else row for n, row in enumerate(rows)
    ]
    assert list(csv.reader(io.StringIO(text.decode(), newline=""))) == [header, *expected]


def test_rows_and_cells_that_were_not_hit_keep_their_quotes() -> None:
    body = b'\xef\xbb\xbfid,"a",b\r\n1,"5","x, ""y"""\r\n\r\n"2",  6,"z"\r\n3,7,\n4'
    parsed = read("csv", body)
    assert parsed.rows == [{"a": 5}, {"a": "  6"}, {"a": 7}, {}]
    assert parsed.ids == [1, 2, 3, 4]
    text, written = wrote(parsed, {"a": 500}, {"a": 'q"'}, {"a": None}, {"a": 1})
    assert text == b'\xef\xbb\xbfid,"a",b\r\n1,"500","x, ""y"""\r\n\r\n"2","q""","z"\r\n3,,\n4'
    assert written == [{"a": 500}, {"a": 'q"'}, {"a": None}]


def test_a_number_is_what_json_would_call_one() -> None:
    texts = ["7", "-7", "007", "1.50", "1e3", "+7", "0x1", "1_000", "NaN", "", " 7", "9" * 400]
    parsed = read("csv", b"a\n" + "".join(f'"{text}"\n' for text in texts).encode())
    assert [row["a"] for row in parsed.rows] == [
        7,
        -7,
        "007",
        1.5,
        1000.0,
        "+7",
        "0x1",
        "1_000",
        "NaN",
        None,
        " 7",
        "9" * 400,
    ]


def test_an_only_cell_that_goes_missing_leaves_its_record() -> None:
    assert wrote(read("csv", b"a\n1\n2\n"), {"a": None})[0] == b'a\n""\n2\n'


@pytest.mark.parametrize("body", [b"a\n\xff\n", b'a\n"open', b'a\n"x"y\n'])
def test_what_is_no_csv_is_told(body: bytes) -> None:
    with pytest.raises(Unread, match="not-csv"):
        read("csv", body)


# --- Open Inference Protocol ------------------------------------------------------------------------------------------


def tensor(name: str, shape: list[int], datatype: str, data: object) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def inference(*tensors: dict[str, object], side: str = "inputs", **rest: object) -> bytes:
    return json.dumps({**rest, side: list(tensors)}).encode()


def test_tensors_are_columns_flat_or_nested() -> None:
    body = inference(
        tensor("a", [3], "INT64", [1, 2, 3]),
        tensor("b", [3, 1], "FP32", [[1.5], [2.5], [3.5]]),
        tensor("c", [3, 2], "INT64", [1, 2, 3, 4, 5, 6]),
        tensor("d", [3, 2], "BYTES", [["u", "v"], ["w", "x"], ["y", "z"]]),
        tensor("once", [1], "INT64", [7]),
        id="r-1",
    )
    parsed = read("oip", body, columns=("a", "b", "c[1]", "d[0]", "once", "c", "c[2]"))
    assert parsed.rows[1] == {"a": 2, "b": 2.5, "c[1]": 4, "d[0]": "w"}
    assert parsed.ids == ["r-1#0", "r-1#1", "r-1#2"]
    text, _ = wrote(parsed, {}, {"a": 20, "b": 25.0, "c[1]": 40, "d[0]": "W"})
    damaged = json.loads(body)
    damaged["inputs"][0]["data"][1] = 20
    damaged["inputs"][1]["data"][1][0] = 25.0
    damaged["inputs"][2]["data"][3] = 40
    damaged["inputs"][3]["data"][1][0] = "W"
    assert json.loads(text) == damaged


def test_the_id_of_a_record_may_be_a_tensor() -> None:
    body = inference(tensor("key", [2], "BYTES", ["x", "y"]), tensor("a", [2], "INT64", [1, 2]), side="outputs")
    assert read("oip", body, id="key").ids == ["x", "y"]
    assert read("oip", body).ids == [None, None]


@pytest.mark.parametrize(
    ("datatype", "old", "new", "written"),
    [
        ("INT64", 1, 2.6, 3),
        ("INT64", 1, 1.2, None),
        ("INT8", 1, 128, None),
        ("INT8", 1, -128, -128),
        ("UINT8", 1, -1, None),
        ("UINT64", 1, 2**64 - 1, 2**64 - 1),
        ("INT64", 1, None, None),
        ("FP32", 1.5, None, None),
        ("FP64", 1.5, math.nan, None),
        ("FP32", 1.5, 1e39, None),
        ("FP64", 1.5, 1e39, 1e39),
        ("FP16", 1.5, 70000.0, None),
        ("BOOL", True, False, False),
        ("BOOL", True, 0, None),
        ("BYTES", "a", "b", "b"),
        ("BYTES", "a", None, None),
        ("ODD", 1, 2, None),
    ],
)
def test_a_value_keeps_its_datatype_or_passes(datatype: str, old: object, new: object, written: object) -> None:
    body = inference(tensor("a", [1], datatype, [old]))
    text, values = wrote(read("oip", body), {"a": new})
    assert values == ([] if written is None else [{"a": written}])
    got = json.loads(text)["inputs"][0]["data"]
    assert got == [old if written is None else written]
    assert type(got[0]) is type(old)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"{",
        inference(tensor("a", [2], "INT64", [1])),
        inference(tensor("a", [2, 2], "INT64", [[1], [2, 3, 4]])),
        inference(tensor("a", [-1], "INT64", [])),
        b'{"inputs":[3]}',
        b'{"inputs":[{"name":[],"shape":[1],"datatype":"INT64","data":[1]}]}',
    ],
)
def test_what_is_no_inference_is_told(body: bytes) -> None:
    with pytest.raises(Unread, match="not-oip"):
        read("oip", body)


def test_tensors_without_rows_or_data_stay() -> None:
    body = inference(
        {"name": "a", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}},
        tensor("scalar", [], "INT64", [1]),
    )
    assert read("oip", body, columns=("a", "scalar")).rows == []


# --- all formats, through a tap ---------------------------------------------------------------------------------------

Row = dict[str, Any]
rows_of = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(-(10**6), 10**6)),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[0],
).map(lambda rows: [{"id": key, "amount": amount} for key, amount in rows])


def as_json(rows: list[Row]) -> bytes:
    return json.dumps(rows).encode()


def as_ndjson(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_csv(rows: list[Row]) -> bytes:
    return b"id,amount\n" + b"".join(f"{row['id']},{row['amount']}\n".encode() for row in rows)


def as_oip(rows: list[Row]) -> bytes:
    columns = [tensor(name, [len(rows)], "INT64", [row[name] for row in rows]) for name in ("id", "amount")]
    return inference(*columns, id="r")


def from_csv(body: bytes) -> list[Row]:
    return [{name: int(text) for name, text in row.items()} for row in csv.DictReader(io.StringIO(body.decode()))]


def from_oip(body: bytes) -> list[Row]:
    data = {each["name"]: each["data"] for each in json.loads(body)["inputs"]}
    return [{"id": key, "amount": amount} for key, amount in zip(data["id"], data["amount"], strict=True)]


FORMS: dict[str, tuple[Any, Any]] = {
    "json": (as_json, json.loads),
    "ndjson": (as_ndjson, lambda body: [json.loads(line) for line in body.splitlines()]),
    "csv": (as_csv, from_csv),
    "oip": (as_oip, from_oip),
}


def through(form: str, parts: list[list[Row]], corrupt: dict[str, Any]) -> tuple[list[Row], set[Any]]:
    """The rows as they arrive when each part is a message, and the mask."""
    encode, decode = FORMS[form]
    tap, log = made(stream="upstream", format=form, corrupt=corrupt)
    got: list[Row] = []
    for part in parts:
        wire = Wire(tap)
        wire.up(post(encode(part)))
        got += decode(body_of(wire.out["upstream"]))
    return got, set(mask(log))


@given(rows_of, st.integers(0, 30), st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(FORMS)))
def test_the_draw_belongs_to_the_record_whatever_the_batch_and_the_format(
    rows: list[Row], cut: int, one: str, other: str
) -> None:
    corrupt = {**SCALE, "dose": 0.5, "seed": 3}
    together = through(one, [rows], corrupt)
    apart = through(other, [part for part in (rows[:cut], rows[cut:]) if part], corrupt)
    assert together == apart
    hits = {row["id"] for row, got in zip(rows, together[0], strict=True) if row != got}
    assert hits == {key for key, _ in together[1]}


@given(rows_of, st.sampled_from(sorted(FORMS)))
def test_without_a_hit_nothing_changes(rows: list[Row], form: str) -> None:
    message = post(FORMS[form][0](rows))
    tap, log = made(stream="upstream", format=form, corrupt={**SCALE, "dose": 0})
    wire = Wire(tap)
    wire.up(message)
    assert wire.out["upstream"] == message
    assert mask(log) == []
    assert tap.shown()["counters"]["records"] == len(rows)


def test_what_a_tensor_cannot_hold_passes_and_is_counted() -> None:
    message = post(as_oip([{"id": 1, "amount": 2}, {"id": 2, "amount": 3}]))
    tap, log = made(stream="upstream", format="oip", corrupt=NULLS)
    wire = Wire(tap)
    wire.up(message)
    assert wire.out["upstream"] == message
    assert mask(log) == []
    assert tap.shown()["counters"]["passed"] == {"unwritable": 2}
    assert tap.shown()["counters"]["records_damaged"] == 0
