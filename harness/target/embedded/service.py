"""One service under the supervisor: what is wanted of it, what is there, and the steps from one to the other.

Always true: a signal goes only to a process that the zygote forked for us and has not reaped, so the pid is ours.
What was injected survives the service's restart; an operator's restart or start ends an injected pause or stop,
because that is what it would do to a hung process, and leaves limits alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from harness.contract.undo import Json, PointKind, UndoOutcome
from harness.target.embedded.duty import Duty
from harness.target.embedded.launch import ServiceLaunch, ServiceStatus
from harness.target.embedded.memory import family_private_bytes
from harness.target.embedded.setting import Setting

RESTART_S = 1.0
GRACE_S = 2.0
MEMORY_LOOK_S = 0.15
BYTES_MIN = 1024 * 1024
SHARE_MIN = 0.01
STATES = ("running", "paused", "down", "killed")


class Refused(Exception):  # noqa: N818 - an answer on the control socket, not a defect
    """A request that can't be granted, in words for whoever asked."""


class Process(NamedTuple):
    """A process as the zygote forked it; `descriptor` is its pidfd."""

    pid: int
    start: int
    descriptor: int


class Ended(NamedTuple):
    """How a process ended: reason memory, signal or exit; `by_operator` and `by_fault` say who asked."""

    reason: str
    code: int
    by_operator: bool
    by_fault: bool


class Service:
    """State of one service. `fork` asks the zygote for a process; `after_spawn` comes back through `spawned`."""

    def __init__(self, launch: ServiceLaunch, *, fork: Callable[[ServiceLaunch], None]) -> None:
        self.launch = launch
        self.state = Setting("running")
        self.cpu = Setting(None)
        self.memory = Setting(launch.memory)
        self.process: Process | None = None
        self.restarts = 0
        self.memory_kills = 0
        self.was_ready = False
        self.early_exits = 0
        self._fork = fork
        self._forking = False
        self._held = True
        self._duty = Duty(stop=lambda: self._signal(signal.SIGSTOP), go=self._continue)
        self._later: asyncio.TimerHandle | None = None
        self._looks: asyncio.Handle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._at_once = False
        self._by_operator = self._by_fault = self._over_memory = False

    # --- what is asked of it ------------------------------------------------------------------------------------------

    def allow(self) -> None:
        """Those that it needs are ready: it may start."""
        self._held = False
        self.reconcile()

    @property
    def held(self) -> bool:
        """Whether it still waits for those that it needs."""
        return self._held

    def setting(self, kind: str) -> Setting:
        """The setting of a point kind. Raises `Refused`."""
        match kind:
            case PointKind.PROCESS:
                return self.state
            case PointKind.CPU:
                return self.cpu
            case PointKind.MEMORY:
                return self.memory
        raise Refused(f"unknown kind {kind!r}; known: process, cpu, memory")

    def inject(self, kind: str, value: Json) -> None:
        """Sets a point by a fault."""
        setting = self.setting(kind)
        setting.inject(_checked(kind, value))
        if setting is self.state and value in ("down", "killed"):
            self._by_fault = self.process is not None
            self._signal(signal.SIGKILL)
        self.reconcile()

    def restore(self, kind: str, *, injected: Json, restore: Json) -> UndoOutcome:
        """Takes an injected value back, where it still stands."""
        outcome = self.setting(kind).undo(injected=_checked(kind, injected), restore=_checked(kind, restore))
        self._at_once = outcome is UndoOutcome.RESTORED
        self.reconcile()
        return outcome

    def operate(self, what: str, value: Json) -> None:
        """An operator's change."""
        match what:
            case "restart" | "start":
                self.state.operate("running")
                self._at_once = True
                if what == "restart" and self.process is not None:
                    self._by_operator = True
                    self.terminate()
                else:
                    self.reconcile()
            case "stop":
                self.state.operate("down")
                self._by_operator = self.process is not None
                self.terminate()
            case PointKind.CPU | PointKind.MEMORY:
                self.setting(what).operate(_checked(what, value))
                self.reconcile()
            case _:
                raise Refused(f"unknown operation {what!r}; known: restart, stop, start, cpu, memory")

    def expire(self) -> bool:
        """The lease is over: what was injected goes. True if anything changed."""
        changed = [setting.expire() for setting in (self.state, self.cpu, self.memory)]
        if any(changed):
            self._at_once = True
            self.reconcile()
        return any(changed)

    def baseline(self) -> None:
        """Running, with its limits as launched."""
        self.state.operate("running")
        self.cpu.operate(None)
        self.memory.operate(self.launch.memory)
        self._at_once = True
        self.reconcile()

    # --- from what is to what is wanted -------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Takes the next step; called after every change and every death."""
        self._duty.set(self.cpu.value)
        self._watch_memory()
        if self.process is not None:
            if not (self._by_operator or self._by_fault):
                self._at_once = False  # it lives; should it die later, the usual wait holds
            if self.state.value == "paused":
                self._signal(signal.SIGSTOP)
            elif self.cpu.value is None:
                self._continue()
            return
        if self._held or self._forking or self.state.value == "down":
            return
        if self._at_once:
            self._start()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(RESTART_S, self._start)

    def first_start(self) -> None:
        """Starts without the wait that follows a death."""
        self._at_once = True
        self.allow()

    def _start(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self.process is not None or self._forking or self.state.value == "down":
            return
        self._at_once = False
        self._forking = True
        if self.state.value == "killed":
            self.state.operate("running")
        self._fork(self.launch)

    def spawned(self, process: Process) -> None:
        """The zygote has forked it."""
        self.process = process
        self._forking = False
        self._by_operator = self._by_fault = self._over_memory = False
        if self.state.value in ("down", "killed"):
            self._by_fault = self.state.injected
            self._signal(signal.SIGKILL)
        self.reconcile()

    def not_spawned(self) -> None:
        """The zygote could not fork; tried again after the usual wait."""
        self._forking = False
        self.reconcile()

    def ended(self, *, by_signal: bool, code: int) -> Ended:
        """Its process has ended (and is still unreaped, or the zygote took it along); gives how."""
        assert self.process is not None
        how = Ended(
            reason="memory" if self._over_memory else "signal" if by_signal else "exit",
            code=code,
            by_operator=self._by_operator,
            by_fault=self._by_fault,
        )
        os.close(self.process.descriptor)
        self.process = None
        self.restarts += 1
        self.memory_kills += self._over_memory
        self.early_exits += not (self.was_ready or how.by_operator or how.by_fault)
        self._by_operator = self._by_fault = self._over_memory = False
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        return how

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL after the grace; a stopped process is continued, or it would never hear of it."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        if self.process is not None and self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(GRACE_S, self._signal, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to the group."""
        self._signal(signal.SIGKILL)

    # --- means --------------------------------------------------------------------------------------------------------

    def _continue(self) -> None:
        if self.state.value != "paused":
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the process group. The zygote reaps on our word only, so the group is ours as long as the process is known."""
        if self.process is None:
            return
        try:
            signal.pidfd_send_signal(self.process.descriptor, number)
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return  # it has died, and the news is on its way

    def _watch_memory(self) -> None:
        wanted = self.memory.value is not None and self.process is not None
        if wanted and self._looks is None:
            self._looks = asyncio.get_running_loop().call_soon(self._look_at_memory)
        elif not wanted and self._looks is not None:
            self._looks.cancel()
            self._looks = None

    def _look_at_memory(self) -> None:
        self._looks = None
        if self.memory.value is None or self.process is None:
            return
        used = family_private_bytes(self.process.pid)
        if used is not None and used > self.memory.value:
            self._over_memory = True
            self._signal(signal.SIGKILL)
            return
        self._looks = asyncio.get_running_loop().call_later(MEMORY_LOOK_S, self._look_at_memory)

    def status(self) -> ServiceStatus:
        process = self.process
        return ServiceStatus(
            pid=process.pid if process else 0,
            start=process.start if process else 0,
            state=self.state.value,
            restarts=self.restarts,
            memory_kills=self.memory_kills,
            cpu=self.cpu.value,
            memory=self.memory.value,
            early_exits=self.early_exits,
            leaving=process is not None and (self._by_operator or self._by_fault or self._over_memory),
        )


def _checked(kind: str, value: Json) -> Json:
    """The value, normalised. Raises `Refused` saying what is legal."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case PointKind.PROCESS if value in STATES:
            return value
        case PointKind.CPU if value is None or (number and SHARE_MIN <= value <= 1.0):
            return None if value is None or value == 1.0 else float(value)
        case PointKind.MEMORY if value is None or (number and value >= BYTES_MIN and float(value).is_integer()):
            return None if value is None else int(value)
    legal = {
        "process": ", ".join(STATES),
        "cpu": f"a share from {SHARE_MIN} to 1, or null for no limit",
        "memory": f"whole bytes, at least {BYTES_MIN}, or null for no limit",
    }
    raise Refused(f"{kind}: {str(value)[:80]!r} is not legal; legal: {legal.get(kind, 'process, cpu, memory')}")
