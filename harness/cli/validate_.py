"""`drill validate`: every error of every file at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.errors import Exit, HarnessError, InvalidFileError


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--target", help="A target.yaml that scenarios are planned against; without it the reference pipeline.")
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON on standard output.")
def command(paths: tuple[Path, ...], target: str | None, as_json: bool) -> int:
    """Check scenario, playbook and target files, or folders of them; without PATHS all that come with mldrill.

    A scenario is also planned, so that what its target can't do shows here and not in the night.
    """
    from harness.spec.find import all_scenarios

    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    if not paths:
        files = list(all_scenarios())
    problems: list[str] = []
    for file in files:
        try:
            _check(file, target)
        except InvalidFileError as error:
            problems.extend(error.problems)
        except HarnessError as error:
            problems.append(f"{file}: {error.message}")
    if as_json:
        click.echo(json.dumps({"files": len(files), "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(files)} files, {len(problems)} problems", err=True)
    if not files:
        return int(Exit.NOTHING_SELECTED)
    return int(Exit.USAGE if problems else Exit.PASS)


def _inside(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.y*ml")) + sorted(folder.rglob("*.md"))
    return [path for path in found if path.suffix in (".yaml", ".yml") or path.parent.name == "playbooks"]


def _check(file: Path, target: str | None) -> None:
    from harness.cli.drill import choose
    from harness.spec.load import load_playbook, load_target

    if file.suffix == ".md":
        load_playbook(file)
        return
    readers: dict[bool, Callable[[Path], Any]] = {
        True: load_target,
        False: lambda path: choose(str(path), target=target, arm=None, seed=None, responder="playbook"),
    }
    readers[_is_target(file)](file)


def _is_target(file: Path) -> bool:
    """A target file has `driver:` at its top; everything else is held to be a scenario, and says so if it isn't."""
    try:
        with file.open(encoding="utf-8") as lines:
            return any(line.startswith("driver:") for line, _ in zip(lines, range(200), strict=False))
    except (OSError, UnicodeDecodeError):
        return False
