"""What a user can type, meet or write stands in README.md or docs/; and what stands there is true.

The truth is the code: verbs are read from click's own command tree, exit codes from `harness.errors`, faults from the
entry points that pyproject.toml declares, keys from the models that read the files. What the pages tell people to save and to
type is saved and typed by tests/repo/test_examples.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from harness.cli import main
from harness.contract.words import (
    Action,
    Arm,
    Capability,
    CauseClass,
    Incident,
    Layer,
    Observation,
    ReportKind,
    Safeguard,
    SliKind,
)
from harness.errors import Exit
from harness.history.scorecard import Verdict
from harness.spec.playbook import Cell, FrontMatter, Operator
from harness.spec.scenario import Scenario
from harness.spec.target import Argument, ExecCall, HttpCall, Operation, TargetSpec

REPOSITORY = Path(__file__).parents[2]
FAULTS = "mldrill.faults"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("**/*.md"))]


CATALOGUE = REPOSITORY / "docs/catalogue"


def documentation() -> str:
    """Without the catalogue, which uses words and explains none."""
    return "\n".join(page.read_text() for page in PAGES if page.parent != CATALOGUE)


# --- verbs, codes, faults ---------------------------------------------------------------------------------------------


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


def undocumented_words(words: Iterable[str], *, text: str) -> list[str]:
    """A fault, action, layer, ... is documented where its name is written as code: `model.promote`."""
    return [word for word in words if f"`{word}`" not in text]


def test_every_verb_is_documented() -> None:
    assert list(verbs_of(main, words=()))
    assert undocumented_verbs(main, text=documentation()) == []


def test_every_exit_code_is_documented() -> None:
    assert undocumented_codes([int(code) for code in Exit], text=documentation()) == []


def test_every_fault_is_documented() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = sorted(project["entry-points"][FAULTS])
    assert names, f"pyproject.toml registers no fault under {FAULTS}"
    assert undocumented_words(names, text=documentation()) == []


@pytest.mark.parametrize(
    "vocabulary",
    [Action, Arm, Capability, CauseClass, Incident, Layer, Observation, ReportKind, Safeguard, SliKind],
    ids=lambda vocabulary: vocabulary.__name__,
)
def test_every_standard_word_is_documented(vocabulary: type[StrEnum]) -> None:
    assert undocumented_words(list(vocabulary), text=documentation()) == []


def test_every_verdict_is_documented() -> None:
    assert [str(verdict) for verdict in Verdict if str(verdict) not in documentation()] == []


# --- keys of files ----------------------------------------------------------------------------------------------------

APART: Mapping[type[BaseModel], str] = {
    HttpCall: "HTTP calls",
    ExecCall: "Commands",
    Operation: "Actions and observations",
    Argument: "Arguments",
    Operator: "Conditions",
}
"""Records that stand in several places: told once, in a section of their own."""

TABLES = [
    ("docs/scenarios.md", "Keys", Scenario),
    ("docs/playbooks.md", "The head", FrontMatter),
    ("docs/playbooks.md", "Cells", Cell),
    ("docs/playbooks.md", "Conditions", Operator),
    ("docs/targets.md", "All keys", TargetSpec),
    ("docs/targets.md", "HTTP calls", HttpCall),
    ("docs/targets.md", "Commands", ExecCall),
    ("docs/targets.md", "Actions and observations", Operation),
    ("docs/targets.md", "Arguments", Argument),
]


def keys_of(model: type[BaseModel], *, before: str = "") -> Iterator[str]:
    """The keys of a file, dotted, without what they hold: `expect.detect.within`, `faults.fault`, `services.role`."""
    for name, field in model.model_fields.items():
        key = before + (field.alias or name)
        inner = [one for one in models_in(field.annotation) if one not in APART]
        if not inner:
            yield key
        for one in inner:
            yield from keys_of(one, before=f"{key}.")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next."""
    below = re.split(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    return dict(zip(below[1::2], below[2::2], strict=True))[title]


def keys_told(table: str) -> set[str]:
    """Keys in the first cells, without the parts that stand for any name: `services.NAME.role`, `faults[].fault`."""
    cells = re.findall(r"^\|([^|]*)\|", table, flags=re.MULTILINE)
    keys = {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}
    return {re.sub(r"\.[A-Z]+(?=\.|$)|\[\]", "", key) for key in keys}


def invented_keys(told: set[str], keys: set[str]) -> set[str]:
    """What is told and doesn't exist; the keys that hold others may be told as well."""
    parents = {key.rsplit(".", n)[0] for key in keys for n in range(1, key.count(".") + 1)}
    return told - keys - parents


@pytest.mark.parametrize(("page", "title", "model"), TABLES, ids=lambda value: getattr(value, "__name__", None))
def test_every_key_is_documented_and_none_invented(page: str, title: str, model: type[BaseModel]) -> None:
    told, keys = keys_told(section((REPOSITORY / page).read_text(), title)), set(keys_of(model))
    assert sorted(keys - told) == []
    assert sorted(invented_keys(told, keys)) == []


# --- what the pages, hints and messages tell people to type ---------------------------------------------------------------


def typed(text: str) -> Iterator[list[str]]:
    """The words of every `drill ...` in code: lines of shell blocks, and spans within a text."""
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S) for line in block.splitlines()]
    prose = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.M | re.S)
    spans = re.findall(r"`(drill [^`]+)`", prose)
    for line in [*lines, *spans]:
        found = re.match(r"(?:\S+/)?drill ([^#>|&]+)", line)
        if found:
            yield found[1].split()


def not_understood(words: list[str]) -> str:
    """Why the command line doesn't take these words; empty where it does. Nothing is run."""
    try:
        name, command, rest = main.resolve_command(click.Context(main), words)
        assert command is not None
        if rest:  # a bare `drill run` in a text is the verb's name, and no call of it
            command.make_context(name, rest)
    except click.ClickException as error:
        return f"drill {' '.join(words)}: {error.format_message()}"
    except click.exceptions.Exit:
        pass
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_tell_to_type_exists(page: Path) -> None:
    assert [wrong for words in typed(page.read_text()) if (wrong := not_understood(words))] == []


def test_hints_name_verbs_that_exist(sources: tuple[str, ...]) -> None:
    verbs = {verb[0] for verb in verbs_of(main, words=())}
    told = [
        (name, verb)
        for name in sources
        if name.endswith((".py", ".md", ".yaml")) and not name.startswith("tests/")
        for verb in re.findall(r"`drill ([a-z]\w*)", (REPOSITORY / name).read_text())
    ]
    assert told
    assert [(name, verb) for name, verb in told if verb not in verbs] == []


# --- links --------------------------------------------------------------------------------------------------------------


def broken_links(page: Path) -> Iterator[str]:
    """Links to files that aren't there, or to headings that they don't have."""
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            yield f"{page.name}: {link}"
        elif heading and heading not in anchors(there.read_text()):
            yield f"{page.name}: {link}: no such heading"


def anchors(text: str) -> set[str]:
    """The names that a code host gives headings."""
    titles = re.findall(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_page_is_in_the_index() -> None:
    """Of its own folder; and each folder's index is in that of docs/."""
    indices = {page.parent: page.read_text() for page in PAGES if page.name == "index.md"}
    assert [
        page.name for page in PAGES[2:] if page.name != "index.md" and f"({page.name})" not in indices[page.parent]
    ] == []
    docs = REPOSITORY / "docs"
    assert [
        folder.name for folder in indices if folder != docs and f"({folder.name}/index.md)" not in indices[docs]
    ] == []


# --- the checks themselves ------------------------------------------------------------------------------------------------


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
    assert undocumented_words(names, text="`model.promote` and link.latency") == ["link.latency"]


def test_missing_and_invented_keys_are_seen() -> None:
    keys = {"faults.fault", "services.role", "budget"}
    told = keys_told("| `faults` | |\n| `faults[].fault` | |\n| `services.NAME.role`, `budjet` | `budget` |")
    assert keys - told == {"budget"}
    assert invented_keys(told, keys) == {"budjet"}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\ndrill run x --seed 7  # a word\nmake drill\n```\nand `drill list`, `drill run NAME`", 0),
        ("`drill new` starts one", 1),
        ("```sh\n.venv/bin/drill run x --sead 7\ndrill run x --arm controll > a.json\n```", 2),
    ],
)
def test_what_cannot_be_typed_is_seen(*, text: str, wrong: int) -> None:
    assert sum(bool(not_understood(words)) for words in typed(text)) == wrong


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Exit codes, all\n[a](#exit-codes-all) [b](page.md#exit) [c](gone.md) [d](https://example.org/x)\n"
    )
    assert list(broken_links(page)) == ["page.md: page.md#exit: no such heading", "page.md: gone.md"]
