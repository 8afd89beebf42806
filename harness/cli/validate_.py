"""`drill validate`: every error of every file at once."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.telling import tell
from harness.errors import Exit, HarnessError, InvalidFileError, UnsupportedError


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--target",
    help="A target file, or `docker`, that scenarios are planned against; without it the reference pipeline.",
)
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON on standard output.")
def command(paths: tuple[Path, ...], target: str | None, as_json: bool) -> int:
    """Check scenario, playbook and target files, or folders of them; without PATHS all that come with mldrill.

    A scenario is also planned, so that what its target can't do shows here and not in the night; without a target named it may
    need either form of the reference pipeline.
    """
    from harness.spec.find import PLAYBOOKS, all_scenarios, find_target, scenarios_folder

    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    if not paths:
        files = [*all_scenarios(), *sorted((scenarios_folder() / PLAYBOOKS).glob("*.md"))]
        files += [find_target("embedded"), find_target("docker")]
    problems: list[str] = []
    remarks: list[str] = []
    for file in files:
        try:
            if _check(file, target):
                remarks.append(f"{file}: only with --target docker")
        except InvalidFileError as error:
            problems.extend(error.problems)
        except HarnessError as error:
            problems.extend(line if line.startswith(f"{file}:") else f"{file}: {line}" for line in _lines(error))
    problems = list(dict.fromkeys(problems))  # a playbook's are found with its scenario's, too
    if as_json:
        tell(json.dumps({"files": len(files), "problems": problems}))
    else:
        for problem in problems:
            tell(problem)
        for remark in remarks:
            click.echo(remark, err=True)
        click.echo(f"{_count(len(files), 'file')}, {_count(len(problems), 'problem')}", err=True)
    if not files:
        return int(Exit.NOTHING_SELECTED)
    return int(Exit.USAGE if problems else Exit.PASS)


def _inside(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.y*ml")) + sorted(folder.rglob("*.md"))
    ours = [path for path in found if path.suffix in (".yaml", ".yml") or path.parent.name == "playbooks"]
    return [path for path in ours if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _lines(error: HarnessError) -> list[str]:
    """One problem a line; a line that only announces the others is none."""
    lines = [line.strip() for line in error.message.splitlines()]
    return [line for line in lines if not line.endswith(":")] or lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _check(file: Path, target: str | None) -> bool:
    """Whether it is a scenario that only the reference pipeline in containers can run, where no target was named."""
    from harness.cli.drill import choose
    from harness.spec.load import load_playbook, load_scenario, load_target

    if file.suffix == ".md":
        load_playbook(file)
    elif _is_target(file):
        load_target(file)
    else:
        answered = load_scenario(file).scenario.playbook is not None
        responder = "playbook" if answered else "none"
        try:
            choose(str(file), target=target, arm=None, seed=None, responder=responder)
        except UnsupportedError:
            if target is not None:
                raise
            choose(str(file), target="docker", arm=None, seed=None, responder=responder)
            return True
    return False


def _is_target(file: Path) -> bool:
    """A target file has `target:` or `driver:` at its top (one of them may be mistyped); everything else is held to be a
    scenario, and says so if it isn't."""
    try:
        with file.open(encoding="utf-8") as lines:
            return any(
                line.startswith(("target:", "driver:", "extends:")) for line, _ in zip(lines, range(200), strict=False)
            )
    except (OSError, UnicodeDecodeError):
        return False
