"""The catalogue of scenarios: one row each, made from the scenario files, so that it can't say anything else.

A scenario's description ends with three sentences for people, each begun by a fixed word: `Who should notice:`, `Right
response:`, `Harmful:`. Rejected: keys of their own for these, which nothing but the catalogue would read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.contract.words import Incident
from harness.spec.load import load_scenario
from harness.spec.scenario import Scenario

_LABELS = ("Who should notice", "Right response", "Harmful")
_HEAD = (
    "| scenario | incident | what breaks | who should notice | right response | harmful | rows |",
    "|---|---|---|---|---|---|---|",
)


class Row(NamedTuple):
    """A scenario as the catalogue shows it."""

    path: Path
    scenario: Scenario
    notice: str
    response: str
    harmful: str


def rows(paths: Iterable[Path]) -> tuple[Row, ...]:
    """The rows of these scenario files, in the order of incident types. Raises `InvalidFileError` for a broken file."""
    found = [_row(path) for path in paths]
    order = list(Incident)
    return tuple(sorted(found, key=lambda row: (order.index(row.scenario.incident), row.scenario.kind, row.path.name)))


def table(found: Iterable[Row], *, beside: Path) -> str:
    """The rows as a Markdown table, with links relative to the folder `beside`."""
    return "\n".join([*_HEAD, *(_line(row, beside) for row in found)]) + "\n"


class Sentences(NamedTuple):
    """A description in its parts: what it is about, and the three sentences for people, empty where there are none."""

    about: str
    notice: str
    response: str
    harmful: str


def sentences(description: str) -> Sentences:
    """A scenario's description, taken apart."""
    labels = "|".join(_LABELS)
    about = re.split(rf"(?:{labels}): ", description, maxsplit=1)[0].strip()
    text = " ".join(description.split())
    parts = dict(re.findall(rf"({labels}): (.*?)(?= (?:{labels}): |$)", text))
    return Sentences(about, *(parts.get(label, "") for label in _LABELS))


def _row(path: Path) -> Row:
    scenario = load_scenario(path).scenario
    _, *told = sentences(scenario.description)
    return Row(path, scenario, *told)


def _line(row: Row, beside: Path) -> str:
    name, scenario = row.scenario.scenario, row.scenario
    decoy = " (decoy)" if scenario.kind == "decoy" else ""
    cells = [
        f"[{name}]({os.path.relpath(row.path, beside)}){decoy} · [playbook](playbooks/{scenario.playbook}.md)",
        str(scenario.incident),
        scenario.title,
        row.notice,
        row.response,
        row.harmful,
        ", ".join(scenario.tags),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
