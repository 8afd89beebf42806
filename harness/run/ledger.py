"""The ledger: what was injected and how to take it back, durable before anything is injected.

One JSON object a line, each line synced (file and, when it is created, its folder) before the caller goes on. It lies in
the user's state directory, so that `drill heal` finds it from anywhere, whatever became of the reports folder. Whoever
can read it can heal: the reaper, or a person next week. Rejected: a database (one more thing that can be locked when
it matters), writing the undo beside the injection (the crash in between is the case that counts).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from harness.contract.undo import Undo, UndoOutcome
from harness.errors import NotWritableError


class Opened(msgspec.Struct, frozen=True, tag_field="kind", tag="opened"):
    """The run that owns the ledger. `owns_instance`: it brought the instance up, so whoever heals takes it down."""

    run: str
    pid: int
    driver: str
    instance: str
    run_dir: str
    wall_ns: int
    owns_instance: bool = False


class Secured(msgspec.Struct, frozen=True, tag_field="kind", tag="secured"):
    """The undos of one fault, in the order they were prepared."""

    fault: int
    name: str
    undos: tuple[Undo, ...]


class Healed(msgspec.Struct, frozen=True, tag_field="kind", tag="healed"):
    """A fault's undos were applied; `failed` names the points where that did not work."""

    fault: int
    by: str
    outcomes: tuple[str, ...]
    failed: tuple[str, ...] = ()


class Closed(msgspec.Struct, frozen=True, tag_field="kind", tag="closed"):
    """The run ended; `dirty` names faults that were not seen to be healed."""

    dirty: tuple[int, ...] = ()
    by: str = "run"


Entry = Opened | Secured | Healed | Closed
_DECODER = msgspec.json.Decoder(Entry)


class Ledger:
    """An open ledger, appended to by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, opened: Opened) -> Ledger:
        """A new ledger with its first line durable. Raises `NotWritableError`."""
        ledger = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            ledger.append(opened)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise NotWritableError(f"the ledger {path} can't be written: {error.strerror}") from error
        return ledger

    def append(self, entry: Entry) -> None:
        """Appends one line and returns when it is on disk. Raises OSError: then nothing may be injected."""
        line = msgspec.json.encode(entry) + b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
            os.fsync(handle)
        finally:
            os.close(handle)

    def entries(self) -> list[Entry]:
        """All whole lines; a torn last one (a crash while writing: then nothing was injected by it) is left out."""
        lines = self.path.read_bytes().split(b"\n")
        found: list[Entry] = []
        for line in lines[:-1]:
            try:
                found.append(_DECODER.decode(line))
            except msgspec.MsgspecError:
                continue
        return found


class Standing(msgspec.Struct, frozen=True):
    """What a ledger says is still to be undone: `open` are (fault, its undos), last in first out."""

    opened: Opened | None
    open: tuple[Secured, ...]
    closed: bool


def standing(entries: Sequence[Entry]) -> Standing:
    """Folds a ledger's lines. A fault healed with failures is still open."""
    opened = next((e for e in entries if isinstance(e, Opened)), None)
    secured: dict[int, Secured] = {}
    closed = False
    for entry in entries:
        match entry:
            case Secured():
                secured[entry.fault] = entry
            case Healed() if not entry.failed:
                secured.pop(entry.fault, None)
            case Closed():
                closed = not entry.dirty
            case _:
                pass
    return Standing(opened=opened, open=tuple(reversed(list(secured.values()))), closed=closed)


class LedgerLike(Protocol):
    """What healing needs of a ledger; the simulated driver's lies in memory."""

    def append(self, entry: Entry) -> None: ...
    def entries(self) -> list[Entry]: ...


def heal(ledger: LedgerLike, undo: Callable[[Undo], UndoOutcome], *, by: str) -> list[str]:
    """Applies every undo that still stands open, collecting errors; gives what failed, as sentences. Idempotent."""
    failures: list[str] = []
    for secured in standing(ledger.entries()).open:
        outcomes: list[str] = []
        failed: list[str] = []
        for item in reversed(secured.undos):
            where = f"{item.point.kind}:{item.point.where}"
            try:
                outcome = undo(item)
            except Exception as error:  # whatever one undo throws, the others must still be applied
                outcome = UndoOutcome.FAILED
                failures.append(f"{secured.name}: {where}: {error}")
                failed.append(where)
            else:
                if outcome is UndoOutcome.FAILED:
                    failures.append(f"{secured.name}: {where} could not be restored")
                    failed.append(where)
            outcomes.append(f"{where}={outcome}")
        ledger.append(Healed(fault=secured.fault, by=by, outcomes=tuple(outcomes), failed=tuple(failed)))
    return failures
