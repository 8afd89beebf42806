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
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Protocol, runtime_checkable

import msgspec

import harness
from harness.clock import now_ns, wall_ns
from harness.errors import DirtyError, EnvironmentProblem, NotWritableError
from harness.history.commands import Finish
from harness.history.events import AnyEvent, SignalReceived
from harness.history.header import HISTORY_SCHEMA, MACHINE_VERSION, Header
from harness.history.writer import HistoryWriter
from harness.plugin import Fault, Responder, Target
from harness.run.carry import Carrier, ObserversLike
from harness.run.inbox import Inbox
from harness.run.keeper import Keeper
from harness.run.ledger import Closed, Ledger, Opened, heal
from harness.run.live import LiveDriver, View
from harness.run.machine import Conductor
from harness.run.reaper import FAREWELL
from harness.run.witnesses import Witnesses
from harness.spec.plan import Plan
from harness.state import ledger_dir

ROOM_BYTES = 16 * 2**20
"""What must be free for a history before anything is injected."""
REAPER_READY_S = 15.0


@runtime_checkable
class Lockable(Protocol):
    """A target of which one run at a time may have the use."""

    def acquire(self, run: str) -> None: ...
    def release(self) -> None: ...


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
    folder = _make_folder(request, run)
    target = request.target
    if isinstance(target, Lockable):
        target.acquire(run)
    try:
        owns = not running and not request.keep
        opened = Opened(
            run=run,
            pid=os.getpid(),
            driver=request.plan.driver,
            instance=target.instance,
            run_dir=str(folder),
            wall_ns=wall_ns(),
            owns_instance=owns,
        )
        ledger = Ledger.create(ledger_dir() / f"{run}.jsonl", opened)
        with _reaper(ledger) as wait_for_reaper:
            finish = _drive(request, view, run, folder, ledger, wait_for_reaper, owns=owns, running=running)
        with contextlib.suppress(OSError):
            shutil.copyfile(ledger.path, folder / "ledger.jsonl")
        if not finish.dirty:
            ledger.path.unlink(missing_ok=True)
        return Executed(run=run, folder=folder, finish=finish)
    finally:
        if isinstance(target, Lockable):
            target.release()


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


def _drive(
    request: Request,
    view: View,
    run: str,
    folder: Path,
    ledger: Ledger,
    wait_for_reaper: Callable[[], None],
    *,
    owns: bool,
    running: bool,
) -> Finish:
    target = request.target
    inbox = Inbox()
    writer = HistoryWriter(folder / "history.jsonl", _header(request, run))
    keeper = Keeper(target, put=inbox.put)

    def set_up() -> None:
        if running and request.fresh:
            target.down()
        target.up()  # what runs by another description or seed starts afresh
        if running:
            target.reset()
        keeper.start()
        wait_for_reaper()

    def release() -> None:
        keeper.stop()
        if owns:
            target.down()
        else:
            target.reset()

    observers = request.observers(folder, inbox.put)
    observers.prepare()
    carrier = Carrier(
        request.plan,
        target=target,
        faults=request.faults,
        observers=observers,
        ledger=ledger,
        put=inbox.put,
        set_up=set_up,
        release=release,
    )
    driver = LiveDriver(
        Conductor(request.plan, request.responder),
        inbox=inbox,
        writer=writer,
        carrier=carrier,
        witnesses=Witnesses(target=target, put=inbox.put),
        faults=request.faults,
        view=view,
    )
    try:
        with _signals(inbox):
            finish = driver.run()
        writer.close()
    except BaseException as error:
        _heal_by_ledger(ledger, target, carrier, owns=owns, error=error)
        raise
    finally:
        keeper.stop()
    ledger.append(Closed(dirty=finish.dirty))
    return finish


def _heal_by_ledger(ledger: Ledger, target: Target, carrier: Carrier, *, owns: bool, error: BaseException) -> None:
    """The conductor or its driver failed: heal from the ledger, without them."""
    failures = heal(ledger, target.undo, by="driver")
    with contextlib.suppress(Exception):
        carrier.observers.stop()
    if failures:
        raise DirtyError(
            "the run failed and not all could be healed: " + "; ".join(failures), hint="run `drill heal`"
        ) from error
    ledger.append(Closed(by="driver"))
    if owns:
        with contextlib.suppress(EnvironmentProblem):
            target.down()


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


@contextlib.contextmanager
def _signals(inbox: Inbox) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP become events, however often they come: the run heals and then ends."""

    def tell(number: int, _frame: FrameType | None) -> None:
        inbox.put(SignalReceived(t_ns=now_ns(), name=signal.Signals(number).name))

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        before = {number: signal.signal(number, tell) for number in numbers}
    except ValueError:  # not in the main thread (pytest-xdist, a server): signals are the caller's affair
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _reaper(ledger: Ledger) -> Iterator[Callable[[], None]]:
    """Starts the reaper; gives what waits until it is ready; says farewell at a good end, and only then."""
    pipe_read, pipe_write = os.pipe()
    ready_read, ready_write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "harness.run.reaper", str(ledger.path), str(pipe_read), str(ready_write)],
        pass_fds=(pipe_read, ready_write),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(pipe_read)
    os.close(ready_write)

    def wait_until_ready() -> None:
        deadline = time.monotonic() + REAPER_READY_S
        os.set_blocking(ready_read, False)
        while time.monotonic() < deadline and child.poll() is None:
            with contextlib.suppress(BlockingIOError):
                if os.read(ready_read, 1) == b"1":
                    return
            time.sleep(0.01)  # bounded by the deadline above
        raise EnvironmentProblem("the reaper did not get ready, so nothing may be injected")

    try:
        yield wait_until_ready
        with contextlib.suppress(OSError):
            os.write(pipe_write, FAREWELL)
    finally:
        os.close(pipe_write)
        os.close(ready_read)
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
