"""What is injected: that it bites, that it survives a restart, that it goes when nobody renews it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.spec.load import load_target
from harness.target import http
from harness.target.embedded import processes
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.launch import CONTROL, LINE_BYTES_MAX

TINY = Path(__file__).parents[1] / "fixtures_tiny" / "target.yaml"
DRIVER = EmbeddedDriver()
LATENCY = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 300}}
MIB = 2**20


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTarget]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        loaded = load_target(TINY)
        opened = DRIVER.open(loaded.spec, folder=loaded.folder, instance="faults", seed=7)
        opened.up()
        yield opened
        opened.down()


@pytest.fixture
def target(instance: EmbeddedTarget) -> Iterator[EmbeddedTarget]:
    yield instance
    instance.reset()


def until(holds: Callable[[], bool], *, within_s: float = 12.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if holds():
                return True
        except EnvironmentProblem:
            pass  # it is down for the moment
        time.sleep(0.02)
    return False


def undo_of(kind: PointKind, where: str, *, injected: object, restore: object) -> Undo:
    return Undo(driver="embedded", instance="faults", point=Point(kind, where), injected=injected, restore=restore)


def eat(target: EmbeddedTarget, size: int) -> None:
    http.ask("POST", target.endpoint("${service.store.url}/eat"), body={"bytes": size}, timeout_s=5)


def test_a_limit_below_what_it_needs_kills_it_again_and_again(target: EmbeddedTarget) -> None:
    _, cursor = target.exits(after=0)
    target.set(Point(PointKind.MEMORY, "store"), MIB)
    assert until(lambda: len(target.exits(after=cursor)[0]) >= 2)
    assert {exit_[1:] for exit_ in target.exits(after=cursor)[0]} == {("store", "memory", signal.SIGKILL, False)}
    assert target.status().services["store"].memory_kills >= 2
    target.act(Action.SET_LIMIT, {"service": "store", "resource": "memory", "value": "1GiB"})
    assert until(lambda: bool(target.process("store").ready))
    undo = undo_of(PointKind.MEMORY, "store", injected=MIB, restore=None)
    assert target.undo(undo) is UndoOutcome.REPAIRED
    assert target.get(undo.point) == 2**30


def test_growth_over_the_limit_kills_and_growth_below_does_not(target: EmbeddedTarget) -> None:
    used = target.process("store").memory_bytes
    assert used is not None
    target.set(Point(PointKind.MEMORY, "store"), used + 40 * MIB)
    eat(target, 20 * MIB)
    grown = target.process("store").memory_bytes
    assert grown is not None
    assert 19 * MIB < grown - used < 25 * MIB
    before = target.process("store").identity
    time.sleep(0.5)  # three looks of the supervisor, in which nothing may happen
    assert target.process("store").identity == before
    with contextlib.suppress(EnvironmentProblem):  # it may be killed before it has answered
        eat(target, 30 * MIB)
    assert until(lambda: target.process("store").identity not in ("", before))


def test_limits_survive_a_restart_by_an_operator(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.CPU, "store"), 0.4)
    target.set(Point(PointKind.CONFIG, "store/mode"), "broken")
    before = target.process("store").identity
    target.act(Action.RESTART, {"service": "store"})
    assert until(lambda: target.process("store").identity not in ("", before))
    assert until(lambda: 0.3 < target.process("store").stopped_share < 0.9)
    assert (target.get(Point(PointKind.CPU, "store")), target.get(Point(PointKind.CONFIG, "store/mode"))) == (
        0.4,
        "broken",
    )


def test_a_pause_survives_a_crash_and_ends_with_a_restart(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "paused")
    first = target.process("store").identity
    os.kill(target.status().services["store"].pid, signal.SIGKILL)
    assert until(lambda: target.process("store").state == "stopped" and target.process("store").identity != first)
    target.act(Action.RESTART, {"service": "store"})
    assert until(lambda: bool(target.process("store").ready))
    undo = undo_of(PointKind.PROCESS, "store", injected="paused", restore="running")
    assert target.undo(undo) is UndoOutcome.ALREADY


def test_a_service_held_down_stays_down_until_it_is_undone(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "down")
    assert until(lambda: target.process("store").state == "gone")
    time.sleep(1.5)  # longer than the supervisor waits before it restarts
    assert target.process("store").state == "gone"
    undo = undo_of(PointKind.PROCESS, "store", injected="down", restore="running")
    assert target.undo(undo) is UndoOutcome.RESTORED
    assert until(lambda: bool(target.process("store").ready))


def test_a_kill_is_over_when_it_is_back(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "killed")
    undo = undo_of(PointKind.PROCESS, "store", injected="killed", restore="running")
    assert target.undo(undo) in (UndoOutcome.RESTORED, UndoOutcome.ALREADY)
    assert until(lambda: bool(target.process("store").ready))
    assert target.undo(undo) is UndoOutcome.ALREADY


def test_latency_is_felt_by_the_one_behind_the_link(target: EmbeddedTarget) -> None:
    peer = target.endpoint("${service.front.url}/peer")
    assert http.ask("GET", peer, timeout_s=5)["seconds"] < 0.3
    target.set(Point(PointKind.TOXIC, "front-store/slow"), LATENCY)
    assert http.ask("GET", peer, timeout_s=5)["seconds"] >= 0.3
    assert target.probe("front-store").seconds >= 0.3
    assert target.probe("outside-front").seconds < 0.3


def test_an_undo_waits_for_a_service_that_is_restarting(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.CONFIG, "store/level"), 9)
    os.kill(target.status().services["store"].pid, signal.SIGKILL)
    assert target.undo(undo_of(PointKind.CONFIG, "store/level", injected=9, restore=1)) is UndoOutcome.RESTORED
    assert target.get(Point(PointKind.CONFIG, "store/level")) == 1


@pytest.mark.slow
def test_all_that_is_under_lease_goes_when_the_harness_dies(target: EmbeddedTarget) -> None:
    """A process that injects, renews once and is killed: the supervisor and the proxy put everything back."""
    code = (
        "import os, signal\n"
        "from harness.contract.undo import Point, PointKind as K\n"
        "from harness.target.embedded.driver import EmbeddedDriver\n"
        "t = EmbeddedDriver().attach('faults')\n"
        "t.set(Point(K.PROCESS, 'store'), 'paused')\n"
        "t.set(Point(K.PROCESS, 'plain'), 'down')\n"
        "t.set(Point(K.CPU, 'front'), 0.3)\n"
        "t.set(Point(K.MEMORY, 'front'), 2**40)\n"
        f"t.set(Point(K.TOXIC, 'front-store/slow'), {LATENCY!r})\n"
        "t.set(Point(K.LINK_UP, 'outside-front'), False)\n"
        "t.renew()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=30, check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (-signal.SIGKILL, b"")
    assert target.process("store").state == "stopped"
    assert target.get(Point(PointKind.TOXIC, "front-store/slow")) is not None
    assert until(lambda: target.process("store").state == "running")
    assert until(lambda: bool(target.process("plain").ready))
    assert until(lambda: target.process("front").stopped_share == 0.0)
    assert target.get(Point(PointKind.MEMORY, "front")) is None
    assert until(lambda: target.get(Point(PointKind.TOXIC, "front-store/slow")) is None)
    assert until(lambda: target.probe("outside-front").answered)


@pytest.mark.slow
def test_what_an_operator_changed_outlives_the_lease(target: EmbeddedTarget) -> None:
    target.renew()
    target.act(Action.SET_LIMIT, {"service": "store", "resource": "memory", "value": "1GiB"})
    target.act(Action.STOP, {"service": "plain"})
    target.set(Point(PointKind.CPU, "front"), 0.5)
    assert until(lambda: target.get(Point(PointKind.CPU, "front")) is None)
    assert target.get(Point(PointKind.MEMORY, "store")) == 2**30
    assert target.process("plain").state == "gone"


@pytest.mark.parametrize(
    ("point", "value"),
    [
        (Point(PointKind.CPU, "store"), 0.0),
        (Point(PointKind.CPU, "store"), "half"),
        (Point(PointKind.CPU, "store"), True),
        (Point(PointKind.MEMORY, "store"), -1),
        (Point(PointKind.PROCESS, "store"), "sleeping"),
        (Point(PointKind.CONFIG, "store/no-such-key"), 1),
        (Point(PointKind.TOXIC, "front-store"), LATENCY),
        (Point(PointKind.PROCESS, "@proxy"), "down"),
    ],
)
def test_what_is_illegal_is_refused_and_changes_nothing(target: EmbeddedTarget, *, point: Point, value: object) -> None:
    before = target.status()
    with pytest.raises(HarnessError):
        target.set(point, value)
    assert target.status() == before


def test_a_dead_proxy_comes_back_and_the_links_with_it(target: EmbeddedTarget) -> None:
    os.kill(target.status().services["@proxy"].pid, signal.SIGKILL)
    assert until(lambda: target.status().services["@proxy"].pid == 0)
    assert not target.probe("front-store").answered
    assert until(lambda: target.probe("front-store").answered)


JUNK = [
    b"\x00\xff" * 500 + b"\n",
    b"not json\n",
    b"{}\n",
    b"[]\n",
    b'{"do": "no-such-thing"}\n',
    b'{"do": "inject", "kind": "cpu", "service": "store"}\n',
    b'{"do": "status", "more": 1}\n',
    b'{"do": "get", "kind": "config", "service": "store"}\n',
    b'{"do": "get", "kind": "cpu", "service": "nobody"}\n',
    b'{"do": "exits", "after": "x"}\n',
    b"[" * 100_000 + b"\n",
    b"x" * (2 * LINE_BYTES_MAX) + b"\n",
]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk[:24]))
def test_junk_on_the_control_socket_gets_an_error(target: EmbeddedTarget, *, junk: bytes) -> None:
    before = target.status()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(target.home / CONTROL))
        try:
            sock.sendall(junk)
            answer = sock.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b'{"ok":false'  # cut off in the middle of a line that is too long
    assert answer.startswith(b'{"ok":false')
    assert target.status() == before


def test_many_silent_connections_block_nobody(target: EmbeddedTarget) -> None:
    silent = []
    try:
        for _ in range(40):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(target.home / CONTROL))
            silent.append(sock)
        assert target.status().services["store"].pid > 0
    finally:
        for sock in silent:
            sock.close()


def test_the_control_socket_is_the_owner_s_alone(target: EmbeddedTarget) -> None:
    assert (target.home / CONTROL).stat().st_mode & 0o777 == 0o600


def test_the_supervisor_sleeps_when_nothing_happens(target: EmbeddedTarget) -> None:
    """Less than 5 % of a processor over a second, counted by the kernel."""
    supervisor = target.status().pid

    def ticks() -> int:
        fields = (processes.PROC / str(supervisor) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(1.0)
    assert ticks() - before <= 5


def test_a_place_without_settings_is_told(target: EmbeddedTarget) -> None:
    with pytest.raises(UsageError, match=r"no setting 'colour'\. Known: level, mode, threshold"):
        target.get(Point(PointKind.CONFIG, "store/colour"))
