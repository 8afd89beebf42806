"""`drill dose`: how much damage there must be before monitoring sees it. Nothing of the pipeline is started."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.telling import tell
from harness.errors import Exit, UsageError

SHARE = 0.8
STREAMS_MAX = 1000


@click.command("dose")
@click.argument("scenario", metavar="[NAME]", required=False)
@click.option(
    "--spec", type=click.Path(path_type=Path), help="A corruption instead of a scenario: see docs/corrupt.md."
)
@click.option("--target", help="Target file; without it the reference pipeline.")
@click.option("--within", type=float, help="Seconds until it must be seen; without it the scenario's, or 8.")
@click.option("--share", type=float, default=SHARE, show_default=True, help="Of streams in which it must be seen.")
@click.option("--streams", type=int, default=20, show_default=True, help="Streams of rows tried at each dose.")
@click.option(
    "--rounds", type=int, default=2, show_default=True, help="How often the doses are brought closer together."
)
@click.option("--seed", type=int, help="Of rows and draws; without it the scenario's, or 7.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Draws the curve into this file.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on standard output.")
def command(
    scenario: str | None,
    spec: Path | None,
    target: str | None,
    within: float | None,
    share: float,
    streams: int,
    rounds: int,
    seed: int | None,
    page: Path | None,
    as_json: bool,
) -> int:
    """Find the smallest share of damaged rows that monitoring sees in time.

    The damage is the fault of scenario NAME or the corruption of --spec. It is done to clean rows of the target at rising doses,
    and the target's own monitors judge them, offline. Ends with 1 where no dose is seen.
    """
    from rich.console import Console

    from harness.cli.dosing.asked import of_scenario, of_spec
    from harness.cli.dosing.drawing import as_json as plain
    from harness.cli.dosing.drawing import draw
    from harness.cli.dosing.drawing import page as draw_page
    from harness.cli.dosing.program import Program
    from harness.cli.dosing.trial import find

    if (scenario is None) == (spec is None):
        raise UsageError("give the name of a scenario or --spec FILE, and not both", hint="drill list")
    if not 2 <= streams <= STREAMS_MAX or not 0 <= rounds <= 6 or not 0 < share < 1:
        raise UsageError(f"legal are --streams 2 to {STREAMS_MAX}, --rounds 0 to 6, --share between 0 and 1")
    asked = (of_scenario if spec is None else of_spec)(str(scenario or spec), target, within=within, seed=seed)
    question = asked.question(streams=streams, rounds=rounds, share=share)
    console = Console(stderr=True)
    with console.status("clean rows") as status:
        found = find(question, Program(asked.target), told=lambda dose: status.update(f"dose {dose:.2%}"))
    limit = f"{question.limit_rows:,} rows"
    if as_json:
        tell(json.dumps({"limit_rows": question.limit_rows, "share": share, **plain(found)}))
    else:
        draw(found, share=share, limit=limit, console=Console())
    if page is not None:
        draw_page(found, page, title=f"Dose of {scenario or spec}", share=share, limit=limit)
    return int(Exit.FAIL if found.smallest.dose is None else Exit.PASS)
