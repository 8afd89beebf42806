"""From names on a command line to a plan, and from a plan to a scored run: what the verbs share."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.cli.places import placed
from harness.contract.words import Arm, Kind
from harness.errors import UnsupportedError, UsageError
from harness.history.events import AnyEvent
from harness.observe.observers import Observers
from harness.plan import make_plan
from harness.plugin import Driver, Fault, Responder, Target, load
from harness.run.execute import Request
from harness.spec.find import find_playbook, find_scenario, find_target
from harness.spec.load import LoadedPlaybook, LoadedScenario, LoadedTarget, load_playbook, load_scenario, load_target
from harness.spec.plan import Plan

PLAYBOOK = "playbook"
NOBODY = "none"


@dataclass(frozen=True)
class Chosen:
    """What a command line chose, resolved: files read, plan made, nothing started."""

    scenario: LoadedScenario
    playbook: LoadedPlaybook | None
    target: LoadedTarget
    driver: Driver
    responder: Responder
    plan: Plan


def choose(
    scenario: str,
    *,
    target: str | None,
    arm: str | None,
    seed: int | None,
    responder: str,
    playbook: str | None = None,
    act_at_s: float | None = None,
) -> Chosen:
    """Reads the files and plans. Raises `InvalidFileError`, `UsageError`, `UnsupportedError`."""
    found = load_scenario(find_scenario(scenario))
    described = load_target(find_target(target))
    responding: Responder = load("responder", responder)
    name = playbook or found.scenario.playbook
    unanswered = responder == PLAYBOOK and name is None
    read, missing = None, None
    if name is not None:
        try:
            read = load_playbook(_playbook_path(name, found.path))
        except UsageError as error:
            if playbook is not None:
                raise
            missing = UsageError(f"{found.where('playbook')}: playbook: {error.message}", hint=error.hint)
    driver: Driver = load("target", described.spec.driver)
    kind = found.scenario.kind
    chosen_arm = Arm(arm) if arm is not None else Arm(kind)
    if chosen_arm not in (Arm.CONTROL, Arm(kind)):
        raise UsageError(
            f"'{found.scenario.scenario}' is a {kind} scenario: it has the arms {kind} and control, not {chosen_arm}"
        )
    try:
        plan = make_plan(
            found.scenario,
            scenario_digest=found.digest,
            target_spec=described.spec,
            inventory=driver.inventory(described.spec),
            playbook=read.playbook if read is not None else None,
            arm=chosen_arm,
            seed=found.scenario.seed if seed is None else seed,
            responder=NOBODY if unanswered or missing else responder,
            responder_arguments={},
            act_at_s=act_at_s,
            faults=lambda fault: load("fault", fault),
            target_digest=described.digest,
            command=_command(scenario, target, chosen_arm, kind, seed, responder, playbook, act_at_s),
        )
    except (UsageError, UnsupportedError) as error:
        also = "" if missing is None else f"\n{missing.message}"
        raise placed(type(error)(error.message + also, hint=error.hint), found) from None
    if missing is not None:
        raise missing
    if unanswered:  # told last, since whatever is wrong in the file must be mended with any responder
        raise UsageError(
            f"{found.where()}: this scenario names no playbook for the responder to follow",
            hint="add `playbook: NAME` to it, or give --playbook FILE.md, or --responder none: nobody answers",
        )
    return Chosen(found, read, described, driver, responding, plan)


def request(
    chosen: Chosen, *, instance: str, reports: Path, keep: bool, fresh: bool = False
) -> tuple[Request, Target, bool]:
    """The request to execute a plan, its target, and whether that is running already."""
    plan = chosen.plan
    running = instance in chosen.driver.instances()
    target = chosen.driver.open(chosen.target.spec, folder=chosen.target.folder, instance=instance, seed=plan.seed)
    faults: tuple[Fault, ...] = tuple(load("fault", planned.fault) for planned in plan.faults)

    def observers(folder: Path, put: Callable[[AnyEvent], None]) -> Observers:
        return Observers(
            plan, spec=chosen.target.spec, folder=chosen.target.folder, fill=target.endpoint, logs=folder, put=put
        )

    made = Request(
        plan=plan,
        scenario_text=chosen.scenario.text,
        playbook_text=chosen.playbook.text if chosen.playbook is not None else "",
        target=target,
        responder=chosen.responder,
        faults=faults,
        observers=observers,
        reports=reports,
        commit=_commit(),
        keep=keep,
        fresh=fresh,
    )
    return made, target, running


def _playbook_path(name: str, scenario: Path) -> Path:
    return Path(name) if name.endswith(".md") else find_playbook(name, near=scenario)


def _command(
    scenario: str,
    target: str | None,
    arm: Arm,
    kind: Kind,
    seed: int | None,
    responder: str,
    playbook: str | None,
    act_at_s: float | None,
) -> str:
    """The command line that repeats the run."""
    words = ["drill", "run", scenario]
    if target is not None:
        words += ["--target", target]
    if str(arm) != str(kind):
        words += ["--arm", str(arm)]
    words += ["--responder", responder]
    if playbook is not None:
        words += ["--playbook", playbook]
    if act_at_s is not None:
        words += ["--act-at", f"{act_at_s:g}s"]
    if seed is not None:
        words += ["--seed", str(seed)]
    return shlex.join(words)


def _commit() -> str:
    """The checkout's commit, with `-dirty` where it has changes; empty where there is none."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=3,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""
