"""`drill page`: the page and the picture of the catalogue, of any scenario that was run, also of one's own."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from harness.cli.telling import tell
from harness.contract.faults import PlannedFault
from harness.contract.words import Arm
from harness.errors import HarnessError, UsageError
from harness.report.leaf.text import Floor, Links


class AtDose(msgspec.Struct, frozen=True):
    """One dose as it was tried."""

    streams: int


class Dose(msgspec.Struct, frozen=True):
    """What `drill dose --json` tells, as far as a page needs it."""

    smallest: Floor
    clean: AtDose


@click.command("page")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("others", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dose", type=click.Path(path_type=Path), help="What `drill dose NAME --json` printed.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Default: the run's own folder.")
@click.option("--json", "as_json", is_flag=True, help="Where they were written, as JSON on standard output.")
def command(run: Path, others: tuple[Path, ...], dose: Path | None, to: Path | None, as_json: bool) -> int:
    """Write a page of the catalogue, SCENARIO.md and SCENARIO.svg, from recorded runs.

    RUN is drawn: what the fault did to the data, and when each rule of the monitoring fired, or that it didn't. A run that nobody
    answered shows most. How OTHERS of the same scenario came out is told beside it.
    """
    from harness.cli.runs import history_path
    from harness.history.reader import read
    from harness.report.leaf.picture import picture, shown
    from harness.report.leaf.text import described, measured
    from harness.score import score

    path = history_path(run)
    history = read(path)
    card = score(history)
    plan = history.header.plan
    if plan.arm is Arm.CONTROL:
        raise UsageError(
            f"{path}: a control: nothing was injected, so there is nothing to draw",
            hint=f"drill run {plan.scenario} --responder none",
        )
    if card.moments.t_active_from is None:
        raise UsageError(
            f"{path}: no fault was ever seen to be active ({card.verdict}): a page would call each rule blind to nothing",
            hint="drill report tells why",
        )
    beside = [score(read(history_path(other))) for other in others]
    strange = next((one.scenario for one in beside if one.scenario != plan.scenario), None)
    if strange is not None:
        raise UsageError(f"the runs are of different scenarios: {plan.scenario} and {strange}")
    folder = to if to is not None else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    scenario, playbook, links = _files(history.header, folder)
    told = shown(history, card)
    floor = None if dose is None else _floor(dose)
    page, drawing = folder / f"{plan.scenario}.md", folder / f"{plan.scenario}.svg"
    found = measured(told, card, others=beside, floor=floor, doseless=_doseless(plan.faults))
    page.write_text(described(scenario, playbook, links=links) + found)
    drawing.write_text(f"{picture(told)}\n")
    tell(json.dumps({"page": str(page), "picture": str(drawing)}) if as_json else str(page))
    return 0


def links_of(scenario: Path, playbook: Path | None, *, beside: Path) -> Links:
    """The files, as seen from the folder `beside`."""
    return Links(os.path.relpath(scenario, beside), os.path.relpath(playbook, beside) if playbook is not None else "")


def _files(header: Any, folder: Path) -> tuple[Any, Any, Links]:
    """Scenario and playbook as they were when the run was made, and where they are now, if they still are."""
    from harness.spec.explain import validate
    from harness.spec.find import find_playbook, find_scenario
    from harness.spec.markdown import read_playbook
    from harness.spec.scenario import Scenario
    from harness.spec.yaml_nodes import parse_yaml

    place, _ = parse_yaml(header.scenario_text)
    scenario = validate(Scenario, place)[0] if place is not None else None
    if scenario is None:
        raise UsageError("the run's own scenario can't be read by this version")
    playbook = read_playbook(header.playbook_text)[0] if header.playbook_text else None
    try:
        here = find_scenario(header.plan.scenario)
        links = links_of(here, find_playbook(playbook.head.id, near=here) if playbook else None, beside=folder)
    except HarnessError:
        links = Links()
    return scenario, playbook, links


def _doseless(faults: Sequence[PlannedFault]) -> str:
    """The fault for which no dose can be found offline; empty where one can, or where the plugin of a fault isn't installed."""
    from harness.cli.dosing.asked import without_dose

    try:
        return without_dose(faults)
    except HarnessError:
        return ""


def _floor(path: Path) -> Floor:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Dose)
        return msgspec.structs.replace(found.smallest, streams=found.clean.streams)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path}: not what `drill dose NAME --json` prints: {error}") from None
