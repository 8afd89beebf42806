"""One execution of a plan on a live target: folder, lock, ledger, reaper, signals, driver; and all of it undone.

The order is the point: nothing is touched before the reports folder and the ledger are known to be writable and the
instance is locked; nothing is injected before the reaper is ready; the lock is released after everything else.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import harness
from harness.clock import now_ns, wall_ns
from harness.errors import DirtyError, HarnessError, NotWritableError
from harness.history.commands import Finish
from harness.history.events import AnyEvent
from harness.history.header import HISTORY_SCHEMA, MACHINE_VERSION, Header
from harness.history.writer import HistoryWriter
from harness.plugin import Fault, Responder, Target
from harness.run.carry import Carrier, ObserversLike
from harness.run.inbox import Inbox
from harness.run.keeper import Keeper
from harness.run.ledger import Closed, Ledger, Opened, heal
from harness.run.live import LiveDriver, View
from harness.run.lock import Lockable
from harness.run.machine import Conductor
from harness.run.reaping import reaper
from harness.run.signals import as_events
from harness.run.witnesses import Witnesses
from harness.spec.plan import Plan
from harness.state import ledger_dir
from harness.target.embedded.processes import start_time

ROOM_BYTES = 16 * 2**20
"""What must be free for a history before anything is injected."""


class Request(msgspec.Struct, frozen=True):
    """All that one execution needs. `keep`: leave the instance up and reset at the end, also if this run brought it up."""

    plan: Plan
    scenario_text: str
    playbook_text: str
    target: Target
    responder: Responder
    faults: tuple[Fault, ...]
    observers: Callable[[Path, Callable[[AnyEvent], None]], ObserversLike]
    reports: Path
    commit: str
    keep: bool = False
    fresh: bool = False
    """Take a running instance down first, instead of resetting it."""


class Executed(msgspec.Struct, frozen=True):
    """A run that came to its end. Its history is whole."""

    run: str
    folder: Path
    finish: Finish


def execute(request: Request, view: View, *, running: bool) -> Executed:
    """Runs a plan. `running`: whether the instance was up before. Raises `EnvironmentProblem`, `NotWritableError`,
    `TargetBusyError`; whatever is raised, all that was injected has been healed, or `DirtyError` says what was not."""
    run = secrets.token_hex(4)
    inbox = Inbox()
    with as_events(inbox), contextlib.ExitStack() as refused:
        folder = _make_folder(request, run)
        refused.callback(shutil.rmtree, folder, ignore_errors=True)  # a run that was refused leaves nothing
        if isinstance(request.target, Lockable):
            request.target.acquire(run)
            refused.callback(request.target.release)
        ledger = Ledger.create(ledger_dir() / f"{run}.jsonl", _opened(request, run, folder, running=running))
        refused.pop_all()
        try:
            with reaper(ledger) as wait_for_reaper:
                try:
                    live = _Live(request, view, run, folder, ledger, inbox, wait_for_reaper, running=running)
                    finish = live.run()
                finally:
                    if isinstance(request.target, Lockable):
                        request.target.release()  # before the reaper is let go, which heals under this lock
        except BaseException:
            _forget(ledger, folder)
            raise
    if not finish.dirty:
        ledger.close(folder)
    return Executed(run=run, folder=folder, finish=finish)


def _opened(request: Request, run: str, folder: Path, *, running: bool) -> Opened:
    return Opened(
        run=run,
        pid=os.getpid(),
        pid_start=start_time(os.getpid()) or 0,
        driver=request.plan.driver,
        instance=request.target.instance,
        run_dir=str(folder.absolute()),
        wall_ns=wall_ns(),
        owns_instance=not running and not request.keep,
    )


def _forget(ledger: Ledger, folder: Path) -> None:
    """After a run that failed and was healed: the ledger has nothing more to say. One that stands open stays."""
    with contextlib.suppress(OSError):
        if ledger.settled:
            ledger.close(folder)


def _make_folder(request: Request, run: str) -> Path:
    """The run's folder, with room for a history in it. Raises `NotWritableError` before anything was touched."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = request.reports / f"{stamp}-{run}"
    try:
        folder.mkdir(parents=True, exist_ok=False)
        probe = folder / ".room"
        with probe.open("wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, ROOM_BYTES)
        probe.unlink()
        (folder / "plan.json").write_bytes(msgspec.json.format(msgspec.json.encode(request.plan), indent=1))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NotWritableError(
            f"the reports folder {request.reports} can't be written: {error.strerror}",
            hint=f"nothing was injected; free {ROOM_BYTES // 2**20} MiB there or choose another folder with --reports",
        ) from error
    return folder


class _Live:
    """The parts of one run, made, driven, and put away again whatever happens."""

    def __init__(
        self,
        request: Request,
        view: View,
        run: str,
        folder: Path,
        ledger: Ledger,
        inbox: Inbox,
        wait_for_reaper: Callable[[], None],
        *,
        running: bool,
    ) -> None:
        self.request = request
        self.target = request.target
        self.ledger = ledger
        self.running = running
        self.owns = not running and not request.keep
        self.wait_for_reaper = wait_for_reaper
        self.keeper = Keeper(request.target, put=inbox.put)
        self.observers = request.observers(folder, inbox.put)
        self.witnesses = Witnesses(target=request.target, put=inbox.put)
        self.carrier = Carrier(
            request.plan,
            target=request.target,
            faults=request.faults,
            observers=self.observers,
            ledger=ledger,
            put=inbox.put,
            set_up=self.set_up,
            release=self.release,
        )
        self.writer = HistoryWriter(folder / "history.jsonl", _header(request, run))
        self.driver = LiveDriver(
            Conductor(request.plan, request.responder),
            inbox=inbox,
            writer=self.writer,
            carrier=self.carrier,
            witnesses=self.witnesses,
            faults=request.faults,
            view=view,
        )

    def set_up(self) -> None:
        """Brings the target to its baseline; the reaper has been getting ready meanwhile."""
        if self.running and self.request.fresh:
            self.target.down()
        self.target.up()  # what runs by another description or seed starts afresh
        if self.running:
            self.target.reset()
        self.keeper.start()
        self.wait_for_reaper()

    def release(self) -> None:
        """Gives the target back: taken down, or reset without load on it."""
        self.keeper.stop()
        self.observers.stop()
        if self.owns:
            self.target.down()
        else:
            self.target.reset()

    def run(self) -> Finish:
        """To the end of the run. What fails here is healed from the ledger before the error goes on."""
        try:
            self.observers.prepare()
            finish = self.driver.run()
        except BaseException as error:
            self._heal_by_ledger(error)
            raise
        finally:
            self.witnesses.join(0.0)
            self.keeper.stop()
            self.writer.close()
        with contextlib.suppress(OSError):  # a disk that is full by now undoes no healing
            self.ledger.append(Closed(dirty=finish.dirty))
        return finish

    def _heal_by_ledger(self, error: BaseException) -> None:
        """The conductor or its driver failed: heal without them."""
        self.carrier.abandon()
        failures = heal(self.ledger, self.target.undo, by="driver")
        with contextlib.suppress(Exception):
            self.observers.stop()
        if failures:
            raise DirtyError(
                "the run failed and not all could be healed: " + "; ".join(failures), hint="run `drill heal`"
            ) from error
        with contextlib.suppress(OSError):
            self.ledger.append(Closed(by="driver"))
        if self.owns:
            with contextlib.suppress(HarnessError):
                self.target.down()


def _header(request: Request, run: str) -> Header:
    return Header(
        schema=HISTORY_SCHEMA,
        machine=MACHINE_VERSION,
        run=run,
        started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        t_ns=now_ns(),
        wall_ns=wall_ns(),
        plan=request.plan,
        playbook_text=request.playbook_text,
        scenario_text=request.scenario_text,
        target=request.target.redacted(),
        harness_version=harness.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        commit=request.commit,
        instance=request.target.instance,
    )
