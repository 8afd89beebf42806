"""`drill report`: the views of a recorded run, again."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Default: the run's own folder.")
@click.option("--json", "as_json", is_flag=True, help="Where they were written, as JSON on standard output.")
def command(run: Path, to: Path | None, as_json: bool) -> int:
    """Write report.html, summary.md, junit.xml and scorecard.json of RUN (a folder, a history, or a run id)."""
    from harness.cli.runs import history_path
    from harness.history.reader import read
    from harness.report.files import write_all
    from harness.score import score

    path = history_path(run)
    history = read(path)
    folder = to if to is not None else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    written = write_all(history, score(history), folder=folder)
    if as_json:
        click.echo(json.dumps({"html": str(written.html), "junit": str(written.junit)}))
    else:
        click.echo(str(written.html))
    return 0
