"""What the pages tell people to save and to type is saved and typed here, in an empty folder, page by page.

A page marks its code blocks by comments that no reader sees: `<!-- file: NAME -->` (save it), `<!-- run -->` or `<!-- run: 1 -->`
(type its lines; the exit code, 0 by default), `<!-- prints -->` (the last line typed must have said this). What takes long, or
needs make, isn't marked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(r"^<!-- (file|run|prints)(?:: (\S+))? -->\n(`{3,})\w*\n(.*?)^\3$", flags=re.MULTILINE | re.DOTALL)
COMMAND_S_MAX = 140.0
TARGET_LINES_MAX = 50


class Block(NamedTuple):
    """A marked block: what is to be done with it, the marker's argument, the block's text."""

    what: str
    argument: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = [Block(match[1], match[2] or "", match[4]) for match in BLOCK.finditer(text)]
    assert len(found) == text.count("<!-- "), f"{page.name}: a marker that isn't understood, or without a block"
    return found


EXAMPLES = [page for page in PAGES if blocks(page)]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """That of somebody who has just activated the environment; what they leave running is taken down or ended."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "MLDRILL_STATE": str(tmp_path / "state")}
    yield variables
    shown = type_in("drill status --json", variables, tmp_path).stdout
    for instance in json.loads(shown or "[]"):
        type_in(f"drill down --instance {instance['instance']}", variables, tmp_path)
    for file in tmp_path.glob("empty/*.pid"):
        with contextlib.suppress(ProcessLookupError):  # the page itself ended it
            os.kill(int(file.read_text()), signal.SIGTERM)


def type_in(line: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line,
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )


def test_pages_have_examples() -> None:
    names = {page.name for page in EXAMPLES}
    assert {"README.md", "scenarios.md", "playbooks.md", "targets.md", "cli.md"} <= names


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.name)
def test_what_the_page_tells_works(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    said = ""
    for block in blocks(page):
        if block.what == "file":
            path = folder / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.what == "prints":
            assert block.text.strip() in said
        else:
            for line in block.text.splitlines():
                done = type_in(line, environment, folder)
                said = done.stdout + done.stderr
                assert done.returncode == int(block.argument or 0), f"{line}\n{said}"


def test_the_target_of_the_page_is_short() -> None:
    (target,) = [block.text for block in blocks(REPOSITORY / "docs/targets.md") if block.argument == "target.yaml"]
    assert target.count("\n") < TARGET_LINES_MAX


def test_a_marker_without_a_block_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run: 1 -->\n```sh\ndrill x\n```\n")
    assert blocks(page) == [Block("run", "1", "drill x\n")]
    page.write_text("<!-- run -->\n\n```sh\ndrill x\n```\n")
    with pytest.raises(AssertionError, match="without a block"):
        blocks(page)
