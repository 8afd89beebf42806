"""The table of differences from Toxiproxy that the docs show is the one that the conformance suite proves."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
ROWS = REPOSITORY / "tests" / "conformance" / "proxy" / "differences.yaml"
PAGE = REPOSITORY / "docs" / "moving-from-toxiproxy.md"


def table(rows: list[dict[str, str]]) -> list[str]:
    lines = ["| | Toxiproxy 2.12 | `drill proxy` | why |", "|---|---|---|---|"]
    return lines + [f"| `{row['id']}` | {row['theirs']} | {row['ours']} | {row['why']} |" for row in rows]


def shown(page: str) -> list[str]:
    section = page.partition("\n## What differs\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")]


def test_the_page_shows_the_table() -> None:
    assert shown(PAGE.read_text()) == table(YAML(typ="safe").load(ROWS))


def test_a_row_that_is_missing_or_other_is_seen() -> None:
    rows = YAML(typ="safe").load(ROWS)
    assert shown(PAGE.read_text()) != table(rows[1:])
    assert shown(PAGE.read_text()) != table([rows[0] | {"ours": "It is the same."}, *rows[1:]])
