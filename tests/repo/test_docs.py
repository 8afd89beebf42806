"""What a user can type, meet or read as an exit code stands somewhere in README.md or docs/.

The truth is the code: verbs are read from click's own command tree, exit codes from `harness.errors`, faults
from the entry points that pyproject.toml declares. So a new one without a word about it fails here.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.errors import Exit

REPOSITORY = Path(__file__).parents[2]
FAULTS = "mldrill.faults"


def documentation() -> str:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("**/*.md"))]
    return "\n".join(page.read_text() for page in pages if page.is_file())


def verbs_of(command: click.Command, *, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every command below `command` that a user may type, without hidden ones: ('gameday', 'run')."""
    if not isinstance(command, click.Group):
        yield words
        return
    context = click.Context(command, info_name=words[-1] if words else "drill")
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from verbs_of(child, words=(*words, name))


def undocumented_verbs(group: click.Group, *, text: str) -> list[str]:
    """A verb is documented where it is written out as it is typed: `drill gameday run`."""
    typed = ("drill " + " ".join(verb) for verb in verbs_of(group, words=()))
    return [verb for verb in typed if not re.search(rf"\b{re.escape(verb)}(?![\w-])", text)]


def undocumented_codes(codes: list[int], *, text: str) -> list[int]:
    """An exit code is documented by a row of a table that begins with it: `| 7 |` or `| 129, 130 |`."""
    first_cells = re.findall(r"^\s*\|([^|]*)\|", text, flags=re.MULTILINE)
    numbers = {number for cell in first_cells for number in re.findall(r"(?<![\w.])\d+(?![\w.])", cell)}
    return [code for code in codes if str(code) not in numbers]


def undocumented_faults(names: list[str], *, text: str) -> list[str]:
    """A fault is documented where its name is written as code: `model.promote`."""
    return [name for name in names if f"`{name}`" not in text]


def the_command_line() -> click.Group:
    """The one group that `harness.cli` makes public: what the script `drill` runs."""
    found = {id(value): value for value in vars(CLI).values() if isinstance(value, click.Group)}
    roots = [group for group in found.values() if not any(is_below(group, other) for other in found.values())]
    assert len(roots) == 1, f"harness.cli has {len(roots)} root groups of commands, not one"
    return roots[0]


def is_below(group: click.Group, other: click.Group) -> bool:
    return group is not other and group in other.commands.values()


CLI = importlib.import_module("harness.cli") if (REPOSITORY / "harness/cli/__init__.py").is_file() else None
with_command_line = pytest.mark.skipif(CLI is None, reason="harness/cli/__init__.py doesn't exist yet")


@with_command_line
def test_every_verb_is_documented() -> None:
    group = the_command_line()
    assert list(verbs_of(group, words=()))
    assert undocumented_verbs(group, text=documentation()) == []


@with_command_line
def test_every_exit_code_is_documented() -> None:
    assert undocumented_codes([int(code) for code in Exit], text=documentation()) == []


@with_command_line
def test_every_fault_is_documented() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = sorted(project["entry-points"][FAULTS])
    assert names, f"pyproject.toml registers no fault under {FAULTS}"
    assert undocumented_faults(names, text=documentation()) == []


@click.group()
def example() -> None: ...


@example.group()
def gameday() -> None: ...


@gameday.command()
def run() -> None: ...


@example.command("list")
def list_faults() -> None: ...


@example.command(hidden=True)
def reaper() -> None: ...


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`drill list` and\n`drill gameday run x.yaml`", []),
        ("drill list --json", ["drill gameday run"]),
        ("drill gameday run", ["drill list"]),
        ("drill listing, drill list-all, drill gameday", ["drill list", "drill gameday run"]),
    ],
)
def test_a_missing_verb_is_seen(*, text: str, missing: list[str]) -> None:
    assert sorted(undocumented_verbs(example, text=text)) == sorted(missing)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("| 0 | pass |\n| 1 | fail |\n| `129`/130 | hung up |", []),
        ("| 0 | pass 1 |\n| 129, 130 | |", [1]),
        ("exit codes: 0 pass, 1 fail, 129, 130", [0, 1, 129, 130]),
        ("| 10 | |\n| 1.0 | |\n| 129 | |", [0, 1, 130]),
    ],
)
def test_a_missing_exit_code_is_seen(*, text: str, missing: list[int]) -> None:
    assert undocumented_codes([0, 1, 129, 130], text=text) == missing


def test_a_missing_fault_is_seen() -> None:
    names = ["link.latency", "model.promote"]
    assert undocumented_faults(names, text="`model.promote` and link.latency") == ["link.latency"]
