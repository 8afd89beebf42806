"""`drill replay`: feed a recorded run to the conductor and compare its commands."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.telling import tell
from harness.errors import Exit


@click.command("replay")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Counts and differences on standard output.")
def command(run: Path, as_json: bool) -> int:
    """Replay RUN: the same events must lead to the same commands. A difference exits 1."""
    import msgspec

    from harness.cli.runs import history_path
    from harness.history.reader import read
    from harness.plugin import load
    from harness.run.replay import replay

    history = read(history_path(run))
    plan = history.header.plan
    again = replay(plan, load("responder", plan.responder), history.events())
    if as_json:
        tell(
            json.dumps(
                {
                    "events": again.events,
                    "commands": again.commands,
                    "differences": msgspec.to_builtins(again.differences),
                }
            )
        )
    else:
        tell(f"{again.events} events, {again.commands} commands, {len(again.differences)} differences")
        for difference in again.differences[:10]:
            tell(f"  after event {difference.seq}:")
            tell(f"    recorded: {difference.recorded}")
            tell(f"    replayed: {difference.replayed}")
    return int(Exit.FAIL if again.differences else Exit.PASS)
