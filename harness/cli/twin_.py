"""`drill twin`: whether what a run repaired is as it would have been, by a twin in which nothing broke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.telling import tell
from harness.errors import Exit

if TYPE_CHECKING:
    from harness.score.twin import Agreement, Twin


@click.command("twin")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", metavar="TWIN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The comparison as JSON on standard output.")
def command(run: Path, other: Path, as_json: bool) -> int:
    """Compare RUN with TWIN, a control of the same scenario and seed: do damaged requests agree in the end?

    Ends with 0 where they agree as often as undamaged ones do, with 1 where they don't, with 3 where it can't be told.
    """
    import msgspec

    from harness.cli.runs import history_path
    from harness.history.reader import read
    from harness.score.twin import Repair, twin

    compared = twin(read(history_path(run)), read(history_path(other)))
    if as_json:
        tell(msgspec.json.encode(compared).decode())
    else:
        tell(_words(compared))
    codes = {Repair.REPAIRED: Exit.PASS, Repair.NOT_REPAIRED: Exit.FAIL}
    return int(codes.get(compared.repair, Exit.UNDECIDED))


def _words(compared: Twin) -> str:
    lines = [
        f"{compared.scenario}, seed {compared.seed}: {compared.repair.upper()}: {compared.reason}",
        _agreement("damaged", compared.damaged),
        _agreement("undamaged", compared.undamaged),
    ]
    if compared.chance is not None:
        lines.append(f"  so few damaged ones would agree with a probability of {compared.chance:.3g}")
    if compared.unpaired:
        lines.append(f"  {compared.unpaired} damaged requests were never decided in the twin: it ended before them")
    for name, rows in (("rows", compared.rows), ("rows of damaged requests", compared.damaged_rows)):
        told = [
            f"{side}: {', '.join(f'{count} {word}' for word, count in rows[side].items()) or 'none'}" for side in rows
        ]
        lines.append(f"  {name}: {'; '.join(told)}")
    return "\n".join(lines)


def _agreement(name: str, found: Agreement) -> str:
    if found.share is None or found.low is None or found.high is None:
        return f"  {name}: none that both decided"
    return (
        f"  {name}: {found.agree} of {found.decided} agree in the end, {found.share:.1%}"
        f" (95 %: {found.low:.1%} to {found.high:.1%}); {found.at_first} did at first"
    )
