"""`drill doctor`: what is still broken, and whether this machine is fit for drills."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from harness.cli.telling import tell
from harness.errors import Exit, HarnessError
from harness.target.instances import Finding

ROOM_BYTES = 64 * 2**20


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(as_json: bool) -> int:
    """Look for what a dead run left behind, and for what would spoil a drill. Changes nothing."""
    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("leftovers", _leftovers),
        ("instances", _instances),
        ("state directory", _state),
        ("reports folder", _reports),
        ("processors", _processors),
        ("python", _python),
        ("files", _files),
    ]
    found: list[Finding] = []
    for name, check in checks:
        try:
            fine, words = check()
        except HarnessError as error:
            fine, words = False, error.message
        found.append(Finding(name, ok=fine, says=words))
    found += _drivers()
    dirty = not found[0].ok or any(one.left for one in found)
    unfit = any(not one.ok for one in found[1:])
    told = [{"check": one.check, "ok": one.ok, "says": one.says, "left": list(one.left)} for one in found]
    if as_json:
        tell(json.dumps({"checks": told, "dirty": dirty}))
    else:
        for one in told:
            tell(f"{'ok  ' if one['ok'] else 'BAD '} {one['check']}: {one['says']}")
        if not found[0].ok:
            click.echo("hint: run `drill heal`", err=True)
    return int(Exit.DIRTY if dirty else Exit.ENVIRONMENT if unfit else Exit.PASS)


def _leftovers() -> tuple[bool, str]:
    from harness.cli.ledgers import open_ledgers
    from harness.run.ledger import standing

    left, running = [], 0
    for ledger in open_ledgers():
        stands = standing(ledger.entries())
        if stands.opened is not None and stands.opened.alive:
            running += 1
        else:
            points = [f"{undo.point.kind} {undo.point.where}" for secured in stands.open for undo in secured.undos]
            if stands.opened is not None and stands.opened.owns_instance:
                points.append(f"instance '{stands.opened.instance}', which it had brought up")
            left.append(f"run {ledger.path.stem}: {', '.join(points) or 'it was never closed'}")
    if left:
        return False, "; ".join(left)
    return True, f"nothing is left behind; {running} runs under way" if running else "nothing is left behind"


def _instances() -> tuple[bool, str]:
    from harness.cli.targets import described, drivers, known

    shown = [described(driver, name) for driver in drivers() for name in known(driver)]
    broken = [f"{one.instance} ({one.driver}): {one.problem}" for one in shown if one.problem]
    if broken:
        return False, "; ".join(broken)
    return True, ", ".join(
        f"{one.instance} ({one.driver}, running)" for one in shown if one.running
    ) or "none is running"


def _drivers() -> list[Finding]:
    """What the drivers themselves say."""
    from harness.cli.targets import drivers
    from harness.target.instances import Examining

    found: list[Finding] = []
    for driver in drivers():
        if isinstance(driver, Examining):
            try:
                found += driver.examine()
            except HarnessError as error:
                found.append(Finding(driver.name, ok=False, says=error.message))
    return found


def _state() -> tuple[bool, str]:
    from harness.state import state_dir

    folder = state_dir()
    free = shutil.disk_usage(folder).free
    return free >= ROOM_BYTES, f"{folder}, {free // 2**20} MiB free"


def _reports() -> tuple[bool, str]:
    folder = Path("reports")
    near = folder if folder.exists() else Path()
    free = shutil.disk_usage(near).free
    return os.access(near, os.W_OK) and free >= ROOM_BYTES, f"{folder.absolute()}, {free // 2**20} MiB free"


def _processors() -> tuple[bool, str]:
    count = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    busy = load > count * 1.5
    # A remark and no more: a busy machine makes times coarse, which the resolutions say, but it is no reason to refuse.
    return True, f"{count}, load {load:.1f}" + (": busy, so times will be coarse" if busy else "")


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), sys.version.split()[0]


def _files() -> tuple[bool, str]:
    from harness.spec.find import all_scenarios, reference_target
    from harness.spec.load import load_scenario, load_target

    load_target(reference_target())
    found = [load_scenario(path) for path in all_scenarios()]
    return bool(found), f"{len(found)} scenarios and the reference target can be read"
