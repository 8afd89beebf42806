"""Runs drills of the throw-away shop as a person would, from a shell, and looks at what they leave behind.

What a test waits for is a line of the history or of the ledger, so that it strikes at the same boundary on any machine; what
it believes is read from the target, not told by the harness.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import requests

from harness.clock import now_ns
from harness.contract.undo import Json, Point, PointKind
from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.score import score
from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from harness.target.embedded.processes import labelled
from tests.e2e.waiting import CALL_S, NO_ANSWER

SHOP = Path(__file__).parents[1] / "fixtures_shop"
MARK = "SHOP_DRILL"
"""In the environment of a drill and all that it starts."""
WITHIN_S = 90.0
"""For each thing that is waited for, on any machine; the tests themselves have longer."""
TRIES = 3
REPORTS: list[Path] = []
"""Where the drills of the test at hand report to."""
LONG = "60s"
"""The budget of a drill that a test ends itself, which must not be over before."""
COMMAND = (sys.executable, "-c", "from harness.cli import main; main()")

T = TypeVar("T")

PROMOTE = "{fault: model.promote, model: toy, variant: bad}"
JOB = "{fault: job.fail, service: back, reading: jobs}"
PAUSE = "{fault: process.pause, service: back}"
DOWN = "{fault: process.kill, service: back, down: true}"
KILL = "{fault: process.kill, service: back}"
WITHHOLD = "{fault: cpu.withhold, service: back, share: 0.6}"
MEMORY = "{fault: memory.limit, service: back, limit: 1MiB}"
LATENCY = "{fault: link.latency, link: front-back, latency: 200ms}"
CUT = "{fault: link.cut, link: front-back}"
NULLS = (
    "{fault: data.null, link: outside-front, column: amount, path: /decide, received: received, sent: sent,"
    " cure: {kind: state}}"
)

BASELINE: dict[Point, Json] = {
    Point(PointKind.ALIAS, "toy/champion"): "1",
    Point(PointKind.CONFIG, "back/job_fail"): "",
    Point(PointKind.PROCESS, "back"): "running",
    Point(PointKind.PROCESS, "front"): "running",
    Point(PointKind.CPU, "back"): None,
    Point(PointKind.CPU, "front"): None,
    Point(PointKind.MEMORY, "back"): None,
    Point(PointKind.LINK_UP, "front-back"): True,
    **{Point(PointKind.TOXIC, f"front-back/fault-{index}"): None for index in range(5)},
    **{Point(PointKind.TAP, f"outside-front/fault-{index}"): None for index in range(5)},
}
"""Every point that a fault above sets, as it is when nothing is broken."""


def until(look: Callable[[], T], *, within_s: float = WITHIN_S, what: str = "it") -> T:
    """The first true answer; what can't be asked just now is asked again. Fails the test when none came in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(*NO_ANSWER):
            if found := look():
                return found
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come about within {within_s:g} s")


def shop(instance: str, *, folder: Path = SHOP) -> EmbeddedTarget:
    loaded = load_target(folder / "target.yaml")
    return EmbeddedDriver().open(loaded.spec, folder=loaded.folder, instance=instance, seed=7)


def broken(instance: str) -> dict[str, Json]:
    """What isn't as in the baseline, read from the target itself. Empty where the instance is down."""
    if instance not in EmbeddedDriver().instances():
        return {}
    target = EmbeddedDriver().attach(instance)
    return {
        f"{point.kind} {point.where}": value
        for point, wanted in BASELINE.items()
        if (value := standing(target, point)) != wanted
    }


def standing(target: EmbeddedTarget, point: Point) -> Json:
    """What is set there, as soon as it can be read: whoever holds it may be busy, or coming back."""
    found: list[Json] = []
    until(lambda: found.append(target.get(point)) or found, what=f"a reading of {point.kind} {point.where}")
    return found[0]


def scenario(folder: Path, *faults: str, name: str = "trouble", budget: str = "12s", more: str = "") -> Path:
    listed = "\n".join(f"  - {fault}" for fault in faults)
    path = folder / f"{name}.yaml"
    path.write_text(
        f"scenario: {name}\nkind: fault\ntitle: For a test\nincident: pipeline-failure\nfaults:\n{listed}\n"
        f"expect: {{mitigate: {{within: 1s, hold: 1s}}}}\nbudget: {budget}\nallow: [{{changed: services}}]\n{more}\n"
    )
    return path


@dataclass
class Drill:
    """One `drill run` as a process."""

    process: subprocess.Popen[bytes]
    reports: Path
    mark: str
    said: Path
    instance: str

    @property
    def history(self) -> Path:
        """The recorded run."""
        assert self.folder is not None, self.said.read_text()
        return self.folder / "history.jsonl"

    @property
    def folder(self) -> Path | None:
        found = sorted(self.reports.glob("*/history.jsonl"))
        return found[0].parent if found else None

    @property
    def ledger(self) -> Path:
        """Where its ledger lies, or lay."""
        return Path(os.environ["MLDRILL_STATE"], "ledger", f"{self.history.parent.name.rpartition('-')[2]}.jsonl")

    def lines(self) -> list[dict[str, Any]]:
        """The history's whole lines so far."""
        if self.folder is None:
            return []
        whole = (self.folder / "history.jsonl").read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], *, what: str) -> dict[str, Any]:
        """The first line of the history that is wanted, as soon as it stands there."""
        offset, rest = 0, b""

        def look() -> dict[str, Any] | None:
            nonlocal offset, rest
            ended = self.process.poll() is not None
            if self.folder is None and not ended:
                return None
            with self.history.open("rb") as history:
                history.seek(offset)
                new = history.read()
            offset += len(new)
            *whole, rest = (rest + new).split(b"\n")
            found = next((line for line in map(json.loads, whole) if wanted(line)), None)
            if found is None and ended:
                raise AssertionError(f"the drill ended before {what}: {self.said.read_text()}")
            return found

        return until(look, what=what)

    def command(self, do: str) -> dict[str, Any]:
        """Waits until the conductor has issued this command."""
        return self.wait_for(lambda e: e["kind"] == "command" and e["command"]["do"] == do, what=f"command {do}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Waits for the end; gives the exit code."""
        return self.process.wait(WITHIN_S)

    def processes(self) -> list[int]:
        """What it started, its children's children too, that still runs."""
        return [pid for pid, _ in labelled(MARK, self.mark)]

    def pid_of(self, module: str) -> int:
        """The process of its that runs this module."""

        def look() -> int:
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if module.encode() in words:
                        return pid
            return 0

        return until(look, what=f"a process of {module}")


@contextlib.contextmanager
def drill(
    folder: Path,
    path: Path,
    *options: str,
    instance: str,
    reports: Path | None = None,
    target: Path = SHOP / "target.yaml",
    environment: dict[str, str] | None = None,
) -> Iterator[Drill]:
    """Starts `drill run`; whatever of it is left at the end is killed, by pid."""
    REPORTS.append(reports or folder / "reports")
    mark = secrets.token_hex(8)
    said = folder / f"said-{mark}.txt"
    if not {"--responder", "--playbook"} & set(options):
        options += ("--responder", "none")
    with said.open("wb") as out:
        process = subprocess.Popen(
            [
                *(*COMMAND, "run", str(path), "--target", str(target), "--instance", instance),
                *("--reports", str(reports or folder / "reports"), *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            env={**os.environ, MARK: mark, **(environment or {})},
        )
    running = Drill(process, reports or folder / "reports", mark, said, instance)
    try:
        yield running
    finally:
        for pid, _ in labelled(MARK, mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(WITHIN_S)


def asked_again(test: Callable[..., None]) -> Callable[..., None]:
    """A test of drills, run once more in a folder of its own where it failed and one of its drills couldn't tell, because the
    machine stood still for longer than leases last: such a run has said nothing of what is tested (docs/ci.md). What fails
    otherwise, or each time, fails."""

    @functools.wraps(test)
    def asked(*, tmp_path: Path, **others: Any) -> None:
        for tried in range(TRIES):
            own = tmp_path / f"try-{tried}"
            own.mkdir()
            REPORTS.clear()
            try:
                test(tmp_path=own, **others)
                return
            except Exception:
                silent = [
                    history for reports in REPORTS for history in reports.glob("*/history.jsonl") if mute(history)
                ]
                if not silent or tried + 1 == TRIES:
                    raise
                warnings.warn(f"{test.__name__} is asked again: {silent[0]}", stacklevel=1)
                tool("heal")

    return asked


def mute(history: Path) -> bool:
    """Whether a run couldn't tell: its keeper was late with the leases, or it is undecided."""
    lines = [json.loads(line) for line in history.read_bytes().rpartition(b"\n")[0].split(b"\n") if line]
    late = any(line["kind"] == "observer-lost" and line["observer"] == "keeper" for line in lines)
    return late or score(read(history)).verdict is Verdict.INCONCLUSIVE


def page(instance: str, rule: str, *, status: str = "firing") -> int:
    """Posts an alert to the pager sink, as a monitoring would; gives when, on the clock of the histories."""
    port = EmbeddedDriver().attach(instance).names()["port.pager"]
    alert = {"status": status, "labels": {"alertname": rule}, "startsAt": datetime.now(UTC).isoformat()}
    with requests.Session() as session:
        session.get(
            f"http://127.0.0.1:{port}/", timeout=CALL_S
        )  # whatever the first call costs is no part of the alert's time
        posted = now_ns()
        assert session.post(f"http://127.0.0.1:{port}/", json={"alerts": [alert]}, timeout=CALL_S).status_code == 200
    return posted


def tool(*words: str) -> tuple[int, Any]:
    """Another verb of the command line, with `--json`: exit code and answer."""
    done = subprocess.run([*COMMAND, *words, "--json"], capture_output=True, timeout=WITHIN_S, check=False)
    return done.returncode, json.loads(done.stdout or b"null")
