"""The verbs that look for instances look at all drivers, and ask for no more than a driver gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli import main, targets
from harness.errors import EnvironmentProblem, Exit
from harness.target.instances import Finding, InstanceStatus, ServiceStatus


class Instance:
    def __init__(self, driver: Plain, name: str) -> None:
        self.driver, self.name = driver, name

    def down(self) -> None:
        self.driver.running.remove(self.name)


class Plain:
    """Gives what `Driver` asks for, and nothing else."""

    def __init__(self, name: str, *running: str) -> None:
        self.name, self.running = name, list(running)

    def instances(self) -> Sequence[str]:
        return self.running

    def attach(self, instance: str) -> Instance:
        return Instance(self, instance)


class Full(Plain):
    """Remembers, describes and examines."""

    problem, left, finding = "", (), Finding("engine", ok=True, says="there")

    def known(self) -> Sequence[str]:
        return [*self.running, "old"]

    def describe(self, instance: str) -> InstanceStatus:
        store = ServiceStatus("paused", health="healthy", port=4711, restarts=2, memory_bytes=3 * 2**20)
        return InstanceStatus(
            driver=self.name,
            instance=instance,
            target="shop",
            running=instance != "old",
            runs_as="project p",
            services={"store": store},
            problem=self.problem,
        )

    def examine(self) -> Sequence[Finding]:
        return [self.finding]

    def sweep(self, instance: str) -> Sequence[str]:
        return self.left


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Plain]:
    made: dict[str, Plain] = {"full": Full("full", "one", "both"), "plain": Plain("plain", "two", "both")}
    monkeypatch.setenv("MLDRILL_STATE", str(tmp_path))
    monkeypatch.setattr(targets, "names", lambda _kind: tuple(made))
    monkeypatch.setattr(targets, "load", lambda _kind, name: made[name])
    return made


def drill(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_status_shows_what_each_driver_can_tell(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = drill("status", capsys=capsys)
    lines = out.splitlines()
    assert code == Exit.PASS
    assert lines[0] == "one: shop, full, running, project p, seed 0"
    assert lines[1].split() == ["store", "paused", "healthy", "pid", "-", "port", "4711", "restarts", "2", "3.0", "MiB"]
    assert [line for line in lines if not line.startswith(" ")][1:] == [
        "both: shop, full, running, project p, seed 0",
        "two: plain, running, seed 0",
        "both: plain, running, seed 0",
    ]


def test_status_tells_those_that_are_down_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = drill("status", "--all", "--driver", "full", "--json", capsys=capsys)
    assert [(one["driver"], one["instance"], one["running"]) for one in json.loads(out)] == [
        ("full", "one", True),
        ("full", "both", True),
        ("full", "old", False),
    ]


def test_down_finds_the_driver_that_has_it(registered: dict[str, Plain], capsys: pytest.CaptureFixture[str]) -> None:
    assert drill("down", "--instance", "two", capsys=capsys)[0] == Exit.PASS
    assert (registered["plain"].running, registered["full"].running) == (["both"], ["one", "both"])


def test_down_asks_which_where_two_have_it(registered: dict[str, Plain], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = drill("down", "--instance", "both", capsys=capsys)
    assert (code, "drivers full and plain" in err, "--driver full" in err) == (Exit.USAGE, True, True)
    assert "both" in registered["full"].running
    assert drill("down", "--instance", "both", "--driver", "plain", capsys=capsys)[0] == Exit.PASS
    assert (registered["plain"].running, registered["full"].running) == (["two"], ["one", "both"])


def test_down_removes_what_is_left_of_one_that_nobody_remembers(
    registered: dict[str, Plain], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drill("down", "--instance", "lost", capsys=capsys)[0] == Exit.ENVIRONMENT
    monkeypatch.setattr(registered["full"], "left", ("container x",))
    assert drill("down", "--instance", "lost", capsys=capsys)[0] == Exit.PASS


@pytest.mark.parametrize(
    ("finding", "code"),
    [
        (Finding("engine", ok=True, says="a remark"), Exit.PASS),
        (Finding("engine", ok=False, says="can't be asked"), Exit.ENVIRONMENT),
        (Finding("engine", ok=False, says="a container", left=("container x",)), Exit.DIRTY),
    ],
)
def test_doctor_tells_what_drivers_find(
    registered: dict[str, Plain],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    finding: Finding,
    code: Exit,
) -> None:
    monkeypatch.setattr(registered["full"], "finding", finding)
    ended, out, _ = drill("doctor", "--json", capsys=capsys)
    told = {one["check"]: one for one in json.loads(out)["checks"]}
    assert ended == code
    assert (told["engine"]["says"], told["engine"]["left"]) == (finding.says, list(finding.left))
    assert told["instances"]["says"] == (
        "one (full, running), both (full, running), two (plain, running), both (plain, running)"
    )


def test_an_instance_that_can_not_be_asked_is_told_and_not_passed_over(
    registered: dict[str, Plain], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(instance: str) -> InstanceStatus:
        raise EnvironmentProblem("the daemon doesn't answer")

    monkeypatch.setattr(registered["full"], "describe", gone)
    code, out, _ = drill("doctor", capsys=capsys)
    assert (code, "BAD  instances: one (full): the daemon doesn't answer" in out) == (Exit.ENVIRONMENT, True)
    code, out, _ = drill("status", capsys=capsys)
    assert (code, out.count("the daemon doesn't answer")) == (Exit.PASS, 3)
