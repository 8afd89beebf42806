"""Writes the views of a scored run into its folder, each file whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import NotWritableError
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report.junit import JUnit
from harness.report.markdown import Markdown
from harness.report.page import HtmlPage
from harness.report.scorecard_json import ScorecardJson


class Renders(Protocol):
    """What a reporter is: a file's name, and its bytes from a history and its scorecard."""

    file: str

    def render(self, history: History, card: Scorecard) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Written:
    """Where the views of a run are."""

    html: Path
    junit: Path
    summary_md: Path
    scorecard: Path


def write_all(history: History, card: Scorecard, *, folder: Path) -> Written:
    """Writes the four built-in views. Raises `NotWritableError`.

    The scorecard comes first: should a view fail, the score is there.
    """
    return Written(
        scorecard=write(ScorecardJson(), history, card, folder=folder),
        junit=write(JUnit(), history, card, folder=folder),
        summary_md=write(Markdown(), history, card, folder=folder),
        html=write(HtmlPage(), history, card, folder=folder),
    )


def write(reporter: Renders, history: History, card: Scorecard, *, folder: Path) -> Path:
    """Renders, writes beside the place and moves there, so that nobody ever reads half a report."""
    path = folder / reporter.file
    data = reporter.render(history, card)
    beside = folder / f".{reporter.file}.{os.getpid()}.part"
    try:
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritableError(
            f"{path}: the report can't be written: {error.strerror or error}",
            hint="the history is whole; write the report elsewhere with `drill report RUN --to FOLDER`",
        ) from error
    return path
