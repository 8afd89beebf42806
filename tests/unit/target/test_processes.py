"""A process is a pid and a start time; a pid alone names nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.target.embedded import memory, processes
from harness.target.embedded.launch import LABEL

MARK = f"a-test-of-{os.getpid()}-only"
"""Nobody else's: tests run beside each other, and each of these has such a child."""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={LABEL: MARK},
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate(timeout=60)


def start_of(child: subprocess.Popen[bytes]) -> int:
    start = processes.start_time(child.pid)
    assert start is not None
    return start


def test_another_process_at_the_same_pid_is_not_signalled(child: subprocess.Popen[bytes]) -> None:
    start = start_of(child)
    assert not processes.send(child.pid, start - 1, signal.SIGKILL)
    assert not processes.alive(child.pid, start - 1)
    assert (child.poll(), processes.alive(child.pid, start)) == (None, True)
    assert processes.send(child.pid, start, signal.SIGKILL)
    assert child.wait(timeout=60) == -signal.SIGKILL


def test_what_is_left_of_a_dead_process_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    start = start_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = processes.stat(child.pid)
    assert found is not None
    assert found.state == "Z"
    assert not processes.alive(child.pid, start)


def test_only_the_label_makes_it_ours(child: subprocess.Popen[bytes]) -> None:
    assert list(processes.labelled(LABEL, MARK)) == [(child.pid, start_of(child))]
    assert list(processes.labelled(LABEL, MARK[:-1])) == []
    assert list(processes.labelled("OTHER", MARK)) == []


def test_nobody_has_no_memory(child: subprocess.Popen[bytes]) -> None:
    used = memory.private_bytes(child.pid)
    assert used is not None
    assert 2**20 < used <= memory.family_private_bytes(child.pid) < 2**26
    child.kill()
    child.communicate(timeout=60)
    assert memory.private_bytes(child.pid) is None
    assert processes.start_time(child.pid) is None
