"""`drill heal`: undo whatever a dead run left behind, from any directory."""

from __future__ import annotations

import json

import click

from harness.cli.telling import tell
from harness.errors import Exit


@click.command("heal")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(run: str | None, as_json: bool) -> int:
    """Apply every undo that still stands open in the ledgers: of RUN, or of all runs that are dead.

    An undo restores only where the injected value still stands, so a repair made meanwhile is left alone. A run that is
    still alive heals itself and is passed over.
    """
    from harness.cli.ledgers import heal_ledger, open_ledgers

    found = open_ledgers(run)
    told = [heal_ledger(ledger) for ledger in found]
    if as_json:
        tell(json.dumps([one.as_dict() for one in told]))
    else:
        for one in told:
            tell(one.sentence())
        if not told:
            click.echo("nothing to heal", err=True)
    return int(Exit.DIRTY if any(one.failures for one in told) else Exit.PASS)
