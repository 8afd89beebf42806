"""The warm interpreter: imports the libraries once, then forks one process per service on request.

Problem: eleven interpreters cost over a second and 300 MB; eleven forks a quarter of both, and a killed service is
back in milliseconds. Commands are started here as well, so that one process is the parent of all and each child
dies with it (PR_SET_PDEATHSIG survives exec). Rejected: multiprocessing's forkserver (its children can't be
sessions of their own, nor be reaped on demand), and preexec_fn in the harness (unsafe beside threads).

Always true: this process has one thread; a dead child stays a zombie until the supervisor says `reap`, so its pid
and its process group can't be anybody else's while the supervisor may still signal them.

Talks with the supervisor over a SOCK_SEQPACKET pair, one JSON object a packet: `{"fork": {...}}` and `{"reap":
pid}` come in; `{"warm": ...}`, `{"forked": ...}`, `{"exited": ...}` and `{"failed": ...}` go out. If the pair
closes, it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

import msgspec

from harness.target.embedded.launch import ServiceLaunch
from harness.target.embedded.processes import stat

PACKET_BYTES_MAX = 1024 * 1024
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; ends at once if it has ended already."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, argument: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def preload(modules: tuple[str, ...]) -> str:
    """Imports them; says in words what went wrong, or nothing."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a module raises when imported, the supervisor must hear of it
            traceback.print_exc()
            return f"preload: {module} can't be imported: {type(error).__name__}: {error}"
        if threads() > 1:
            return (
                f"preload: importing {module} starts a thread, so nothing can be forked safely after it; leave it out"
            )
    return ""


class Zygote:
    """The loop. `channel` is the supervisor's end of the pair."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.children: dict[int, str] = {}
        self.reported: set[int] = set()
        self.woken, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serves until the supervisor's end closes."""
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        while True:
            ready, _, _ = select.select([self.channel.fileno(), self.woken], [], [])
            if self.woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 4096)
                self.report()
            if self.channel.fileno() in ready:
                packet = self.channel.recv(PACKET_BYTES_MAX)
                if not packet:
                    return
                self.obey(msgspec.json.decode(packet))

    def obey(self, request: dict[str, Any]) -> None:
        if "fork" in request:
            self.fork(msgspec.convert(request["fork"], ServiceLaunch))
        elif (pid := request.get("reap")) in self.children:
            os.waitpid(pid, 0)
            del self.children[pid]
            self.reported.discard(pid)

    def fork(self, launch: ServiceLaunch) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self.tell({"failed": launch.name, "error": f"fork: {error.strerror}"})
            return
        if pid == 0:
            self.become(launch, parent)
        self.children[pid] = launch.name
        found = stat(pid)
        assert found is not None, "a child that was not reaped has an entry in /proc"
        self.tell({"forked": launch.name, "pid": pid, "start": found.start})

    def report(self) -> None:
        """Tells of each child that has ended, once, and leaves it a zombie."""
        for pid in self.children.keys() - self.reported:
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                self.reported.add(pid)
                by_signal = found.si_code != os.CLD_EXITED
                self.tell({"exited": self.children[pid], "pid": pid, "signal": by_signal, "code": found.si_status})

    def tell(self, message: dict[str, Any]) -> None:
        self.channel.sendall(msgspec.json.encode(message))

    def become(self, launch: ServiceLaunch, parent: int) -> NoReturn:
        """In the child: turns into the service; never returns."""
        code = 1
        try:
            os.setsid()
            die_with(parent)
            self._shed(launch)
            if launch.command:
                os.execvpe(launch.command[0], [*launch.command, *launch.arguments], os.environ)
            code = _run(launch)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except KeyboardInterrupt:
            code = 130
        except BaseException:  # the last frame of a forked child: nothing may return into the parent's loop
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code & 0xFF)

    def _shed(self, launch: ServiceLaunch) -> None:
        """Leaves the parent's descriptors, signals and environment behind."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.channel.close()
        os.close(self.woken)
        os.close(self.waker)
        log = os.open(launch.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.update(launch.environment)
        os.chdir(launch.folder)


def _run(launch: ServiceLaunch) -> int:
    assert launch.python is not None
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # both are text files here
    _prctl(PR_SET_NAME, ctypes.c_char_p(launch.name.encode()[:15]))
    sys.argv = [launch.python, *launch.arguments]
    sys.path[:0] = [path for path in launch.python_path if path not in sys.path]
    module, _, function = launch.python.partition(":")
    result = getattr(importlib.import_module(module), function)()
    return result if isinstance(result, int) else 0


def main() -> None:
    """`python -m harness.target.embedded.zygote DESCRIPTOR`: the first packet is `{"preload": [...], "python_path": [...]}`."""
    die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    first = msgspec.json.decode(channel.recv(PACKET_BYTES_MAX))
    sys.path[:0] = first["python_path"]
    problem = preload(tuple(first["preload"]))
    zygote = Zygote(channel)
    if problem:
        zygote.tell({"warm": False, "error": problem})
        return
    gc.collect()
    gc.freeze()  # what was imported is never looked at by the collector, so its pages stay shared
    zygote.tell({"warm": True})
    zygote.run()


if __name__ == "__main__":
    main()
