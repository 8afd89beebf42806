"""What is injected: that it bites, that it survives a restart, that it goes when nobody renews it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.spec.load import load_target
from harness.target import http
from harness.target.embedded import processes
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.launch import CONTROL, LEASE_S, LINE_BYTES_MAX
from tests.e2e.waiting import CALL_S, answered, held_still, leases, reset, until

TINY = Path(__file__).parents[1] / "fixtures_tiny" / "target.yaml"
DRIVER = EmbeddedDriver()
LATENCY = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 300}}
MIB = 2**20


def opened(folder: Path, name: str) -> Iterator[EmbeddedTarget]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(folder))
        loaded = load_target(TINY)
        instance = DRIVER.open(loaded.spec, folder=loaded.folder, instance=name, seed=7)
        instance.up()
        yield instance
        instance.down()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTarget]:
    with leases():
        yield from opened(tmp_path_factory.mktemp("state"), "faults")


@pytest.fixture
def target(instance: EmbeddedTarget) -> Iterator[EmbeddedTarget]:
    yield instance
    reset(instance)


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[EmbeddedTarget]:
    """One with leases as they are."""
    with leases(LEASE_S):
        yield from opened(tmp_path / "state", "leased")


def undo_of(kind: PointKind, where: str, *, injected: object, restore: object) -> Undo:
    return Undo(driver="embedded", instance="faults", point=Point(kind, where), injected=injected, restore=restore)


def eat(target: EmbeddedTarget, size: int) -> None:
    http.ask("POST", target.endpoint("${service.store.url}/eat"), body={"bytes": size}, timeout_s=CALL_S)


def test_a_limit_below_what_it_needs_kills_it_again_and_again(target: EmbeddedTarget) -> None:
    _, cursor = target.exits(after=0)
    target.set(Point(PointKind.MEMORY, "store"), MIB)
    assert until(lambda: len(target.exits(after=cursor)[0]) >= 2)
    assert {exit_[1:] for exit_ in target.exits(after=cursor)[0]} == {("store", "memory", signal.SIGKILL, False)}
    assert target.status().services["store"].memory_kills >= 2
    target.act(Action.SET_LIMIT, {"service": "store", "resource": "memory", "value": "1GiB"})
    assert until(lambda: target.process("store").ready)
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
    assert target.get(Point(PointKind.CPU, "store")) == 0.4
    # It has less than half a processor, and may take its time to answer.
    assert answered(lambda: target.get(Point(PointKind.CONFIG, "store/mode"))) == "broken"


def test_a_pause_survives_a_crash_and_ends_with_a_restart(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "paused")
    first = target.process("store").identity
    os.kill(target.status().services["store"].pid, signal.SIGKILL)
    assert until(lambda: target.process("store").state == "stopped" and target.process("store").identity != first)
    target.act(Action.RESTART, {"service": "store"})
    assert until(lambda: target.process("store").ready)
    undo = undo_of(PointKind.PROCESS, "store", injected="paused", restore="running")
    assert target.undo(undo) is UndoOutcome.ALREADY


def test_a_service_held_down_stays_down_until_it_is_undone(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "down")
    assert until(lambda: target.process("store").state == "gone")
    time.sleep(1.5)  # longer than the supervisor waits before it restarts
    assert target.process("store").state == "gone"
    undo = undo_of(PointKind.PROCESS, "store", injected="down", restore="running")
    assert target.undo(undo) is UndoOutcome.RESTORED
    assert until(lambda: target.process("store").ready)


def test_a_kill_is_over_when_it_is_back(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.PROCESS, "store"), "killed")
    undo = undo_of(PointKind.PROCESS, "store", injected="killed", restore="running")
    assert target.undo(undo) in (UndoOutcome.RESTORED, UndoOutcome.ALREADY)
    assert until(lambda: target.process("store").ready)
    assert target.undo(undo) is UndoOutcome.ALREADY


def test_latency_is_felt_by_the_one_behind_the_link(target: EmbeddedTarget) -> None:
    peer = target.endpoint("${service.front.url}/peer")
    # A busy machine delays this or that request too; the fault delays every one.
    assert until(lambda: http.ask("GET", peer, timeout_s=CALL_S)["seconds"] < 0.3)
    target.set(Point(PointKind.TOXIC, "front-store/slow"), LATENCY)
    assert answered(lambda: http.ask("GET", peer, timeout_s=CALL_S)["seconds"]) >= 0.3
    assert target.probe("front-store").seconds >= 0.3
    assert until(lambda: target.probe("outside-front").seconds < 0.3)


def test_an_undo_waits_for_a_service_that_is_restarting(target: EmbeddedTarget) -> None:
    target.set(Point(PointKind.CONFIG, "store/level"), 9)
    _, cursor = target.exits(after=0)
    os.kill(target.status().services["store"].pid, signal.SIGKILL)
    assert until(lambda: target.exits(after=cursor)[0])
    undo = undo_of(PointKind.CONFIG, "store/level", injected=9, restore=1)
    assert target.undo(msgspec.structs.replace(undo, deadline_s=CALL_S)) is UndoOutcome.RESTORED
    assert target.get(Point(PointKind.CONFIG, "store/level")) == 1


DOOMED = f"""
import os, signal
from harness.contract.undo import Point, PointKind as K
from harness.target.embedded.driver import EmbeddedDriver

target = EmbeddedDriver().attach("leased")
wanted = {{
    Point(K.PROCESS, "store"): "paused",
    Point(K.PROCESS, "plain"): "down",
    Point(K.CPU, "front"): 0.3,
    Point(K.MEMORY, "front"): 2**40,
    Point(K.TOXIC, "front-store/slow"): {LATENCY!r},
    Point(K.LINK_UP, "outside-front"): False,
}}

def stands():
    seen = [target.process(service) for service in ("store", "plain", "front")]
    set_ = all(target.get(point) is not None for point in wanted) and not target.get(Point(K.LINK_UP, "outside-front"))
    return set_ and [one.state for one in seen] == ["stopped", "gone", "running"] and seen[2].stopped_share > 0

for _ in range(30):  # where the machine stands still for longer than a lease, it goes while it is being set
    for point, value in wanted.items():
        target.set(point, value)
    target.renew()
    if stands():
        print("all stands", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_all_that_is_under_lease_goes_when_the_harness_dies(leased: EmbeddedTarget) -> None:
    """A process that injects, renews once and is killed: the supervisor and the proxy put everything back."""
    ended = subprocess.run([sys.executable, "-c", DOOMED], timeout=100, check=False, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGKILL, b"all stands\n", b"")
    assert until(lambda: leased.process("store").state == "running")
    assert until(lambda: leased.process("plain").ready)
    assert until(lambda: leased.process("front").stopped_share == 0.0)
    assert leased.get(Point(PointKind.MEMORY, "front")) is None
    assert until(lambda: leased.get(Point(PointKind.TOXIC, "front-store/slow")) is None)
    assert until(lambda: leased.probe("outside-front").answered)


@pytest.mark.slow
def test_what_an_operator_changed_outlives_the_lease(leased: EmbeddedTarget) -> None:
    leased.renew()
    leased.act(Action.SET_LIMIT, {"service": "store", "resource": "memory", "value": "1GiB"})
    leased.act(Action.STOP, {"service": "plain"})
    leased.set(Point(PointKind.CPU, "front"), 0.5)
    assert until(lambda: leased.get(Point(PointKind.CPU, "front")) is None)
    assert leased.get(Point(PointKind.MEMORY, "store")) == 2**30
    assert leased.process("plain").state == "gone"


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
    pid = target.status().services["@proxy"].pid
    with held_still(target):  # or it may be back before anybody looks
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: processes.start_time(pid) is None)
        assert not target.probe("front-store").answered
    assert until(lambda: target.probe("front-store").answered)
    assert target.status().services["@proxy"].pid not in (0, pid)


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
        sock.settimeout(CALL_S)
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
    """There is a second in which it takes less than 5 % of a processor, counted by the kernel: one that spins has none."""
    supervisor = target.status().pid

    def ticks() -> int:
        fields = (processes.PROC / str(supervisor) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def quiet() -> bool:
        before = ticks()
        time.sleep(1.0)
        return ticks() - before <= 5

    assert until(quiet)


def test_a_place_without_settings_is_told(target: EmbeddedTarget) -> None:
    with pytest.raises(UsageError, match=r"no setting 'colour'\. Known: level, mode, threshold"):
        target.get(Point(PointKind.CONFIG, "store/colour"))
