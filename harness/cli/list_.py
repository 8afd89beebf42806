"""`drill list`: what can be broken, by incident type; with `--faults`, the faults that scenarios are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import msgspec

if TYPE_CHECKING:
    from harness.contract.words import Capability
    from harness.spec.scenario import Scenario


@click.command("list")
@click.argument("folder", required=False)
@click.option("--faults", is_flag=True, help="The faults that scenarios are made of, with their arguments.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(folder: str | None, faults: bool, as_json: bool) -> int:
    """List scenarios: those that come with mldrill, or those in FOLDER."""
    if faults:
        return _faults(as_json)
    from harness.spec.catalogue import rows
    from harness.spec.find import all_scenarios

    found = rows(all_scenarios(folder))
    here = _embedded()
    if as_json:
        fields = [
            {
                "scenario": row.scenario.scenario,
                "kind": str(row.scenario.kind),
                "incident": str(row.scenario.incident),
                "title": row.scenario.title,
                "faults": [fault.fault for fault in row.scenario.faults],
                "playbook": row.scenario.playbook,
                "budget_s": row.scenario.budget,
                "containers": not _needs(row.scenario) <= here,
                "path": str(row.path),
            }
            for row in found
        ]
        click.echo(json.dumps(fields))
        return 0
    incident = None
    for row in found:
        if row.scenario.incident != incident:
            incident = row.scenario.incident
            click.echo(f"{incident}")
        decoy = " (decoy)" if row.scenario.kind == "decoy" else ""
        containers = "" if _needs(row.scenario) <= here else " (containers)"
        click.echo(f"  {row.scenario.scenario:24} {row.scenario.title}{decoy}{containers}")
    click.echo("\nRun one: drill run NAME; on containers: drill run NAME --target docker", err=True)
    return 0


def _embedded() -> frozenset[Capability]:
    """What the reference pipeline as child processes can have done to it."""
    from harness.plugin import load
    from harness.spec.find import find_target
    from harness.spec.load import load_target

    spec = load_target(find_target("embedded")).spec
    able: frozenset[Capability] = load("target", spec.driver).inventory(spec).capabilities
    return able


def _needs(scenario: Scenario) -> frozenset[Capability]:
    """What its faults need; nothing of a fault that isn't there, which `drill validate` tells."""
    from harness.plugin import load, names

    known = names("fault")
    declared = [load("fault", fault.fault).declaration.needs for fault in scenario.faults if fault.fault in known]
    return frozenset().union(*declared)


def _faults(as_json: bool) -> int:
    from harness.plugin import load, names

    declared = [load("fault", name).declaration for name in names("fault")]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(declared, order="sorted")))
        return 0
    for one in declared:
        click.echo(f"{one.name}: {one.summary}")
        click.echo(f"    needs {', '.join(sorted(one.needs))}; dose: {one.dose}; cure: {one.cure.kind}")
        for argument in one.arguments:
            default = "required" if argument.required else f"default {argument.default!r}"
            click.echo(f"    {argument.name:10} {argument.type:9} {default:18} {argument.help}")
    return 0
