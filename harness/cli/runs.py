"""Finds recorded runs on disk."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.plugin import unknown

REPORTS = Path("reports")


def history_path(run: Path) -> Path:
    """The history of a run named by its folder, its history file, or the end of its folder's name in `reports/`.

    Raises `UsageError` with what is there.
    """
    if run.is_file():
        return run
    if (run / "history.jsonl").is_file():
        return run / "history.jsonl"
    folders = sorted(REPORTS.glob("*/history.jsonl")) if REPORTS.is_dir() else []
    matching = [path for path in folders if path.parent.name.endswith(str(run))]
    if matching:
        return matching[-1]
    raise UsageError(
        unknown("run", str(run), [path.parent.name for path in folders[-20:]]),
        hint="name a run's folder, its history.jsonl, or the run id that ends its folder's name in reports/",
    )
