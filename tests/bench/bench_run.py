"""The figures of a run: how long a drill takes, how fast it lets go, and how true its times are. Prints; asserts no time.

Needs a quiet machine of two cores to mean anything, and says how busy it was. The drill of bad-model-version is that of the
reference pipeline; breach, kill, scripted alert and the no-op drill run on the throw-away shop, whose own times are negligible.
`chaos run` of the Chaos Toolkit, beside which a no-op drill is set, is installed into a throw-away environment.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests

from harness.clock import now_ns
from harness.contract.words import Action
from harness.history.reader import read
from harness.respond.playbook import PlaybookResponder
from harness.run.simulated import Behaviour, SimulatedDriver, Trouble
from harness.score import score
from harness.spec.find import reference_target
from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from tests.e2e import trouble
from tests.simulated.plans import a_plan, planned_fault

TRIALS = int(os.environ.get("BENCH_TRIALS", "10"))
NOTHING = {
    "title": "nothing",
    "description": "nothing",
    "method": [
        {
            "type": "action",
            "name": "nothing",
            "provider": {"type": "python", "module": "os", "func": "getpid", "arguments": {}},
        }
    ],
    "rollbacks": [],
}


def told(what: str, seconds: Iterable[float], *, target: str = "") -> None:
    values = sorted(seconds)
    p99 = values[min(len(values) - 1, round(0.99 * len(values)))]
    print(f"{what:64s} p50 {statistics.median(values):7.3f} s  p99 {p99:7.3f} s  n={len(values)}  {target}", flush=True)


def wall(*words: str, cwd: Path, fine: tuple[int, ...] = (0,)) -> float:
    """Seconds from the shell."""
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, cwd=cwd, check=False)
    if done.returncode not in fine:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return time.monotonic() - began


def pipeline(folder: Path) -> None:
    """Cold to healthy, memory, reset in place."""
    ups = []
    for _ in range(3):
        ups.append(wall(*trouble.COMMAND, "up", "--instance", "cold", cwd=folder))
        shares = [one.memory_bytes or 0 for one in EmbeddedDriver().describe("cold").services.values()]
        target = EmbeddedDriver().attach("cold")
        began = time.monotonic()
        target.reset()
        reset_s = time.monotonic() - began
        target.down()
    told("pipeline cold to healthy, `drill up` from the shell", ups, target="<= 3 s")
    print(f"{'its services, summed PSS':64s} {sum(shares) / 1e6:7.0f} MB                    <= 300 MB")
    told("back to the baseline in place", [reset_s], target="<= 1.5 s")
    spec = load_target(reference_target()).spec
    print(f"{'its services':64s} {len(spec.services):7d}")


def first_drill(folder: Path) -> None:
    drills = [
        wall(*trouble.COMMAND, "run", "bad-model-version", "--reports", str(folder / "first"), cwd=folder, fine=(0, 1))
        for _ in range(2)
    ]
    told("`drill run bad-model-version` from the shell", drills, target="<= 20 s")


def breaches(folder: Path) -> None:
    """From the sample that breaches a stop condition to each fault's undo, and to its witness's clear."""
    undone: dict[str, list[float]] = {}
    clear: dict[str, list[float]] = {}
    withheld = trouble.WITHHOLD.replace("back", "front")
    wrong = (trouble.PROMOTE, trouble.JOB, trouble.NULLS, withheld, trouble.LATENCY), "correctness"
    refused = (trouble.CUT, trouble.PAUSE.replace("back", "front")), "availability"
    for trial in range(TRIALS):
        faults, sli = wrong if trial % 2 else refused
        stop = f"abort: [{{sli: {sli}, below: 0.9, for: 1500ms}}]"
        path = trouble.scenario(folder, *faults, name=f"breach-{trial}", more=stop)
        with trouble.drill(folder, path, instance="bench", reports=folder / f"breach-{trial}") as running:
            running.end()
            one_breach(running.lines(), undone, clear)
    for name, values in sorted(undone.items()):
        told(f"breach to undo applied: {name}", values, target="<= 0.25 s")
        if name in clear:
            told(f"breach to witness clear: {name}", clear[name])


def one_breach(lines: list[dict[str, Any]], undone: dict[str, list[float]], clear: dict[str, list[float]]) -> None:
    events = {line["seq"]: line for line in lines[1:]}
    names = [fault["fault"] for fault in lines[0]["plan"]["faults"]]
    for line in lines[1:]:
        if line["kind"] != "command" or line["command"].get("why") != "stop-condition":
            continue
        breach = events[line["after"]]["t_ns"]
        index = line["command"]["fault"]
        healed = next(e for e in lines if e["kind"] == "fault-healed" and e["fault"] == index)
        undone.setdefault(names[index], []).append((healed["t_ns"] - breach) / 1e9)
        seen = [
            line["t_ns"]
            for line in lines[1:]
            if line["kind"] == "witness" and line["fault"] == index and line["effect"] == "absent"
            if line["t_ns"] - line.get("res_ns", 0) >= healed["t_ns"]
        ]
        if seen:
            clear.setdefault(names[index], []).append((seen[0] - breach) / 1e9)


def kills(folder: Path) -> None:
    """From SIGKILL of the harness to the undo, as the target tells it."""
    taken = []
    address = f"{EmbeddedDriver().attach('bench').names()['service.back.url']}/config"
    session = requests.Session()
    for trial in range(TRIALS):
        path = trouble.scenario(folder, trouble.JOB, name=f"kill-{trial}")
        with trouble.drill(folder, path, instance="bench", reports=folder / f"kill-{trial}") as running:
            running.wait_for(lambda e: e["kind"] == "witness" and e["effect"] == "present", what="the effect")
            began = time.monotonic()
            running.send(signal.SIGKILL)
            while session.get(address, timeout=5).json()["job_fail"] and time.monotonic() < began + 30:
                time.sleep(0.002)
            taken.append(time.monotonic() - began)
            trouble.until(lambda running=running: not running.processes(), what="the end of all that it started")
    told("SIGKILL of the harness to undo applied", taken, target="<= 1 s")


def scripted(folder: Path) -> None:
    """An alert posted at a known moment: what the scorecard makes of it."""
    errors, beyond = [], 0
    for trial in range(max(3, TRIALS // 2)):
        path = trouble.scenario(folder, trouble.JOB, name=f"page-{trial}", budget="5s")
        text = path.read_text().replace("expect: {", "expect: {detect: {layer: availability, within: 4s}, ")
        path.write_text(text)
        with trouble.drill(folder, path, instance="bench", reports=folder / f"page-{trial}") as running:
            running.command("inject-fault")
            trouble.until(lambda running=running: phase(running, "respond"), what="the effect")
            posted = trouble.page("bench", "Scripted")
            running.end()
            card = score(read(running.history))
        active, ttd = card.faults[0].effect_from_ns, card.times.ttd
        assert active is not None
        assert ttd.value_s is not None
        error = abs(ttd.value_s - (posted - active) / 1e9)
        errors.append(error)
        beyond += error > (ttd.resolution_s or 0.0)
    told("scripted alert: error of its TTD", errors, target="<= 0.05 s")
    print(f"{'... beyond its stated resolution':64s} {beyond:7d} of {len(errors)}")


def phase(running: trouble.Drill, name: str) -> bool:
    return any(line["kind"] == "command" and line["command"].get("phase") == name for line in running.lines())


def nothing(folder: Path) -> None:
    """A drill that injects nothing, less what it waits for on purpose, beside an experiment that does nothing."""
    parts: dict[str, list[float]] = {}
    path = trouble.scenario(folder, trouble.JOB, name="nothing", budget="4s")
    for trial in range(5):
        reports = folder / f"nothing-{trial}"
        began = now_ns()
        with trouble.drill(folder, path, "--arm", "control", instance="bench", reports=reports) as running:
            running.end()
            ended = now_ns()
            lines = running.lines()
        at = {
            line["command"].get("phase", line["command"]["do"]): line["t_ns"]
            for line in lines
            if line["kind"] == "command"
        }
        for name, ns in {
            "the whole, with its baseline and its budget": ended - began,
            "its own cost: all but from baseline to cleanup": ended - began - (at["cleanup"] - at["baseline"]),
            "... of that: until the run begins (imports, files, plan)": lines[0]["t_ns"] - began,
            "... of that: target reset, reaper ready": at["start-observers"] - lines[0]["t_ns"],
            "... of that: prober and load observe": at["baseline"] - at["start-observers"],
            "... of that: cleanup": at["ended"] - at["cleanup"],
            "... of that: score, views, exit": ended - at["ended"],
        }.items():
            parts.setdefault(name, []).append(ns / 1e9)
    for name, seconds in parts.items():
        told(f"no-op drill, {name}", seconds)
    own = parts["its own cost: all but from baseline to cleanup"]
    environment = folder / "chaostoolkit"
    venv.create(environment, with_pip=True)
    subprocess.run([environment / "bin" / "python", "-m", "pip", "install", "--quiet", "chaostoolkit"], check=True)
    (folder / "nothing.json").write_text(json.dumps(NOTHING))
    chaos = [wall(str(environment / "bin" / "chaos"), "run", "nothing.json", cwd=folder) for _ in range(5)]
    told("`chaos run` of an experiment that does nothing", chaos)
    beside = statistics.median(own) - statistics.median(chaos)
    print(f"{'the difference of the medians':64s}     {beside:7.3f} s                          <= 0.3 s")


def simulated() -> None:
    plan = a_plan(planned_fault())
    count, began = 300, time.monotonic()
    for seed in range(count):
        SimulatedDriver(
            plan, PlaybookResponder(), Behaviour(cures=frozenset({Action.ROLLBACK})), Trouble(seed=seed, doubled=0.1)
        ).run()
    a_minute = count / (time.monotonic() - began) * 60
    print(f"{'simulated drills a minute':64s} {a_minute:7.0f}                        >= 5000")


def main() -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLDRILL_STATE"] = str(folder / "state")
        simulated()
        if "--shop" not in sys.argv:
            pipeline(folder)
            first_drill(folder)
        trouble.shop("bench").up()
        try:
            nothing(folder)
            scripted(folder)
            breaches(folder)
            kills(folder)
        finally:
            EmbeddedDriver().attach("bench").down()


if __name__ == "__main__":
    main()
