"""Where a user's durable state lies: target instances, their locks, and the ledgers of runs.

One directory per user, so that `drill heal` finds everything from any working directory. Everybody from `plugin`
downwards may ask for it, as for the clock; it imports nothing of the house but errors. Always true: the directory
exists, belongs to this user and is closed to others, or `NotWritableError` says why not.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import NotWritableError

VARIABLE = "MLDRILL_STATE"


def state_dir() -> Path:
    """`$MLDRILL_STATE`, else `$XDG_STATE_HOME/mldrill`, else `~/.local/state/mldrill`. Raises `NotWritableError`."""
    given = os.environ.get(VARIABLE)
    if given:
        folder = Path(given)
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mldrill"
    if (
        not folder.is_absolute()
    ):  # it would be another folder in every working directory, and `drill heal` would find nothing
        raise NotWritableError(
            f"the state directory {folder} is relative, so it would be another one from elsewhere",
            hint=f"Set {VARIABLE} to a folder of yours, from the root on",
        )
    return _own(folder)


def instances_dir() -> Path:
    """The folder with one directory per target instance."""
    return _own(state_dir() / "instances")


def ledger_dir() -> Path:
    """The folder of the ledgers, one file a run: how to undo what a run has injected."""
    return _own(state_dir() / "ledger")


def _own(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotWritableError(
            f"the state directory {folder} can't be made: {error.strerror}", hint=f"Set {VARIABLE} to a folder of yours"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWritableError(
            f"the state directory {folder} can't be written", hint=f"Set {VARIABLE} to a folder of yours"
        )
    return folder
