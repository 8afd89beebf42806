"""That both servers were asked, and that every difference between them is shown by a test."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conformance.proxy.servers import real_server

HERE = Path(__file__).parent


def rows() -> list[dict[str, str]]:
    found = YAML(typ="safe").load(HERE / "differences.yaml")
    assert isinstance(found, list)
    return found


def shown(sources: dict[str, str]) -> tuple[set[str], list[str]]:
    """The ids of rows that tests are marked with, and the tests that don't tell one server from the other."""
    ids: set[str] = set()
    one_sided: list[str] = []
    for source in sources.values():
        for test in ast.walk(ast.parse(source)):
            if not isinstance(test, ast.FunctionDef):
                continue
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.difference":
                    ids.add(ast.literal_eval(mark.args[0]))
                    if not any(isinstance(part, ast.Attribute) and part.attr == "ours" for part in ast.walk(test)):
                        one_sided.append(test.name)
    return ids, one_sided


def test_the_real_server_was_asked_too() -> None:
    reason = "no toxiproxy-server: `.ci/toxiproxy` installs it, TOXIPROXY_SERVER names another"
    if real_server() is None:
        assert os.environ.get("MLDRILL_TOXIPROXY") != "required", reason
        pytest.skip(reason)


def test_every_row_is_whole_and_there_once() -> None:
    assert all(list(row) == ["id", "theirs", "ours", "why"] for row in rows())
    assert all(text and "|" not in text for row in rows() for text in row.values())
    ids = [row["id"] for row in rows()]
    assert sorted(set(ids)) == sorted(ids)


def test_every_row_is_shown_by_a_test_of_both_sides() -> None:
    ids, one_sided = shown({file.name: file.read_text() for file in HERE.glob("test_*.py")})
    assert ids == {row["id"] for row in rows()}
    assert one_sided == []


def test_a_test_of_one_side_or_of_no_row_is_seen() -> None:
    source = '@pytest.mark.difference("x")\ndef test_a(server):\n    assert server.ask()\n'
    assert shown({"a": source}) == ({"x"}, ["test_a"])
    assert shown({"a": source.replace("server.ask()", "server.ours")}) == ({"x"}, [])
