"""`drill plan`: what would happen, step by step, with every undo and witness; nothing is started."""

from __future__ import annotations

import click
import msgspec

from harness.contract.words import Arm


@click.command("plan")
@click.argument("scenario")
@click.option("--target", help="A target file, or `docker`; without it the reference pipeline.")
@click.option("--responder", default="playbook", show_default=True, help="Who answers: none, restart-all, playbook.")
@click.option("--arm", type=click.Choice([str(arm) for arm in Arm]), help="Default: the scenario's own kind.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: the scenario's.")
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON on standard output.")
def command(scenario: str, target: str | None, responder: str, arm: str | None, seed: int | None, as_json: bool) -> int:
    """Plan SCENARIO (a name or a file) against a target."""
    from harness.cli.drill import choose
    from harness.plan import describe

    plan = choose(scenario, target=target, arm=arm, seed=seed, responder=responder).plan
    if as_json:
        click.echo(msgspec.json.encode(plan).decode())
        return 0
    for line in describe(plan):
        click.echo(line)
    return 0
