"""`drill score`: a pure function of a recorded run, any time, on any machine."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.telling import tell


@click.command("score")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The scorecard on standard output.")
@click.option("--write", is_flag=True, help="Write scorecard.json beside the history.")
def command(run: Path, as_json: bool, write: bool) -> int:
    """Score a recorded run again. RUN is a run's folder or its history.jsonl."""
    from harness.cli.runs import history_path
    from harness.history.reader import read
    from harness.report.terminal import summary
    from harness.score import encode, score

    path = history_path(run)
    history = read(path)
    card = score(history)
    encoded = encode(card)
    if write:
        path.with_name("scorecard.json").write_bytes(encoded)
    if as_json:
        tell(encoded.decode(), nl=False)
    else:
        tell(summary(history, card, report=None), nl=False)
    return card.exit
