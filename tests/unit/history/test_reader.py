"""Reading a history back: typed and whole, or an error that names the line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.errors import HistoryError
from harness.history import events as e
from harness.history.events import UnknownEvent
from harness.history.lines import encode_line
from harness.history.reader import CHUNK_BYTES, parse, read, recorded
from tests.golden.build import bad_model, header, ns, plan

NOTE = e.Note(t_ns=ns(1), seq=1, text="seen")
HEADER = encode_line(header(plan()))


def data(*lines: bytes) -> bytes:
    return HEADER + b"".join(lines)


def test_a_run_comes_back_as_it_was() -> None:
    history = bad_model().history()
    written = b"".join(map(encode_line, (history.header, *history.events())))
    assert parse(written) == history


def test_more_than_a_chunk_comes_back_in_order() -> None:
    count = 3 * CHUNK_BYTES // len(encode_line(NOTE))
    events = [e.Note(t_ns=i, text="seen") for i in range(count)]
    history = recorded(header(plan()), events)
    back = parse(b"".join(map(encode_line, (history.header, *history.events()))))
    assert [item.seq for item in back.items] == list(range(1, count + 1))


def test_an_unknown_kind_is_kept_in_its_place() -> None:
    unknown = b'{"kind":"moon","seq":2,"t_ns":5,"phase":"full"}\n'
    history = parse(data(encode_line(NOTE), unknown, encode_line(NOTE)))
    raw = {"kind": "moon", "seq": 2, "t_ns": 5, "phase": "full"}
    assert history.items == (NOTE, UnknownEvent(seq=2, t_ns=5, kind="moon", raw=raw), NOTE)
    assert list(history.events()) == [NOTE, NOTE]


def test_a_torn_last_line_is_reported_and_read_past() -> None:
    whole = data(encode_line(NOTE))
    history = parse(whole + encode_line(NOTE)[:-10])
    assert (history.items, history.torn) == ((NOTE,), True)
    assert history.digest == hashlib.sha256(whole).hexdigest() == parse(whole).digest
    assert parse(whole).torn is False


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ([encode_line(NOTE), b"garbage\n", encode_line(NOTE)], 3),
        ([b"\xff\xfe\n"], 2),
        ([encode_line(NOTE), encode_line(NOTE), b'{"kind":"note"}\n'], 4),
        ([b'{"kind":"moon","t_ns":"soon"}\n'], 2),
        ([b"[1, 2]\n"], 2),
        ([b"[" * 5000 + b"]" * 5000 + b"\n"], 2),
    ],
    ids=["garbage", "no text", "incomplete", "unknown without time", "no object", "deep"],
)
def test_garbage_in_the_middle_is_an_error_with_its_line(*, lines: list[bytes], line: int) -> None:
    with pytest.raises(HistoryError, match=rf"^run:{line}: "):
        parse(data(*lines), name="run")


@pytest.mark.parametrize(
    "first", [b"", b"\n", b"garbage\n", b"{}\n", HEADER[:-1], HEADER.replace(b'"run":', b'"ran":')]
)
def test_without_a_header_it_is_no_history(first: bytes) -> None:
    with pytest.raises(HistoryError, match=r"^run:1: "):
        parse(first, name="run")


def test_another_schema_is_refused_with_what_to_do() -> None:
    other = HEADER.replace(b'"kind":"header","schema":1', b'"kind":"header","schema":9')
    assert other != HEADER
    with pytest.raises(HistoryError, match="schema 9") as caught:
        parse(other)
    assert "version of mldrill that recorded it" in caught.value.hint


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HistoryError) as caught:
        read(tmp_path / "history.jsonl")
    assert caught.value.hint != ""
