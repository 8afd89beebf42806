"""The ledger: what was injected and how to take it back, durable before anything is injected.

One JSON object a line, each line synced (file and, when it is created, its folder) before the caller goes on. It lies in
the user's state directory, so that `drill heal` finds it from anywhere, whatever became of the reports folder. Whoever
can read it can heal: the reaper, or a person next week. Rejected: a database (one more thing that can be locked when
it matters), writing the undo beside the injection (the crash in between is the case that counts).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from harness.contract.undo import Undo, UndoOutcome
from harness.errors import NotWritableError
from harness.target.embedded.processes import start_time


class Opened(msgspec.Struct, frozen=True, tag_field="kind", tag="opened"):
    """The run that owns the ledger. `owns_instance`: it brought the instance up, so whoever heals takes it down.

    `pid_start` is when that process began, in the kernel's clock ticks: a pid alone may have been given to another since.
    """

    run: str
    pid: int
    driver: str
    instance: str
    run_dir: str
    wall_ns: int
    owns_instance: bool = False
    pid_start: int = 0

    @property
    def alive(self) -> bool:
        """Whether exactly the process that opened the ledger still lives: then it heals itself."""
        found = start_time(self.pid)
        return found is not None and found == self.pid_start


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
            with contextlib.suppress(OSError):
                path.unlink()
            raise NotWritableError(
                f"the ledger {path} can't be written: {error.strerror}",
                hint="nothing was injected; free some space there, or set MLDRILL_STATE to a folder of yours",
            ) from error
        return ledger

    def append(self, entry: Entry) -> None:
        """Appends one line and returns when it is on disk. Raises OSError: then nothing may be injected.

        Half a line is taken back, or the next would be glued to it and lost as well.
        """
        line = msgspec.json.encode(entry) + b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(handle).st_size
            written = 0
            try:
                while written < len(line):
                    written += os.write(handle, line[written:])
                os.fsync(handle)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)

    def entries(self) -> list[Entry]:
        """All whole lines; a torn last one (a crash while writing: then nothing was injected by it) is left out."""
        with contextlib.suppress(FileNotFoundError):
            return self._whole(self.path.read_bytes())
        return []

    @property
    def settled(self) -> bool:
        """Whether all that it tells of is healed and closed."""
        stands = standing(self.entries())
        return stands.closed and not stands.open

    def close(self, folder: Path) -> None:
        """The run ended and nothing stands open: what became of it goes into the run's folder, and the ledger goes."""
        with contextlib.suppress(OSError):
            (folder / "ledger.jsonl").write_bytes(self.path.read_bytes())
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    @staticmethod
    def _whole(written: bytes) -> list[Entry]:
        lines = written.split(b"\n")
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
    """Folds a ledger's lines. A fault healed with failures is still open, and so is one that was never seen to be healed."""
    opened = next((e for e in entries if isinstance(e, Opened)), None)
    every: dict[int, Secured] = {}
    secured: dict[int, Secured] = {}
    closed = False
    for entry in entries:
        match entry:
            case Secured():
                every[entry.fault] = secured[entry.fault] = entry
            case Healed() if not entry.failed:
                secured.pop(entry.fault, None)
            case Closed():
                closed = not entry.dirty
                secured |= {fault: every[fault] for fault in entry.dirty if fault in every}
            case _:
                pass
    return Standing(opened=opened, open=tuple(reversed(list(secured.values()))), closed=closed)


class LedgerLike(Protocol):
    """What healing needs of a ledger; the simulated driver's lies in memory."""

    def append(self, entry: Entry) -> None: ...
    def entries(self) -> list[Entry]: ...


def heal(ledger: LedgerLike, undo: Callable[[Undo], UndoOutcome], *, by: str, again: bool = False) -> list[str]:
    """Applies every undo that still stands open, collecting errors; gives what failed, as sentences. Idempotent.

    `again` applies those too that were applied before: an injection that was under way when its run died may have landed
    after its undo.
    """
    failures: list[str] = []
    entries = ledger.entries()
    still = tuple(reversed([e for e in entries if isinstance(e, Secured)])) if again else standing(entries).open
    for secured in still:
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
        with contextlib.suppress(
            OSError
        ):  # a full disk must not stop the healing; at worst an undo is applied once more
            ledger.append(Healed(fault=secured.fault, by=by, outcomes=tuple(outcomes), failed=tuple(failed)))
    return failures
