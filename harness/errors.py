"""Every error that a user may meet, and the exit codes.

One tree under `HarnessError`. A message says what was found, where, and what would have been legal; the hint names
the next command. The command line prints both without a traceback; anything outside this tree is a defect and exits
with `Exit.INTERNAL`.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process says to its caller. Documented in docs/exit-codes.md."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    UNDECIDED = 3
    ENVIRONMENT = 4
    NOTHING_SELECTED = 5
    DIRTY = 6
    ABORTED = 7
    INTERNAL = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


WORST_FIRST: tuple[Exit, ...] = (
    Exit.DIRTY,
    Exit.INTERNAL,
    Exit.ENVIRONMENT,
    Exit.ABORTED,
    Exit.FAIL,
    Exit.UNDECIDED,
    Exit.PASS,
)
"""Of several runs' exit codes the first of these that occurs is the whole's."""


class HarnessError(Exception):
    """Base of all errors that are told to people.

    `message` says what was found and what is legal; `hint` names what to do next (may be empty).
    """

    exit: Exit = Exit.ENVIRONMENT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HarnessError):
    """A command was asked for something that does not exist or does not fit."""

    exit = Exit.USAGE


class InvalidFileError(HarnessError):
    """A file that people write is wrong. `problems` are lines `file:line:column: what, what is legal`."""

    exit = Exit.USAGE

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class UnsupportedError(HarnessError):
    """The target can't do what a scenario or playbook needs; refused when planning, by name."""

    exit = Exit.USAGE


class EnvironmentProblem(HarnessError):  # noqa: N818 - the field's word is ENV_ERROR, and an exception may be a noun
    """The target or the machine isn't fit for a drill (nothing was learnt about resilience)."""

    exit = Exit.ENVIRONMENT


class TargetBusyError(EnvironmentProblem):
    """Another run holds the instance's lock."""


class NotWritableError(EnvironmentProblem):
    """The reports folder or state directory can't be written: refused before anything is injected."""


class DirtyError(HarnessError):
    """Something the harness broke is still broken."""

    exit = Exit.DIRTY


class HistoryError(HarnessError):
    """A history can't be read (wrong schema, not a history)."""

    exit = Exit.USAGE


class ImpossibleEventError(HarnessError):
    """The conductor was fed an event that can't follow from what it commanded. A defect, never silent."""

    exit = Exit.INTERNAL
