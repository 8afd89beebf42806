"""`drill corrupt` as it is typed: what it says, what it leaves, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli import main

ROWS = "id,amount,country\n" + "".join(f"{n},{n}.5,{'AT' if n % 2 else 'DE'}\n" for n in range(100))
SPEC = "{type: scale, factor: 100, columns: [amount]}\n"


class Typed:
    """In a folder with in.csv and spec.yaml."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.said = ""
        self.data = ""
        self.write("in.csv", ROWS)
        self.write("spec.yaml", SPEC)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def read(self, name: str = "out.csv") -> bytes:
        return (self.folder / name).read_bytes()

    def __call__(self, *args: str, spec: str = "", source: str = "in.csv", out: str = "out.csv") -> int:
        if spec:
            self.write("spec.yaml", spec)
        with pytest.raises(SystemExit) as ended:
            main(["corrupt", source, out, "--spec", "spec.yaml", *args])
        told = self._capsys.readouterr()
        self.said, self.data = told.err, told.out
        return int(ended.value.code or 0)

    def refuses(self, *words: str, args: Sequence[str] = (), code: int = 2, **keywords: str) -> None:
        """With these words, and leaves nothing."""
        before = sorted(os.listdir(self.folder))
        assert self(*args, **keywords) == code, self.said
        for word in words:
            assert word in self.said
        assert "defect" not in self.said
        assert sorted(os.listdir(self.folder)) == before


@pytest.fixture
def corrupt(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path, capsys)


def test_the_summary_for_people_and_for_programs(corrupt: Typed) -> None:
    austria = "{kind: where, column: country, equals: AT}"
    spec = f"- {{type: scale, factor: 100, columns: [amount], mechanism: {austria}}}\n- {{type: drop, dose: 0.1}}\n"
    assert corrupt(spec=spec) == 0
    assert "amount: 4" in corrupt.said
    assert "100 rows read" in corrupt.said
    assert corrupt("--force", "--json") == 0
    told = json.loads(corrupt.data)
    lost = told["causes"]["drop"]["dropped"]
    assert told["rows_in"] == 100
    assert told["rows_out"] == 100 - lost
    assert lost > 0
    masks = [json.loads(line) for line in corrupt.read("out.csv.mask.jsonl").splitlines()]
    assert sum("dropped" in line for line in masks) == lost
    lines = corrupt.read().decode().splitlines()[1:]
    for line in masks:
        if "out" in line:
            assert lines[line["out"]].startswith(f"{line['row']},")
            assert line["columns"] == ["amount"]


def test_names_in_brackets_are_names(corrupt: Typed) -> None:
    corrupt.write("[in].csv", "[/amount],b\n1,2\n")
    assert corrupt(source="[in].csv", spec="{type: sign, columns: ['[/amount]'], name: '[red]'}") == 0
    assert "[/amount]: 1" in corrupt.said
    assert "[red]" in corrupt.said


def test_ids_in_the_mask_are_those_that_came(corrupt: Typed) -> None:
    assert corrupt("--id", "id", spec="{type: offset, by: 1000, columns: [id], dose: 0.3}") == 0
    masks = [json.loads(line) for line in corrupt.read("out.csv.mask.jsonl").splitlines()]
    assert masks
    assert all(line["id"] == line["row"] for line in masks)


def test_cells_that_were_chosen_in_vain_are_counted_and_shown(corrupt: Typed) -> None:
    corrupt.write("in.csv", 'id,amount\n1,2.5\n2,"1,234.50"\n3,"5,000"\n4,\n')
    assert corrupt() == 0
    assert "scale: 2 more cells of 'amount' chosen and not changed, such as '1,234.50'" in corrupt.said
    assert corrupt("--force", "--json") == 0
    assert json.loads(corrupt.data)["causes"]["scale"]["unchanged"] == {"amount": 2}
    corrupt.write("in.csv", "id,day\n1,05.03.2026\n2,06.03.2026\n")
    assert corrupt("--force", spec="{type: time-zone, hours: 2, columns: [day]}") == 1
    assert "2 cells of 'day' chosen and not changed, such as '05.03.2026'" in corrupt.said
    assert "larger dose" not in corrupt.said


def test_what_is_the_same_text_in_a_csv_was_not_hit(corrupt: Typed) -> None:
    corrupt.write("in.csv", "id,amount\n1,12\n2,1.5\n3,\n")
    assert corrupt("--json", spec="{type: as-text, columns: [amount]}") == 0
    assert corrupt.read() == b'id,amount\n1,12\n2,"1,5"\n3,\n'
    assert [json.loads(line)["row"] for line in corrupt.read("out.csv.mask.jsonl").splitlines()] == [1]
    assert json.loads(corrupt.data)["causes"]["as-text"]["unchanged"] == {"amount": 1}
    empty = "{type: missing, form: empty, columns: [amount]}"
    assert corrupt("--force", "--json", spec=empty) == 0
    told = json.loads(corrupt.data)["causes"]["missing"]
    assert (told["cells"], told["unchanged"]) == ({"amount": 2}, {})


def test_other_cells_of_a_row_that_was_hit_stay_as_they_are_written(corrupt: Typed) -> None:
    corrupt.write("in.csv", 'id,"name",amount\r\n"1","a ""b"", c","2"\n02,"two\nlines",3\r\n')
    assert corrupt() == 0
    assert corrupt.read() == b'id,"name",amount\r\n"1","a ""b"", c","200"\n02,"two\nlines",300\r\n'
    corrupt.write("in.csv", '"amount"\n2\n"3"\n')
    assert corrupt("--force", spec="{type: missing, columns: [amount]}") == 0
    assert corrupt.read() == b'"amount"\n""\n""\n'


def test_what_hit_nothing_says_so_and_is_no_success(corrupt: Typed) -> None:
    assert corrupt(spec="{type: scale, factor: 100, columns: [amount], dose: 0}") == 1
    assert "Nothing was hit" in corrupt.said
    assert corrupt.read() == ROWS.encode()
    assert corrupt("--force", spec="{type: mojibake, columns: [country]}") == 1
    assert "Nothing was hit" in corrupt.said


def test_a_step_that_finds_all_damaged_already_says_so(corrupt: Typed) -> None:
    gone = "{type: missing, columns: [amount]}"
    assert corrupt(spec=f"- {gone}\n- {gone}") == 0
    assert "missing#2: hit nothing" in corrupt.said


@pytest.mark.parametrize(
    "spec", ["{type: missing, columns: [amount], dose: 0.2}", "{type: scale, factor: 9, columns: [amount]}"]
)
def test_no_rows_and_one_row(corrupt: Typed, spec: str) -> None:
    corrupt.write("in.csv", "id,amount\n")
    assert corrupt(spec=spec) == 1
    assert "there are no rows" in corrupt.said
    assert corrupt.read() == b"id,amount\n"
    corrupt.write("in.csv", "id,amount\n1,2\n")
    assert corrupt("--force") in (0, 1)


def test_a_header_alone_is_renamed_too(corrupt: Typed) -> None:
    corrupt.write("in.csv", "id,amount\n")
    assert corrupt(spec="{type: renamed, columns: [amount], to: sum}") == 1
    assert corrupt.read() == b"id,sum\n"


def test_columns_renamed_gone_and_new(corrupt: Typed) -> None:
    steps = "{type: renamed, columns: [amount], to: sum}", "{type: absent, columns: [country]}"
    assert corrupt(spec="".join(f"- {step}\n" for step in (*steps, "{type: added, columns: [new], value: 7}"))) == 0
    assert corrupt.read().splitlines()[:2] == [b"id,sum,new", b"0,0.5,7"]


@pytest.mark.parametrize(
    "text", [ROWS.rstrip("\n"), ROWS.replace("\n", "\r\n"), "\ufeff" + ROWS], ids=["no-end", "crlf", "bom"]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_ends_of_lines_and_marks_stay(corrupt: Typed, text: str, kind: str) -> None:
    if kind == "jsonl":
        _, *rows = text.removeprefix("\ufeff").splitlines(keepends=True)
        lines = [row.replace(row.strip(), json.dumps({"id": 1, "amount": 2.5, "note": "ü"})) for row in rows]
        text = "\ufeff" * text.startswith("\ufeff") + "".join(lines)
    corrupt.write(f"in.{kind}", text)
    names = {"source": f"in.{kind}", "out": f"out.{kind}"}
    assert corrupt(spec="{type: missing, columns: [amount], dose: 0}", **names) == 1
    assert corrupt.read(f"out.{kind}") == text.encode()
    assert corrupt("--force", spec="{type: scale, factor: 10, columns: [amount]}", **names) == 0
    out, came = corrupt.read(f"out.{kind}").decode(), text
    assert [line[-2:] == "\r\n" for line in out.splitlines(keepends=True)] == [
        line[-2:] == "\r\n" for line in came.splitlines(keepends=True)
    ]
    assert (out[0] == "\ufeff", out[-1] == "\n") == (came[0] == "\ufeff", came[-1] == "\n")


def test_a_header_behind_a_mark_may_be_quoted(corrupt: Typed) -> None:
    corrupt.write("in.csv", '\ufeff"amount","b"\n1,2\n')
    assert corrupt() == 0
    assert corrupt.read() == '\ufeff"amount","b"\n100,2\n'.encode()


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        ('id;"a,b";note\r\n1;2;"x; y"\r\n2;"";z\r\n', 'id;"a,b";note\r\n1;200;"x; y"\r\n2;"";z\r\n'),
        ('id\t"a,b"\n1\t2\n2\t12,5\n', 'id\t"a,b"\n1\t200\n2\t12,5\n'),
        ('id;"a,b"\n1;2\n', 'id;"a,b"\n1;200\n'),
        ('id,"a,b",c;d\n1,2,x;y\n', 'id,"a,b",c;d\n1,200,x;y\n'),
    ],
)
def test_cells_are_parted_as_the_header_says(corrupt: Typed, text: str, damaged: str) -> None:
    corrupt.write("in.csv", text)
    assert corrupt(spec='{type: scale, factor: 100, columns: ["a,b"]}') == 0
    assert corrupt.read().decode() == damaged


def test_line_breaks_within_quotes(corrupt: Typed) -> None:
    corrupt.write("in.csv", 'amount,note\n1,"a\nb"\n2,"c ""d"""\n3,e\n')
    assert corrupt(spec="{type: scale, factor: 10, columns: [amount], mechanism: {kind: itself, least: 2}}") == 0
    assert corrupt.read() == b'amount,note\n1,"a\nb"\n20,"c ""d"""\n30,e\n'


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{type: scael, factor: 2, columns: [amount]}", ["step 1", "type", "Did you mean 'scale'"]),
        ("- {type: drop}\n- {type: scale, factr: 2, columns: [amount]}", ["step 2", "factr", "Did you mean 'factor'"]),
        ("{type: scale, factor: 2, columns: [amuont]}", ["columns", "amuont", "Did you mean 'amount'", "country"]),
        (
            "- {type: drop, dose: 0.1}\n- {type: drop, dose: 0.1, mechanism: {kind: where, column: cuntry, equals: AT}}",
            ["cuntry", "Did you mean 'country'"],
        ),
        ("{type: scale, factor: 2, columns: [country]}", ["country", "needs numbers", "'DE'"]),
        ("{type: typo, columns: [amount]}", ["amount", "needs text", "0.5"]),
        ("{type: scale, factor: 2, columns: [amount], dose: 1.5}", ["dose", "1.5", "a share from 0 to 1"]),
        ("{type: drop, dose: 0.5, exact: true}", ["exact", "hint: leave"]),
        ("{type: outlier, columns: [amount]}", ["amount", "hint: --reference FILE"]),
        ("{seed: x, chain: [{type: drop}]}", ["seed"]),
        ("{sed: 3, chain: [{type: drop}]}", ["Did you mean 'seed'"]),
        ("7", ["a corruption, a list of them"]),
        ("[", ["spec.yaml", "no YAML"]),
    ],
)
def test_specs_that_are_wrong(corrupt: Typed, spec: str, words: list[str]) -> None:
    corrupt.refuses("spec.yaml", *words, spec=spec)


def test_a_field_that_no_line_has(corrupt: Typed) -> None:
    corrupt.write("in.jsonl", '{"amount": 1}\n{"amount": 2}\n')
    corrupt.refuses(
        "amuont", "Did you mean 'amount'", source="in.jsonl", out="out.jsonl", spec="{type: missing, columns: amuont}"
    )


def test_quantiles_come_from_the_reference(corrupt: Typed) -> None:
    corrupt.write("clean.csv", ROWS)
    spec = "{type: missing, columns: [amount], mechanism: {kind: itself, above_quantile: 0.9}}"
    assert corrupt("--reference", "clean.csv", spec=spec) == 0
    lines = corrupt.read().decode().splitlines()[1:]
    assert [line.split(",")[1] == "" for line in lines] == [n >= 90 for n in range(100)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["in.csv", "empty"]),
        ("a,a\n", ["two columns are called 'a'"]),
        ("id,amount\n1,2\n1,2,3\n", ["in.csv:3", "3 cells"]),
        ('id,amount\n1,"2\n', ["in.csv:2", "nothing closes it"]),
        ("id,amount\r1,2\r", ["in.csv:1", "a carriage return outside quotes"]),
        ('id,amount\n1,"2"x\n', ["in.csv:2"]),
        ("id,amount\n1,2\nM\xfcller,3\n".encode("latin-1"), ["in.csv:3", "byte 2", "UTF-8", "iconv"]),
        ("id,amount\n1,2\n".encode("utf-16"), ["UTF-16LE", "iconv"]),
    ],
)
def test_files_that_are_wrong(corrupt: Typed, text: str | bytes, words: list[str]) -> None:
    corrupt.write("in.csv", text)
    corrupt.refuses(*words)


def test_broken_lines_pass_if_asked_and_are_counted(corrupt: Typed) -> None:
    broken = [b"1,2,3\n", b'1,"2\n', b"M\xfcller,3\n"]
    good = [b"5,6\n", b"7,8\n"]
    corrupt.write("in.csv", b"id,amount\n" + good[0] + b"".join(broken) + good[1])
    assert corrupt("--broken", "pass", "--json") == 0
    assert corrupt.read() == b"id,amount\n5,600\n" + b"".join(broken) + b"7,800\n"
    assert json.loads(corrupt.data)["broken"] == 3
    assert corrupt("--broken", "pass", "--force") == 0
    assert "3 lines couldn't be read" in corrupt.said


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"amount": 1e999}', b'{"amount": "\\ud800"}', b'{"x": "\xff"}'])
def test_broken_lines_of_json(corrupt: Typed, line: bytes) -> None:
    corrupt.write("in.jsonl", b'{"amount": 1}\n' + line + b"\n\n" + b'{"amount": 2}\n')
    corrupt.refuses("in.jsonl:2", "no JSON object", source="in.jsonl", out="out.jsonl")
    assert corrupt("--broken", "pass", source="in.jsonl", out="out.jsonl") == 0
    assert corrupt.read("out.jsonl") == b'{"amount":100}\n' + line + b"\n" + b'{"amount":200}\n'


def test_a_line_without_end_is_not_read_into_memory(corrupt: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.corrupting.lines.LINE_BYTES_MAX", 1000)
    corrupt.write("in.csv", "id,amount\n" + "x" * 5000)
    corrupt.refuses("in.csv:2", "longer than")


def test_paths_that_are_refused(corrupt: Typed) -> None:
    corrupt.refuses("in.csv", "is the input", out="in.csv", args=["--force"])
    os.link("in.csv", "same.csv")
    corrupt.refuses("same.csv", "is the input", out="same.csv", args=["--force"])
    corrupt.refuses("spec.yaml", "is the spec", args=["--force", "--mask", "spec.yaml"])
    corrupt.refuses("both", args=["--mask", "out.csv"])
    corrupt.refuses("No such file", source="gone.csv")
    corrupt.refuses("is a folder", source=".")
    corrupt.refuses("no such folder", out="gone/out.csv")
    corrupt.refuses("device", out="/dev/null", args=["--force"])
    os.mkfifo("pipe.csv")
    corrupt.refuses("pipe", source="pipe.csv")
    corrupt.refuses("what kind of file", source=str(corrupt.write("in.txt", ROWS)))
    corrupt.write("out.csv", "mine")
    corrupt.refuses("out.csv", "exists", "--force")
    assert corrupt.read() == b"mine"
    corrupt.refuses("--id", "ad", "Did you mean 'id'", args=["--id", "ad", "--force"])


def test_a_link_stays_a_link(corrupt: Typed) -> None:
    corrupt.write("real.csv", "old")
    os.symlink("real.csv", "out.csv")
    assert corrupt("--force") == 0
    assert Path("out.csv").is_symlink()
    assert corrupt.read("real.csv").startswith(b"id,amount")


RUN = "import sys; from harness.cli import main; main(sys.argv[1:])"


def start(*args: str, before: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, "corrupt", *args, "--spec", "spec.yaml"], stderr=subprocess.PIPE, text=True
    )


def test_a_full_disk_is_told_and_leaves_nothing(corrupt: Typed) -> None:
    corrupt.write("in.csv", "amount\n" + "1\n" * 100_000)
    before = sorted(os.listdir("."))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    with start("in.csv", "out.csv", before=limit) as process:
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 4, said
    assert "out.csv: can't be written" in said
    assert sorted(os.listdir(".")) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ended_in_the_middle_it_leaves_nothing(corrupt: Typed, number: signal.Signals, code: int) -> None:
    os.mkfifo("ready")
    # Behind the first batch it tells that it got there, and waits to be ended. Where tests run as a shell's background job,
    # the shell has told them to ignore SIGINT.
    hold = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from harness.cli.corrupting import job; give = job._give\n"
        "def held(*args):\n give(*args); open('ready', 'w').write('x'); import time; time.sleep(60)\n"
        "job._give = held\n"
    )
    before = sorted(os.listdir("."))
    with start("in.csv", "out.csv", before=hold) as process:
        assert Path("ready").read_text() == "x"
        assert sorted(os.listdir(".")) != before
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert sorted(os.listdir(".")) == before


@pytest.mark.parametrize(
    ("start", "word"),
    [(b"\x1f\x8b\x08\x00", "gzip"), (b"PK\x03\x04", "workbook"), (b"PAR1\x15\x04", "Parquet"), (b"BZh91AY", "bzip2")],
)
def test_what_is_no_text_is_told_by_its_name(corrupt: Typed, start: bytes, word: str) -> None:
    corrupt.write("in.csv", start + ROWS.encode())
    corrupt.refuses("in.csv", word, "legal is text")


def test_out_is_the_kind_of_file_that_in_is(corrupt: Typed) -> None:
    for out in ("out.parquet", "out.jsonl"):
        corrupt.refuses(out, "is what IN is: csv", out=out)
    assert corrupt(out="out.txt") == 0


def test_a_packed_file_and_a_pipe_are_refused_in_words(corrupt: Typed) -> None:
    corrupt.write("in.csv.gz", b"\x1f\x8b")
    corrupt.refuses("in.csv.gz", "packed", source="in.csv.gz")
    corrupt.refuses("-: is no pipe here", source="-")
    corrupt.refuses("-: is no pipe here", out="-")


def test_of_a_wide_table_a_typo_shows_the_nearest_name_and_not_all(corrupt: Typed) -> None:
    corrupt.write("in.csv", ",".join(f"column {n}" for n in range(300)) + "\n")
    corrupt.refuses("Did you mean 'column 77'?", "and 260 more", spec="{type: sign, columns: [colum 77]}")
    assert len(corrupt.said) < 1000


def test_a_column_of_parquet_that_has_another_type_is_told(corrupt: Typed) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"id": [1, 2], "amount": pa.array([3, 4], pa.int8())}), corrupt.folder / "in.parquet")
    assert corrupt(source="in.parquet", out="out.parquet", spec="{type: scale, factor: 1.5, columns: [amount]}") == 0
    assert "'amount' has another type in all rows: int8 became double" in corrupt.said
    assert corrupt("--force", source="in.parquet", out="out.parquet", spec="{type: sign, columns: [id]}") == 0
    assert "another type" not in corrupt.said


def test_a_field_that_a_record_does_not_have_is_not_taken_away(corrupt: Typed) -> None:
    corrupt.write("in.jsonl", '{"a":1}\n{"b":2}\n{"a":null}\n')
    for spec in (
        "{type: absent, columns: [a]}",
        "{type: doubled, columns: [a]}",
        "{type: renamed, to: c, columns: [a]}",
    ):
        assert corrupt("--force", source="in.jsonl", out="out.jsonl", spec=spec) == 0
        assert [json.loads(line)["row"] for line in corrupt.read("out.jsonl.mask.jsonl").splitlines()] == [0, 2]
