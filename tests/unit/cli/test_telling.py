"""What the command line says of itself: exit codes that outlive their reader, and commands that can be pasted."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.drill import choose
from harness.errors import Exit, UsageError

GOLDEN = Path(__file__).parents[3] / "fixtures" / "golden"
SCENARIO = """\
scenario: mine
kind: fault
title: A link is slow
incident: latency-spike
faults:
  - {fault: link.latency, link: gateway-features, latency: 300ms}
budget: 20s
"""


@pytest.mark.parametrize(
    ("run", "code"), [("control", Exit.PASS), ("nobody-answers", Exit.FAIL), ("aborted", Exit.ABORTED)]
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_a_verdict_is_a_verdict_though_nobody_reads_it(*, run: str, code: Exit, options: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", "score", str(GOLDEN / f"{run}.jsonl"), *options],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (code, b"")


def test_the_command_that_repeats_a_run_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "my own" / "it's mine.yaml"
    path.parent.mkdir()
    path.write_text(SCENARIO)
    plan = choose(str(path), target=None, arm=None, seed=None, responder="none").plan
    assert shlex.split(plan.command) == ["drill", "run", str(path), "--responder", "none"]


def test_what_is_wrong_in_a_file_is_told_before_the_playbook_that_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO.replace("link.latency", "link.latncy"))
    with pytest.raises(UsageError, match=r"mine.yaml:6:6: .*Did you mean 'link.latency'"):
        choose(str(path), target=None, arm=None, seed=None, responder="playbook")
    path.write_text(SCENARIO)
    with pytest.raises(UsageError, match="names no playbook"):
        choose(str(path), target=None, arm=None, seed=None, responder="playbook")


@pytest.mark.parametrize("words", [("list",), ("score", str(GOLDEN / "control.jsonl"))], ids=["list", "score"])
def test_a_full_disk_is_no_defect(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", "from harness.cli import main; main()", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (Exit.ENVIRONMENT, False)
    assert b"No space left" in ended.stderr
