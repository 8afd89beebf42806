"""CSV, JSON lines and Parquet are damaged alike, however they are cut into batches, and as the whole table at once is; what
wasn't hit is the same to the byte; and memory doesn't grow with the file."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import corrupt
from harness.cli.corrupting.csv_file import cell, value
from harness.cli.corrupting.job import Summary, columns_needed, reference_of, run
from harness.corrupt.column import objects
from harness.corrupt.registry import DAMAGES
from harness.errors import UsageError

COUNT = 300
KINDS = ("csv", "jsonl", "parquet")
STEPS: dict[str, dict[str, Any]] = {
    "scale": {"factor": 2.5, "columns": ["amount", "count"]},
    "offset": {"by": 3, "columns": ["amount", "count"]},
    "sign": {"columns": ["amount", "count"]},
    "round": {"decimals": -1, "columns": ["amount", "count"]},
    "clip": {"most": 10, "columns": ["amount", "count"]},
    "outlier": {"columns": ["amount", "count"]},
    "missing": {"columns": ["amount", "count", "country", "vip"]},
    "stuck": {"length": 7, "columns": ["amount", "country"]},
    "misjoined": {"rows": 3, "columns": ["amount", "count"]},
    "swapped": {"columns": ["amount", "count"]},
    "as-text": {"columns": ["amount"]},
    "remap": {"codes": {"AT": "DE", "DE": "CH"}, "columns": ["country"]},
    "new-category": {"kinds": 3, "columns": ["country"]},
    "typo": {"columns": ["name"]},
    "mojibake": {"columns": ["name"]},
    "truncated": {"length": 2, "columns": ["name"]},
    "time-zone": {"hours": -2, "columns": ["at"]},
    "future": {"seconds_ahead": 3600, "columns": ["at"]},
    "flip": {"columns": ["label", "vip"]},
    "poison": {"columns": ["amount"]},
    "duplicate": {"copies": 2, "after": 4},
    "drop": {},
    "reorder": {"within": 5},
    "late": {"by": 12},
    "renamed": {"to": "sum", "columns": ["amount"]},
    "added": {"columns": ["new"], "value": 7},
    "absent": {"columns": ["count", "name"]},
    "doubled": {"columns": ["amount", "name"]},
}
ROWS: list[dict[str, Any]] = [
    {
        "id": f"r{n}",
        "amount": None if n % 17 == 0 else round(n * 1.37 % 40 + 0.5, 2),
        "count": None if n % 23 == 0 else n * 7 % 30,
        "country": ("AT", "DE", "FR", None)[n % 4],
        "name": ("Müller", 'O"Hara, Jr.', "two\nlines", "Smith", "Žižka")[n % 5],
        "at": f"2026-01-{1 + n % 28:02}T10:00:00",
        "vip": n % 3 == 0,
        "label": n % 2,
    }
    for n in range(COUNT)
]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"in.{kind}"
    if kind == "csv":
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(ROWS[0])
        lines.writerows([[cell(one) for one in row.values()] for row in ROWS])
        path.write_bytes(text.getvalue().encode())
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=70)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """With nothing where a value is missing."""
    if path.suffix == ".csv":
        text = io.StringIO(path.read_bytes().decode(), newline="")
        rows = [{name: value(one) for name, one in row.items()} for row in csv.DictReader(text)]
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return [{name: one for name, one in row.items() if one is not None and one != ""} for row in rows]


def damaged(source: Path, chain: Sequence[corrupt.Corruption], *, batch_rows: int, id_column: str = "") -> Summary:
    out = source.with_name("out" + source.suffix)
    kind = source.suffix[1:]
    reference = reference_of(source, kind, columns_needed(chain))
    return run(
        source,
        out,
        out.with_suffix(".mask"),
        kind=kind,
        chain=chain,
        id_column=id_column,
        reference=reference,
        pass_broken=False,
        progress=lambda _: None,
        batch_rows=batch_rows,
    )


def like_text(rows: list[dict[str, Any]], texts: frozenset[str]) -> list[dict[str, Any]]:
    """Columns that hold text and numbers at once are text in Parquet."""
    return [{name: str(one) if name in texts else one for name, one in row.items()} for row in rows]


def test_every_type_is_tried_here() -> None:
    assert set(STEPS) == set(DAMAGES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_every_format_and_any_batches_give_what_the_whole_table_gives(step: str, kind: str, tmp_path: Path) -> None:
    dose = 1.0 if step in ("renamed", "absent", "added", "doubled") else 0.3
    where = {} if step == "added" else {"mechanism": {"kind": "where", "column": "label", "equals": 1}}
    partial = corrupt.parse_chain([{"type": step, **STEPS[step], "dose": 0.4, **where}], seed=5)
    full = corrupt.parse_chain([{"type": step, **STEPS[step], "dose": dose}], seed=5)
    columns = {name: objects([row[name] for row in ROWS]) for name in ROWS[0]}
    source = write(tmp_path, kind)
    for chain in (partial, full):
        ids = objects([row["id"] for row in ROWS])
        whole = corrupt.damage(columns, chain, ids=ids, reference=corrupt.Reference.of(columns))
        expected = rows_of(whole.columns)
        for batch_rows in (7, 1000):
            summary = damaged(source, chain, batch_rows=batch_rows, id_column="id")
            assert summary.hit
            found = read(source.with_name(f"out.{kind}"))
            texts = (
                frozenset(STEPS[step]["columns"])
                if kind == "parquet" and step in ("as-text", "poison")
                else frozenset()
            )
            assert like_text(found, texts) == like_text(expected, texts)
            masks = [json.loads(line) for line in source.with_name("out.mask").read_text().splitlines()]
            hit = {(line["out"], name) for line in masks if "out" in line for name in line.get("columns", ())}
            assert hit == {
                (n, name)
                for name, mask in whole.masks.items()
                for n in np.flatnonzero(mask).tolist()
                if kind == "jsonl" or not _gap_that_went(name, whole.columns, n)
            }
            lost = [line["row"] for line in masks if "dropped" in line]
            assert lost == whole.causes[0].dropped.tolist()
            moved = {line["out"] for line in masks if "out" in line and "columns" not in line}
            assert moved == set(np.flatnonzero(whole.causes[0].rows).tolist())


def _gap_that_went(name: str, columns: Mapping[str, Any], n: int) -> bool:
    """Only JSON tells it from the gap that it was."""
    there = name in columns and name in ROWS[n]
    return there and ROWS[n][name] is None and columns[name][n] is corrupt.ABSENT


def rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = {name: column.tolist() for name, column in columns.items()}
    count = len(next(iter(listed.values())))
    gone = (None, corrupt.ABSENT, "")
    rows = [{name: column[n] for name, column in listed.items() if column[n] not in gone} for n in range(count)]
    return [{name: one for name, one in row.items() if one == one} for row in rows]


CELLS = st.text(alphabet=st.sampled_from('a1,"\n\r; .ü\t'), max_size=6)


@given(
    st.lists(st.tuples(st.integers(-99, 99), CELLS, CELLS), max_size=25),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 9),
    st.integers(0, 99),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_row_that_was_hit_has_its_quotes_and_the_others_are_the_same_to_the_byte(
    tmp_path: Path, rows: list[tuple[int, str, str]], quoting: Any, end: str, batch_rows: int, seed: int
) -> None:
    def line(*cells: object, quoting: Any = quoting) -> bytes:
        text = io.StringIO()
        csv.writer(text, quoting=quoting, lineterminator="\r\n").writerow(cells)
        return (text.getvalue()[:-2] + end).encode()

    lines = [line(*row) for row in rows]
    source = tmp_path / "in.csv"
    source.write_bytes(line("n", "a", "b") + b"".join(lines))
    damaged(
        source, corrupt.parse_chain([{"type": "sign", "columns": ["n"], "dose": 0.4}], seed=seed), batch_rows=batch_rows
    )
    out = source.with_name("out.csv").read_bytes()
    hit = {json.loads(told)["row"] for told in source.with_name("out.mask").read_text().splitlines()}
    expected = [line("n", "a", "b")]
    for n, (row, before) in enumerate(zip(rows, lines, strict=True)):
        expected.append(line(-row[0], *row[1:]) if n in hit else before)
    assert out == b"".join(expected)


@given(
    st.lists(st.dictionaries(st.sampled_from(["n", "a", "b"]), st.none() | st.integers(-9, 9) | CELLS), max_size=25),
    st.integers(1, 9),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_lines_and_fields_that_were_not_hit_are_the_same_to_the_byte(
    tmp_path: Path, rows: list[dict[str, Any]], batch_rows: int
) -> None:
    rows = [*rows, {"n": 0}]
    lines = [json.dumps(row, indent=None, separators=(" , ", " : ")).encode() + b" \n" for row in rows]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"".join(lines))
    damaged(
        source, corrupt.parse_chain([{"type": "missing", "columns": ["n"], "dose": 0.4}], seed=1), batch_rows=batch_rows
    )
    out = source.with_name("out.jsonl").read_bytes().splitlines(keepends=True)
    hit = {json.loads(told)["row"] for told in source.with_name("out.mask").read_text().splitlines()}
    for n, (row, before) in enumerate(zip(rows, lines, strict=True)):
        if n in hit:
            assert json.loads(out[n]) == {**row, "n": None}
        else:
            assert out[n] == before


def test_types_that_only_arrow_has_pass_unharmed(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    at = pa.array([10**6 * n for n in range(50)], pa.timestamp("us", tz="Europe/Vienna"))
    table = pa.table(
        {
            "n": pa.array([None if n == 3 else n for n in range(50)], pa.int32()),
            "big": pa.array([2**60 + n for n in range(50)], pa.int64()),
            "f": pa.array([float("nan") if n == 4 else None if n == 5 else n for n in range(50)], pa.float64()),
            "code": pa.array(["a", None] * 25).dictionary_encode(),
            "at": at,
            "day": pa.array(list(range(50)), pa.int32()).cast(pa.date32()),
            "deep": pa.array([{"x": [n]} for n in range(50)]),
            "price": pa.array(list(range(50)), pa.int32()).cast(pa.decimal128(12, 2)),
        }
    )
    source = tmp_path / "in.parquet"
    pq.write_table(table, source, row_group_size=13)
    steps = [
        {"type": "missing", "columns": ["n", "big", "f", "code", "at", "day"], "dose": 0.3},
        {"type": "time-zone", "hours": 1, "columns": ["at"], "dose": 0.3},
        {"type": "late", "by": 20, "dose": 0.3},
    ]
    damaged(source, corrupt.parse_chain(steps, seed=3), batch_rows=9)
    out = pq.read_table(source.with_name("out.parquet"))
    masks = [json.loads(line) for line in source.with_name("out.mask").read_text().splitlines()]
    row_of = [row["x"][0] for row in out.column("deep").to_pylist()]
    assert sorted(row_of) == list(range(50))
    assert out.schema.types == table.schema.types
    hit = {(line["out"], name) for line in masks for name in line.get("columns", ())}
    assert {name for _, name in hit} == {"n", "big", "f", "code", "at", "day"}
    for name in table.column_names:
        before = table.column(name).take(row_of).to_pylist()
        after = out.column(name).to_pylist()
        for n, (old, new) in enumerate(zip(before, after, strict=True)):
            assert (repr(old) != repr(new)) == ((n, name) in hit), (name, n, old, new)


def test_a_value_that_does_not_fit_its_column_is_told(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": pa.array([1, 2], pa.int8())}), source)
    chain = corrupt.parse_chain([{"type": "missing", "form": "value", "value": -999, "columns": ["n"]}])
    with pytest.raises(UsageError, match=r"column 'n'.*int8"):
        damaged(source, chain, batch_rows=10)


def test_what_is_no_parquet_file_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    source = tmp_path / "in.parquet"
    source.write_bytes(b"PAR1 and no more")
    with pytest.raises(UsageError, match="no Parquet file"):
        damaged(source, corrupt.parse_chain([{"type": "drop"}]), batch_rows=10)


PEAK = """
import resource, sys
from pathlib import Path
from harness import corrupt
from harness.cli.corrupting.job import run
source = Path(sys.argv[1])
chain = corrupt.parse_chain([{"type": "scale", "factor": 2, "columns": ["amount"], "dose": 0.1}, {"type": "late", "by": 50}])
run(source, Path(sys.argv[2]), Path(sys.argv[3]), kind=source.suffix[1:], chain=chain, id_column="",
    reference=corrupt.Reference(), pass_broken=False, progress=lambda _: None, batch_rows=2000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_file(kind: str, tmp_path: Path) -> None:
    peaks, sizes = [], []
    for rows in (100_000, 500_000):
        path = tmp_path / f"{rows}.{kind}"
        _write_many(path, rows)
        where = [str(path), str(tmp_path / "out"), str(tmp_path / "mask")]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *where], capture_output=True, text=True, check=True, timeout=100
        )
        peaks.append(int(done.stdout))
        sizes.append(path.stat().st_size >> 20)
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4, f"MB: {peaks} for files of {sizes}"


def _write_many(path: Path, rows: int) -> None:
    draws, chunk = random.Random(3), 5000
    if path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        with pq.ParquetWriter(path, pa.schema({"amount": pa.float64(), "note": pa.string()})) as writer:
            for _ in range(rows // chunk):
                writer.write_table(
                    pa.table({"amount": [draws.random() for _ in range(chunk)], "note": _notes(draws, chunk)})
                )
        return
    line = "{},{}\n" if path.suffix == ".csv" else '{{"amount":{},"note":"{}"}}\n'
    with path.open("w") as file:
        file.write("amount,note\n" if path.suffix == ".csv" else "")
        for _ in range(rows // chunk):
            file.writelines(line.format(draws.random(), note) for note in _notes(draws, chunk))


def _notes(draws: random.Random, count: int) -> list[str]:
    text = draws.randbytes(count * 100).hex()
    return [text[at : at + 200] for at in range(0, len(text), 200)]
