"""Writing a history: what was appended can be read, whatever happens next."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from harness.errors import NotWritableError
from harness.history import events as e
from harness.history.reader import read
from harness.history.writer import HistoryWriter
from tests.golden.build import bad_model, header, ns, plan

HEADER = header(plan())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def note(text: str) -> e.Note:
    return e.Note(t_ns=ns(1), text=text)


def test_what_is_appended_is_numbered_and_comes_back(path: Path) -> None:
    history = bad_model().history()
    with HistoryWriter(path, history.header) as writer:
        given = [writer.append(event) for event in history.events()]
    assert tuple(given) == history.items
    assert read(path) == history


def test_a_line_can_be_read_before_the_writer_is_closed(path: Path) -> None:
    writer = HistoryWriter(path, HEADER)
    writer.append(note("first"))
    assert [event.text for event in read(path).events() if isinstance(event, e.Note)] == ["first"]
    writer.close()


def test_a_history_is_never_written_over(path: Path) -> None:
    HistoryWriter(path, HEADER).close()
    with pytest.raises(NotWritableError, match="exists"):
        HistoryWriter(path, HEADER)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotWritableError, match="missing") as caught:
        HistoryWriter(tmp_path / "missing" / "history.jsonl", HEADER)
    assert "--reports" in caught.value.hint


def test_appending_after_the_close_is_refused(path: Path) -> None:
    writer = HistoryWriter(path, HEADER)
    writer.close()
    writer.close()
    with pytest.raises(NotWritableError):
        writer.append(note("late"))


def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line, and has room again later."""
    writer = HistoryWriter(path, HEADER)
    real, calls = os.write, []

    def full(fd: int, line: bytes) -> int:
        calls.append(line)
        if len(calls) == 1:
            return real(fd, line[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NotWritableError, match="No space left"):
        writer.append(note("lost"))
    monkeypatch.setattr(os, "write", real)
    writer.append(note("kept"))
    writer.close()
    history = read(path)
    assert [(event.seq, event.text) for event in history.events() if isinstance(event, e.Note)] == [(1, "kept")]
    assert history.torn is False


def test_it_is_bounded(path: Path) -> None:
    with HistoryWriter(path, HEADER, bytes_max=20_000) as writer:
        writer.append(note("x" * 1000))
        with pytest.raises(NotWritableError, match="largest size"):
            writer.append(note("x" * 20_000))
        writer.append(note("still room for this"))
    assert len(read(path).items) == 2


def test_numbers_have_no_gap_when_several_threads_append(path: Path) -> None:
    with HistoryWriter(path, HEADER) as writer:
        threads = [threading.Thread(target=lambda: [writer.append(note("x")) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [item.seq for item in read(path).items] == list(range(1, 801))


def test_what_is_no_number_is_left_out(path: Path) -> None:
    with HistoryWriter(path, HEADER) as writer:
        writer.append(e.Gauges(t_ns=1, values={"good": 1.0, "bad": float("nan"), "worse": float("inf")}))
        writer.append(e.LoadBucket(t_ns=1, scheduled=1, ok=1, failed=0, latency_ms={"p50": float("nan"), "p99": 2.0}))
    gauges, load = read(path).items
    assert isinstance(gauges, e.Gauges)
    assert isinstance(load, e.LoadBucket)
    assert (gauges.values, load.latency_ms) == ({"good": 1.0}, {"p99": 2.0})


def test_text_that_is_no_unicode_does_not_stop_the_recording(path: Path) -> None:
    with HistoryWriter(path, HEADER) as writer:
        writer.append(e.ServiceExited(t_ns=1, service="a", reason="signal", log=("half a \ud83d character",)))
    (exited,) = read(path).items
    assert isinstance(exited, e.ServiceExited)
    assert exited.log == ("half a ? character",)
