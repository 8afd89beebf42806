"""docs/corrupt.md has every type and mechanism, with every parameter and its default, and no other; and every option."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from harness.cli.corrupt_ import command
from harness.corrupt.mechanism.condition import Condition
from harness.corrupt.registry import DAMAGES, MECHANISMS
from harness.corrupt.spec import KEYS
from harness.corrupt.types.missing import FORMS

PAGE = (Path(__file__).parents[3] / "docs/corrupt.md").read_text()
CONDITIONS = frozenset(field.name for field in fields(Condition))


def table(heading: str) -> dict[str, str]:
    """The first column's word in code, and the second column."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ?(.*?) ?\|", section, flags=re.MULTILINE))


def wrong(rows: Mapping[str, str], kinds: Mapping[str, type[Any]]) -> list[str]:
    found = [f"{name}: not in the page" for name in kinds.keys() - rows.keys()]
    found += [f"{name}: only in the page" for name in rows.keys() - kinds.keys()]
    for name in kinds.keys() & rows.keys():
        told = rows[name]
        own = {field.name: field.default for field in fields(kinds[name])}
        if issubclass(kinds[name], Condition):
            own = {key: default for key, default in own.items() if key not in CONDITIONS}
            if "a condition" not in told:
                found.append(f"{name}: has a condition")
        if list(own) != re.findall(r"`(\w+)`", told):
            found.append(f"{name}: has {list(own)}")
        for key, default in own.items():
            if default not in (MISSING, None, "") and not _is_told(default, told.split(f"`{key}`")[-1]):
                found.append(f"{name}.{key}: is {default!r} where it is left out")
    return found


def _is_told(default: object, text: str) -> bool:
    if isinstance(default, tuple):
        return text.startswith(" = " + ", ".join(map(str, default)))
    if isinstance(default, str) and not default.isprintable():
        return True  # nothing to print on a page
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return text.startswith((f" = {shown}", f" = `{shown}`"))


@pytest.mark.parametrize(("heading", "kinds"), [("Types", DAMAGES), ("Mechanisms", MECHANISMS)])
def test_the_tables_are_those_of_the_registry(heading: str, kinds: dict[str, type[Any]]) -> None:
    assert wrong(table(heading), kinds) == []


def test_a_type_that_is_missing_or_told_otherwise_is_seen() -> None:
    rows = table("Types")
    assert wrong({name: told for name, told in rows.items() if name != "typo"}, DAMAGES) == ["typo: not in the page"]
    assert wrong({**rows, "tipo": ""}, DAMAGES) == ["tipo: only in the page"]
    assert wrong({**rows, "late": ""}, DAMAGES) == ["late: has ['by']"]
    assert wrong({**rows, "outlier": "`far` = 9"}, DAMAGES) == ["outlier.far: is 10.0 where it is left out"]


def test_keys_conditions_and_forms_are_told() -> None:
    assert sorted(table("A corruption")) == sorted(KEYS)
    assert [word for word in (*FORMS, *CONDITIONS) if f"`{word}`" not in PAGE] == []


def test_every_option_of_the_command_is_told() -> None:
    options = {max(parameter.opts, key=len) for parameter in command.params if parameter.opts[0].startswith("-")}
    told = {name.split()[0] for name in table("Files: `drill corrupt`")}
    assert told == options
