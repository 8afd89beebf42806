"""Life and death of an embedded instance: what dies with whom, what comes back, what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Observation
from harness.errors import EnvironmentProblem, TargetBusyError
from harness.spec.load import load_target
from harness.spec.target import TargetSpec
from harness.target import http
from harness.target.embedded import processes, record, startup
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.launch import LABEL
from harness.target.embedded.startup import StartProblem
from tests.e2e.waiting import CALL_S, answered, held_still, leases, until

TINY = Path(__file__).parents[1] / "fixtures_tiny" / "target.yaml"
DRIVER = EmbeddedDriver()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / "state"))
    with leases():
        yield
    for name in DRIVER.instances():
        DRIVER.attach(name).down()


def opened(instance: str = "one", *, seed: int = 7, **changes: object) -> EmbeddedTarget:
    loaded = load_target(TINY)
    spec = loaded.spec
    if changes:
        written = spec.model_dump(mode="json", by_alias=True, exclude_unset=True) | changes
        spec = TargetSpec.model_validate(written)
    return DRIVER.open(spec, folder=loaded.folder, instance=instance, seed=seed)


def up(instance: str = "one", *, seed: int = 7, **changes: object) -> EmbeddedTarget:
    target = opened(instance, seed=seed, **changes)
    target.up()
    return target


def labelled(target: EmbeddedTarget) -> list[int]:
    found = record.load(target.home)
    assert found is not None
    return [pid for pid, _ in processes.labelled(LABEL, found.label)]


def pid_of(target: EmbeddedTarget, service: str) -> int:
    return target.status().services[service].pid


def test_up_and_down_leave_no_process() -> None:
    target = up()
    everybody = labelled(target)
    assert len(everybody) >= 6  # supervisor, zygote, proxy, three services
    target.down()
    assert labelled(target) == []
    assert not target.running
    assert DRIVER.instances() == []


def test_up_again_changes_nothing() -> None:
    target = up()
    before = target.status()
    target.up()
    assert target.status() == before


def test_another_seed_starts_afresh_and_keeps_the_ports() -> None:
    target = up()
    before, ports = pid_of(target, "store"), target.names()["service.store.port"]
    again = up(seed=8)
    assert pid_of(again, "store") != before
    assert again.names()["service.store.port"] == ports
    env = http.ask("GET", again.endpoint("${service.front.url}/env"), timeout_s=CALL_S)
    assert env["SEED"] == "8"


def test_another_target_of_the_same_name_is_not_touched() -> None:
    target = up()
    before = target.status()
    with pytest.raises(EnvironmentProblem, match="runs another target, 'tiny'"):
        opened(target="other").up()
    assert target.status() == before


def test_a_killed_service_comes_back_at_its_port_with_the_reason_told() -> None:
    target = up()
    before, port = target.process("store").identity, target.names()["service.store.port"]
    pid = pid_of(target, "store")
    with held_still(target):
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: processes.start_time(pid) is None)
        assert not target.probe("front-store").answered
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(str(port))), timeout=CALL_S)
    assert until(lambda: target.process("store").identity not in ("", before))
    assert until(lambda: target.process("store").ready)
    assert target.names()["service.store.port"] == port
    (exit_,), cursor = target.exits(after=0)
    assert exit_[1:] == ("store", "signal", signal.SIGKILL, False)
    assert target.exits(after=cursor) == ([], cursor)


def test_what_the_pipeline_may_know_of_an_exit() -> None:
    """Its own monitoring reads of deaths in a file: an injected kill looks like any other, an operator's restart is announced."""
    target = up()
    target.set(Point(PointKind.PROCESS, "store"), "killed")
    target.act(Action.RESTART, {"service": "front"})
    assert until(lambda: len(exits_file(target)) == 2)
    found = {line["service"]: (line["reason"], line["asked"]) for line in exits_file(target)}
    assert found == {"store": ("signal", False), "front": ("signal", True)}
    assert {exit_[1]: exit_[4] for exit_ in target.exits(after=0)[0]} == {"store": True, "front": True}


def exits_file(target: EmbeddedTarget) -> list[dict[str, object]]:
    return [json.loads(line) for line in (target.home / "exits.jsonl").read_text().splitlines()]


def test_a_service_that_ends_itself_is_told_by_its_code() -> None:
    target = up()
    with contextlib.suppress(OSError, http.HTTP_PROBLEM):
        http.request("POST", target.endpoint("${service.store.url}/die"), timeout_s=CALL_S)
    assert until(lambda: len(target.exits(after=0)[0]) == 1)
    assert target.exits(after=0)[0][0][1:] == ("store", "exit", 3, False)


def test_all_die_with_the_supervisor_and_up_recovers() -> None:
    target = up()
    everybody, supervisor = labelled(target), target.status().pid
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    assert until(lambda: all(processes.start_time(pid) is None for pid in everybody))
    assert not target.running
    undo = Undo(driver="embedded", instance="one", point=Point(PointKind.CPU, "store"), injected=0.5, restore=None)
    assert target.undo(undo) is UndoOutcome.GONE
    target.up()
    assert until(lambda: target.process("store").ready)


def test_services_come_back_when_the_warm_interpreter_dies() -> None:
    target = up()
    before = {name: service.pid for name, service in target.status().services.items()}
    os.kill(target.status().zygote, signal.SIGKILL)
    assert until(lambda: all(0 != one.pid != before[name] for name, one in target.status().services.items()))
    assert until(lambda: all(target.process(name).ready for name in target.spec.services))
    assert until(lambda: all(processes.start_time(pid) is None for pid in before.values()))


def test_grandchildren_go_too() -> None:
    """A service's own children are in its group; they end with it, and with the instance."""
    target = up()
    child = http.ask("POST", target.endpoint("${service.plain.url}/child"), body={}, timeout_s=CALL_S)["pid"]
    os.kill(pid_of(target, "plain"), signal.SIGKILL)
    assert until(lambda: processes.start_time(child) is None)
    assert until(lambda: target.process("plain").ready)
    child = http.ask("POST", target.endpoint("${service.plain.url}/child"), body={}, timeout_s=CALL_S)["pid"]
    target.down()
    assert processes.start_time(child) is None


def test_a_sweep_waits_for_what_takes_long_to_die() -> None:
    """A killed process has lost its label before it has given its memory back."""
    found = record.Record(instance="one", spec={}, digest="", folder="", seed=7, label=secrets.token_hex(8), ports={})
    hoard = "x = bytearray(b'x') * (300 << 20); print('full', flush=True); import time; time.sleep(600)"
    environment = dict(os.environ) | {LABEL: found.label}
    with subprocess.Popen([sys.executable, "-c", hoard], stdout=subprocess.PIPE, env=environment) as hoarder:
        assert hoarder.stdout is not None
        assert hoarder.stdout.readline() == b"full\n"
        startup.sweep(found)
        assert processes.start_time(hoarder.pid) is None


def test_a_service_that_will_not_start_is_told_with_its_last_words() -> None:
    services = load_target(TINY).spec.model_dump(mode="json", by_alias=True, exclude_unset=True)["services"]
    services["front"]["start"] = {"python": "tiny:broken"}
    target = opened(services=services)
    with pytest.raises(StartProblem, match="'front' dies again and again") as problem:
        target.up()
    assert problem.value.log[-1] == "the last words of a broken service"
    assert not target.running


def test_a_module_that_can_not_be_loaded_is_told() -> None:
    with pytest.raises(StartProblem, match="no_such_module can't be imported"):
        up(preload=["no_such_module"])


def test_a_module_that_starts_a_thread_is_refused(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    )
    with pytest.raises(StartProblem, match="threaded starts a thread"):
        up(preload=["threaded"], python_path=[".", str(tmp_path)])


def test_two_instances_live_side_by_side() -> None:
    one, two = up("one"), up("two")
    assert sorted(DRIVER.instances()) == ["one", "two"]
    assert not set(labelled(one)) & set(labelled(two))
    two.set(Point(PointKind.PROCESS, "store"), "paused")
    assert until(lambda: two.process("store").state == "stopped")
    assert one.process("store").state == "running"
    two.down()
    assert until(lambda: one.process("store").ready)
    assert DRIVER.describe("one").running


def test_an_instance_is_found_from_another_process() -> None:
    target = up()
    code = (
        "from harness.target.embedded.driver import EmbeddedDriver\n"
        "t = EmbeddedDriver().attach('one')\n"
        "print(t.spec.services['store'].ready.within, t.process('store').state)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert shown.stdout.split() == ["10.0", "running"]
    target.down()
    with pytest.raises(EnvironmentProblem, match="no running instance 'one'"):
        DRIVER.attach("one")


def test_a_bystander_is_never_touched() -> None:
    """A process of the same user, in a session of its own, that looks like one of ours but isn't labelled."""
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        start_new_session=True,
        env=dict(os.environ) | {LABEL: "somebody-else's", "SERVICE": "store"},
    )
    try:
        target = up()
        os.kill(target.status().pid, signal.SIGKILL)
        target.up()
        target.set(Point(PointKind.PROCESS, "store"), "killed")
        target.down()
        assert bystander.poll() is None
        found = processes.stat(bystander.pid)
        assert found is not None
        assert found.state not in "TtZX", "stopped or dead"
    finally:
        bystander.kill()
        bystander.wait(timeout=10)


def test_a_remembered_pid_that_is_somebody_else_s_is_not_signalled() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        target = up()
        target.down()
        found = record.load(target.home)
        assert found is not None
        other = json.loads((target.home / record.RECORD).read_text()) | {"supervisor_pid": bystander.pid}
        (target.home / record.RECORD).write_text(json.dumps(other))
        target.down()
        target.up()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(timeout=10)


def test_one_run_at_a_time() -> None:
    target = up()
    target.acquire("first")
    other = DRIVER.attach("one")
    with pytest.raises(TargetBusyError, match=rf"in use by run first \(pid {os.getpid()}\)"):
        other.acquire("second")
    for refused in (other.down, other.reset):
        with pytest.raises(TargetBusyError):
            refused()
    assert until(lambda: target.process("store").ready)
    target.release()
    other.acquire("second")
    other.release()
    target.down()


def test_a_lock_goes_with_its_process() -> None:
    up()
    code = (
        "import os, signal\nfrom harness.target.embedded.driver import EmbeddedDriver\n"
        "EmbeddedDriver().attach('one').acquire('doomed')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=100, check=False).returncode == -signal.SIGKILL
    target = DRIVER.attach("one")
    target.acquire("next")
    target.release()


def test_a_long_state_path_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path / ("d" * 100) / ("e" * 100)))
    target = up()
    assert until(lambda: target.process("store").ready)
    target.down()


def test_state_of_the_last_start_is_gone_logs_say_what_was() -> None:
    target = up()
    target.set(Point(PointKind.CONFIG, "store/level"), 9)
    target.down()
    target.up()
    assert target.get(Point(PointKind.CONFIG, "store/level")) == 1
    assert target.log_tail("store") == ("tiny service starts store",)


def test_operators_see_services_and_resources() -> None:
    target = up()
    assert answered(lambda: target.observe(Observation.SERVICES, {})["front.version"]) == "1"
    target.act(Action.STOP, {"service": "store"})
    assert until(lambda: target.observe(Observation.SERVICES, {})["store"] == "down")
    target.act(Action.START, {"service": "store"})
    assert until(lambda: target.observe(Observation.SERVICES, {})["store"] == "ready")
    target.act(Action.SET_LIMIT, {"service": "store", "resource": "memory", "value": "512MiB"})
    assert target.observe(Observation.RESOURCES, {})["store.memory_limit"] == 512 * 2**20
    target.act(Action.SET_FLAG, {"service": "store", "flag": "level", "value": 4})
    assert answered(lambda: target.observe(Observation.CONFIG, {"service": "store"}))["level"] == 4
    assert target.observe(Observation.LOGS, {"service": "store"})["lines"] >= 2
