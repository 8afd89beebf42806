"""`drill run`: one drill, hands-free."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.telling import tell
from harness.contract.words import Arm
from harness.spec.base import parse_duration


class Duration(click.ParamType[float]):
    """A duration with its unit, as in files."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("run")
@click.argument("scenario")
@click.option("--target", help="A target file, or `docker`; without it the reference pipeline.")
@click.option("--responder", default="playbook", show_default=True, help="Who answers: none, restart-all, playbook.")
@click.option("--arm", type=click.Choice([str(arm) for arm in Arm]), help="Default: the scenario's own kind.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: the scenario's.")
@click.option("--playbook", help="Another playbook: its id, or a .md file.")
@click.option("--act-at", type=Duration(), help="restart-all acts unasked at this time after its start, such as 4s.")
@click.option("--instance", default="default", show_default=True, help="Which instance of the target.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave the target up afterwards, reset.")
@click.option("--fresh", is_flag=True, help="Take a running instance down first instead of resetting it.")
@click.option("--json", "as_json", is_flag=True, help="The scorecard on standard output, plus run_dir.")
def command(
    scenario: str,
    target: str | None,
    responder: str,
    arm: str | None,
    seed: int | None,
    playbook: str | None,
    act_at: float | None,
    instance: str,
    reports: Path,
    keep: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Break something, see who notices and who repairs it, score both.

    SCENARIO is a name from `drill list` or a file.
    """
    from harness.cli.drill import choose, request
    from harness.history.reader import read
    from harness.report.files import write_all
    from harness.report.terminal import open_view, summary
    from harness.run.execute import execute
    from harness.score import encode, score

    chosen = choose(
        scenario,
        target=target,
        arm=arm,
        seed=seed,
        responder=responder,
        playbook=playbook,
        act_at_s=act_at,
    )
    made, _, running = request(chosen, instance=instance, reports=reports, keep=keep, fresh=fresh)
    with open_view(chosen.plan, stream=sys.stderr, quiet=as_json) as view:
        executed = execute(made, view, running=running)
    history = read(executed.folder / "history.jsonl")
    card = score(history)
    written = write_all(history, card, folder=executed.folder)
    if as_json:
        document = json.loads(encode(card))
        document["run_dir"] = str(executed.folder)
        tell(json.dumps(document))
    else:
        tell(summary(history, card, report=written.html), nl=False)
    return card.exit
