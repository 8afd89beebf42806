"""A kill at any moment: after the next start each file has arrived once and whole, whatever the consumer did meanwhile."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.proxy.folder.carrier import Carrier, Orders, Step
from harness.proxy.folder.passage import Passage, PassageError
from harness.proxy.folder.rewriting import Plan
from harness.proxy.folder.sight import Sight
from harness.proxy.tap import recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damage import damage_of
from harness.proxy.tap.formats import FORMATS, Wanted

CALLS = (
    *("rename", "unlink", "open", "close", "read", "write", "fsync", "fstat", "fchmod", "utime"),
    *("link", "listdir", "makedirs", "scandir", "pwrite", "pread", "rmdir"),
)
ROWS = 3000
BODY = b"id,amount\n" + b"".join(b"%d,5\n" % n for n in range(ROWS))
DAMAGED = BODY.replace(b",5\n", b",500\n")
OTHER = b"\x00not a table"
CALLS_MAX = 500

columns, damage = damage_of({"type": "scale", "factor": 100, "columns": ["amount"]})
PLAN = Plan(0, FORMATS["csv"], Wanted(recordpath.parse("$"), "id", columns), damage, Bounds(), 0)


def carrier(folder: Path) -> Carrier:
    source, target = os.fsencode(folder / "a"), os.fsencode(folder / "b")
    made = Carrier(Passage(source, target), Sight(source, pattern="*", settle_ns=0), settle_ns=0)
    made.open()
    return made


def run(made: Carrier, *plans: Plan) -> list[Step]:
    steps: list[Step] = []
    orders = Orders(plans, begin=True)
    for _ in range(1000):
        steps.append(made.step(lambda: orders))
        if steps[-1].idle or steps[-1].problem:
            return steps
    raise AssertionError("it never came to an end")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return tmp_path


def killed_before(number: int, work: Callable[[], object]) -> bool:
    """Does `work` in a process of its own, which is killed before its call `number`. False: it came to its end."""
    child = os.fork()
    if child == 0:
        left = number

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def counting(*arguments: object, **named: object) -> object:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return call(*arguments, **named)

            return counting

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            work()
        except BaseException:  # whatever it is, this process must not go on as the test run
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.parametrize("consumer_takes", [False, True])
@pytest.mark.parametrize("way", ["tapped", "renamed", "copied"])
def test_a_kill_at_any_moment(tmp_path: Path, way: str, consumer_takes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "copied":  # as between file systems
        monkeypatch.setattr(Passage, "move", Mock(return_value=False))
    plans = (PLAN,) if way == "tapped" else ()
    sent = BODY if way == "tapped" else OTHER
    kills = 0
    for number in range(CALLS_MAX):
        folder = tmp_path / str(number)
        for name in ("a", "b"):
            (folder / name).mkdir(parents=True)
        (folder / "a" / "x.csv").write_bytes(sent)

        def work(folder: Path = folder) -> None:
            made = carrier(folder)
            run(made, *plans)
            made.close(clear=True)

        killed = killed_before(number, work)
        arrived = []
        if consumer_takes:
            for path in (folder / "b").glob("*.csv"):
                arrived.append(path.read_bytes())
                path.unlink()
        again = carrier(folder)
        run(again, *plans)
        again.close(clear=True)
        arrived += [path.read_bytes() for path in (folder / "b").glob("*.csv")]
        assert arrived == [DAMAGED if way == "tapped" else OTHER], f"killed before call {number}"
        assert os.listdir(folder / "a") == []
        assert set(os.listdir(folder / "b")) <= {"x.csv"}
        if not killed:
            break
        kills += 1
    else:
        raise AssertionError("it was killed each time")
    assert kills > {"tapped": 40, "renamed": 15, "copied": 40}[way]


def test_mode_and_time_are_kept_and_the_copy_is_whole(folder: Path) -> None:
    path = folder / "a" / "x.csv"
    path.write_bytes(BODY)
    path.chmod(0o640)
    os.utime(path, ns=(1, 1_600_000_000_123_456_789))
    steps = run(carrier(folder), PLAN)
    arrived = folder / "b" / "x.csv"
    assert arrived.read_bytes() == DAMAGED
    status = arrived.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, 1_600_000_000_123_456_789)
    (done,) = [done for step in steps for done in step.done]
    assert (done.records, done.damaged, done.log.written) == (ROWS, ROWS, ROWS)


def test_files_arrive_in_the_order_in_which_they_came(folder: Path) -> None:
    made = carrier(folder)
    names = ["z", "m", "b.csv", "a"]
    came_ns = 0
    for name in names:
        made_ns = came_ns
        while made_ns <= came_ns:  # the kernel's clock of files goes by ticks
            (folder / "new").write_bytes(name.encode())
            made_ns = (folder / "new").stat().st_ctime_ns
        came_ns = made_ns
        (folder / "new").rename(folder / "a" / name)
    orders = Orders((PLAN,), begin=True)
    order: list[str] = []
    for _ in range(20):
        made.step(lambda: orders)
        order += {path.name for path in (folder / "b").iterdir() if path.is_file()} - set(order)
    assert order == names


def test_what_cannot_be_delivered_is_given_back_when_the_link_goes(folder: Path) -> None:
    made = carrier(folder)
    (folder / "a" / "x.csv").write_bytes(BODY)
    made.step(lambda: Orders((PLAN,), begin=True))
    assert os.listdir(folder / "a") == [".mldrill-folder"]
    made.close(clear=True)
    assert (folder / "a" / "x.csv").read_bytes() == BODY
    assert (os.listdir(folder / "a"), os.listdir(folder / "b")) == (["x.csv"], [])


def test_a_name_that_the_producer_used_again_is_not_replaced(folder: Path) -> None:
    made = carrier(folder)
    (folder / "a" / "x.csv").write_bytes(BODY)
    made.step(lambda: Orders((PLAN,), begin=True))
    (folder / "a" / "x.csv").write_bytes(OTHER)
    made.close(clear=True)
    assert (folder / "a" / "x.csv").read_bytes() == OTHER
    assert (folder / "a" / ".mldrill-folder" / "taken" / "x.csv").read_bytes() == BODY


def test_a_kill_while_a_file_is_given_back_doubles_nothing(tmp_path: Path) -> None:
    for number in range(CALLS_MAX):
        folder = tmp_path / str(number)
        for name in ("a", "b"):
            (folder / name).mkdir(parents=True)
        (folder / "a" / "x.csv").write_bytes(BODY)
        made = carrier(folder)
        made.step(lambda: Orders((PLAN,), begin=True))

        def give_back(made: Carrier = made) -> None:
            made.close(clear=True)

        killed = killed_before(number, give_back)
        made.close(clear=False)
        again = carrier(folder)
        delivered = sum(step.delivered for step in run(again, PLAN))
        assert (delivered, (folder / "b" / "x.csv").read_bytes()) == (1, DAMAGED)
        if not killed:
            assert number > 8
            return
    raise AssertionError("it was killed each time")


def test_half_a_copy_of_nothing_is_cleaned_away(folder: Path) -> None:
    made = carrier(folder)
    (copies,) = (folder / "b").iterdir()
    (copies / "x.csv").write_bytes(b"half")
    made.close(clear=False)
    carrier(folder).close(clear=True)
    assert os.listdir(folder / "b") == []


def test_what_somebody_else_put_into_a_working_directory_stays(folder: Path) -> None:
    made = carrier(folder)
    (folder / "a" / ".mldrill-folder" / "note").write_bytes(b"mine")
    made.close(clear=True)
    assert (folder / "a" / ".mldrill-folder" / "note").exists()
    carrier(folder).close(clear=False)


def test_a_second_link_on_the_same_directory_is_refused(folder: Path) -> None:
    first = carrier(folder)
    with pytest.raises(PassageError, match="another folder link"):
        carrier(folder)
    first.close(clear=False)
    carrier(folder).close(clear=True)
    assert os.listdir(folder / "a") == []


def test_what_was_under_way_to_another_directory_is_not_given_up(folder: Path) -> None:
    made = carrier(folder)
    (folder / "a" / "x.csv").write_bytes(BODY)
    run(made, PLAN)
    made.close(clear=False)
    (folder / "a" / ".mldrill-folder" / "ready" / "y.csv").write_bytes(b"1")
    (folder / "b").rename(folder / "c")
    (folder / "b").mkdir()
    with pytest.raises(PassageError, match="another 'to'"):
        carrier(folder)


def test_a_file_that_is_written_while_it_is_carried_begins_anew(folder: Path) -> None:
    made = carrier(folder)
    path = folder / "a" / "x.csv"
    path.write_bytes(BODY)
    orders = Orders((PLAN,), begin=True)
    with path.open("ab") as writer:
        made.step(lambda: orders)
        made.step(lambda: orders)
        writer.write(b"9999,5\n")
    steps = run(made, PLAN)
    assert sum(step.changed for step in steps) == 1
    assert (folder / "b" / "x.csv").read_bytes() == DAMAGED + b"9999,500\n"


def test_a_directory_that_is_gone_is_told_and_the_file_waits(folder: Path) -> None:
    made = carrier(folder)
    (folder / "a" / "x.bin").write_bytes(OTHER)
    (folder / "b").rename(folder / "c")
    assert run(made)[-1].problem
    (folder / "c").rename(folder / "b")
    run(made)
    assert (folder / "b" / "x.bin").read_bytes() == OTHER
