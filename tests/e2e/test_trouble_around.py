"""What stands round a run fails it: folders that can't be written, another run, a role that won't start or dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.score import score
from harness.target.embedded.driver import EmbeddedDriver
from tests.e2e import trouble
from tests.e2e.trouble import drill, until

IN_THE_WAY = "nothing was injected"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB that is really full when it is full. Needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@trouble.asked_again
def test_reports_that_cant_be_written_are_refused_first(kept: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    reports = tmp_path / "file" / "reports"
    with drill(tmp_path, trouble.scenario(tmp_path, trouble.PROMOTE), instance=kept, reports=reports) as running:
        assert running.end() == 4
        assert IN_THE_WAY in running.said.read_text()
        assert "Traceback" not in running.said.read_text()
        assert trouble.broken(kept) == {}


@trouble.asked_again
def test_a_disk_without_room_is_refused_first(kept: str, small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk, leave=1 << 20)
    with drill(tmp_path, trouble.scenario(tmp_path, trouble.PROMOTE), instance=kept, reports=small_disk) as running:
        assert running.end() == 4
        assert IN_THE_WAY in running.said.read_text()
        assert [path.name for path in small_disk.iterdir()] == ["filling"], "a refused run leaves nothing"


@trouble.asked_again
def test_a_disk_that_fills_up_in_mid_fault_is_healed_from_the_ledger(
    kept: str, small_disk: Path, tmp_path: Path
) -> None:
    (small_disk / "filling").unlink(missing_ok=True)
    path = trouble.scenario(tmp_path, trouble.PROMOTE, trouble.JOB, budget=trouble.LONG)
    with drill(tmp_path, path, instance=kept, reports=small_disk / tmp_path.name) as running:
        running.wait_for(lambda e: e["kind"] == "command" and e["command"].get("phase") == "respond", what="the effect")
        fill(small_disk, leave=0)
        assert running.end() == 4, running.said.read_text()
        assert "can't be written" in running.said.read_text()
        assert "Traceback" not in running.said.read_text()
        assert trouble.broken(kept) == {}
        until(lambda: not running.processes(), what="the end of all that it started")
        assert not running.ledger.exists()
        assert score(read(running.history)).verdict is Verdict.ENV_ERROR


def fill(folder: Path, *, leave: int) -> None:
    """Until only `leave` bytes are free."""
    with (folder / "filling").open("ab", buffering=0) as filling, contextlib.suppress(OSError):
        while (free := shutil.disk_usage(folder).free) > leave or not leave:
            filling.write(b"\0" * max(1, min(1 << 20, free - leave)))


@trouble.asked_again
def test_a_state_directory_that_cant_be_made_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    environment = {"MLDRILL_STATE": str(tmp_path / "state")}
    path = trouble.scenario(tmp_path, trouble.PROMOTE)
    with drill(tmp_path, path, instance="none", environment=environment) as running:
        assert running.end() == 4
        assert "MLDRILL_STATE" in running.said.read_text()
        assert "Traceback" not in running.said.read_text()


@trouble.asked_again
def test_two_runs_on_one_instance_and_two_side_by_side(kept: str, tmp_path: Path) -> None:
    """A second run is refused and disturbs nothing; one on another instance judges by its own faults alone."""
    trouble.shop("other").up()
    path = trouble.scenario(tmp_path, trouble.PROMOTE, budget="20s")  # in which the second comes to its refusal
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as runs:
        first = runs.enter_context(drill(tmp_path / "one", path, instance=kept))
        control = runs.enter_context(drill(tmp_path / "two", path, "--arm", "control", instance="other"))
        first.command("inject-fault")
        second = runs.enter_context(drill(tmp_path / "three", path, instance=kept))
        assert second.end() == 4, second.said.read_text()
        assert f"instance '{kept}' is in use by run" in second.said.read_text()
        assert second.folder is None
        assert first.end() == 1, first.said.read_text()
        assert control.end() == 0, control.said.read_text()
        assert score(read(first.history)).verdict is Verdict.FAIL
        assert score(read(control.history)).verdict is Verdict.PASS
    EmbeddedDriver().attach("other").down()


@trouble.asked_again
def test_a_role_that_wont_start_is_told_with_its_last_words(state: None, tmp_path: Path) -> None:
    jammed = tmp_path / "jammed"
    shutil.copytree(trouble.SHOP, jammed)
    till, as_till = 'role: front\n    start: {python: "shop:main"}', 'role: front\n    start: {python: "shop:refuses"}'
    description = (jammed / "target.yaml").read_text()
    assert till in description
    (jammed / "target.yaml").write_text(description.replace(till, as_till))
    path = trouble.scenario(tmp_path, trouble.PROMOTE)
    with drill(tmp_path, path, instance="jammed", target=jammed / "target.yaml") as running:
        assert running.end() == 4, running.said.read_text()
        said = running.said.read_text()
        card = score(read(running.history))
        until(lambda: not running.processes(), what="the end of all that it started")
    assert card.verdict is Verdict.ENV_ERROR
    assert "service 'front'" in " ".join(card.reasons)
    assert "the till is jammed" in said


@pytest.mark.parametrize("arm", ["fault", "control"])
@trouble.asked_again
def test_a_role_that_dies_unasked_is_no_result(arm: str, *, kept: str, tmp_path: Path) -> None:
    """Before the injection, and in a control at any time."""
    path = trouble.scenario(tmp_path, trouble.PROMOTE, budget=trouble.LONG)
    with drill(tmp_path, path, "--arm", arm, instance=kept) as running:
        running.command("start-observers")  # it is set up, and nobody changes the process any more
        pid = until(lambda: trouble.shop(kept).status().services["front"].pid, what="the till")
        phase = "baseline" if arm == "fault" else "respond"
        running.wait_for(lambda e: e["kind"] == "command" and e["command"].get("phase") == phase, what=phase)
        os.kill(pid, signal.SIGKILL)
        assert running.end() == 4, running.said.read_text()
        said = running.said.read_text()
        assert trouble.broken(kept) == {}
        card = score(read(running.history))
    assert card.verdict is Verdict.ENV_ERROR
    assert "front" in " ".join(card.reasons)
    assert "the shop opens: front" in said


@trouble.asked_again
def test_bystanders_are_never_touched(state: None, tmp_path: Path) -> None:
    """Processes of the same words, user and folder as the pipeline's survive a drill that is killed, and its healing."""
    names = ["harness.target.embedded.supervisor", "shop", "harness.observe.prober", "harness.run.reaper"]
    sleep = "import time; print('up', flush=True); time.sleep(600)"
    bystanders = [
        subprocess.Popen(
            [sys.executable, "-c", sleep, name], stdout=subprocess.PIPE, cwd=trouble.SHOP, start_new_session=True,
            env={**os.environ, "SERVICE": "back", "INSTANCE": "near", "MLDRILL_LABEL": "somebody-else's"},
        )
        for name in names
    ]  # fmt: skip
    try:
        for one in bystanders:
            assert one.stdout is not None
            assert one.stdout.readline() == b"up\n"
        path = trouble.scenario(tmp_path, trouble.DOWN, budget="3s")
        with drill(tmp_path, path, "--responder", "restart-all", instance="near") as running:
            running.command("inject-fault")
            running.send(signal.SIGKILL)
            running.end()
            until(lambda: not running.processes(), what="the end of all that it started")
        hasty = ("--responder", "restart-all", "--act-at", "200ms")
        with drill(tmp_path, path, *hasty, instance="near", reports=tmp_path / "again") as running:
            running.command("inject-fault")
            running.send(signal.SIGTERM)
            assert running.end() == 143
            until(lambda: not running.processes(), what="the end of all that it started")
        assert [one.poll() for one in bystanders] == [None] * len(bystanders)
    finally:
        for one in bystanders:
            one.kill()
            one.wait()
