"""The parent of an instance: starts services through the zygote, restarts the dead, and carries out what is injected.

A process and session of its own (`python -m harness.target.embedded.supervisor FOLDER`), so that the pipeline
outlives the harness that broke it. One thread, one event loop; it sleeps when nothing happens. Always true: what
was injected stands only while the lease is renewed (5 s): a harness that died is forgotten, and pauses, duty
cycles, limits and held-down services with it. When this process dies, the kernel kills the zygote, and with it
every service.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from harness.clock import now_ns
from harness.target.embedded import control, logs
from harness.target.embedded.launch import (
    LABEL,
    Answer,
    AnyRequest,
    Baseline,
    Down,
    Exit,
    Exits,
    Get,
    Inject,
    Launch,
    Operate,
    Renew,
    Restore,
    ServiceLaunch,
    Status,
    StatusAnswer,
    load_launch,
)
from harness.target.embedded.processes import labelled, open_pidfd, send
from harness.target.embedded.service import Process, Refused, Service
from harness.target.embedded.zygote import PACKET_BYTES_MAX

READY_LOOK_S = 0.025
READY_ASK_S = 1.0
STOP_S_MAX = 4.0
EXITS_KEPT = 10_000
EXITS_FILE_BYTES_MAX = 1024 * 1024
HOUSEKEEPING_S = 1.0


class Supervisor:
    """The event loop's state. Everything runs in its one thread, so there are no locks."""

    def __init__(self, folder: Path, launch: Launch) -> None:
        self.folder, self.launch = folder, launch
        self.services = {entry.name: Service(entry, fork=self.fork) for entry in launch.services}
        self.exits: deque[Exit] = deque(maxlen=EXITS_KEPT)
        self.exited = 0
        self.problem = ""
        self.leased_until = 0.0
        self.zygote: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.warm = False
        self.waiting: list[ServiceLaunch] = []
        self.stopping = False
        self.finished = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves until told to go down."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.go_down)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        server = await control.Server(self.handle).serve(control.bind(self.folder))
        self.start_zygote()
        for service in self.services.values():
            if service.launch.needs:
                self.spawn_task(self.start_after_needs(service))
            else:
                service.first_start()
        self.spawn_task(self.keep_house())
        await self.finished.wait()
        await asyncio.sleep(0.02)  # the answer to `down` is still being written
        server.close()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "control.sock").unlink()

    def spawn_task(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- zygote -------------------------------------------------------------------------------------------------------

    def start_zygote(self) -> None:
        """A fresh warm interpreter. It carries our label, as all that it forks does."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | dict(os.environ)
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "harness.target.embedded.zygote", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env=environment | {LABEL: self.launch.label},
        )
        theirs.close()
        ours.setblocking(False)
        self.channel, self.warm = ours, False
        first = {"preload": self.launch.preload, "python_path": self.launch.python_path}
        ours.send(msgspec.json.encode(first))
        asyncio.get_running_loop().add_reader(ours, self.on_zygote)

    def fork(self, launch: ServiceLaunch) -> None:
        """Asks for a process; the answer comes as `forked`."""
        if self.channel is None or not self.warm:
            self.waiting.append(launch)
        else:
            self.tell_zygote({"fork": launch})

    def tell_zygote(self, message: dict[str, Any]) -> None:
        if self.channel is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is seen by on_zygote
                self.channel.send(msgspec.json.encode(message))

    def on_zygote(self) -> None:
        """News from the zygote; an empty packet is its end."""
        assert self.channel is not None
        try:
            packet = self.channel.recv(PACKET_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionError:
            packet = b""
        if not packet:
            self.zygote_lost()
            return
        news = msgspec.json.decode(packet)
        if "warm" in news:
            self.on_warm(news)
        elif "forked" in news:
            self.on_forked(self.services[news["forked"]], pid=news["pid"], start=news["start"])
        elif "failed" in news:
            self.services[news["failed"]].not_spawned()
        else:
            self.on_exited(self.services[news["exited"]], news)

    def on_warm(self, news: dict[str, Any]) -> None:
        if not news["warm"]:
            self.problem = news["error"]
            return
        self.warm = True
        waiting, self.waiting = self.waiting, []
        for launch in waiting:
            self.tell_zygote({"fork": launch})

    def on_forked(self, service: Service, *, pid: int, start: int) -> None:
        descriptor = open_pidfd(pid, start)
        if descriptor is None:
            service.not_spawned()  # gone with the zygote in this very moment
            return
        service.spawned(Process(pid=pid, start=start, descriptor=descriptor))
        if self.stopping:
            service.kill()

    def on_exited(self, service: Service, news: dict[str, Any]) -> None:
        """A service's process has ended and waits as a zombie: end what it left in its group, then let go of the pid."""
        if service.process is not None and service.process.pid == news["pid"]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(news["pid"], signal.SIGKILL)
            self.record(service, by_signal=news["signal"], code=news["code"])
        self.tell_zygote({"reap": news["pid"]})
        if not self.stopping:
            service.reconcile()
        elif all(other.process is None for other in self.services.values()):
            self.all_gone()

    def zygote_lost(self) -> None:
        """The zygote has died and the kernel kills what it had forked; start another and all services again."""
        assert self.channel is not None
        assert self.zygote is not None
        asyncio.get_running_loop().remove_reader(self.channel)
        self.channel.close()
        self.channel = None
        self.zygote.kill()
        self.zygote.wait(timeout=5)
        for service in self.services.values():
            if service.process is not None:
                service.kill()
                self.record(service, by_signal=True, code=signal.SIGKILL)
        if self.stopping:
            self.all_gone()
        elif not self.problem:
            self.start_zygote()
            for service in self.services.values():
                service.not_spawned()

    def record(self, service: Service, *, by_signal: bool, code: int) -> None:
        how = service.ended(by_signal=by_signal, code=code)
        asked = how.by_operator or how.by_fault or self.stopping
        self.exited += 1
        self.exits.append(
            Exit(t_ns=now_ns(), service=service.launch.name, reason=how.reason, code=how.code, asked=asked)
        )
        # What the pipeline's own monitoring may know: an operator's restart is announced, a fault of ours isn't.
        line = {
            "t": time.time(),
            "service": service.launch.name,
            "reason": how.reason,
            "code": how.code,
            "asked": how.by_operator or self.stopping,
        }
        with contextlib.suppress(OSError), open(self.launch.exits_file, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    # --- start and stop -----------------------------------------------------------------------------------------------

    async def start_after_needs(self, service: Service) -> None:
        """Starts a service when those that it needs have been ready once."""
        for name in service.launch.needs:
            await self.until_ready(self.services[name])
        service.first_start()

    async def until_ready(self, service: Service) -> None:
        while not (service.was_ready or self.stopping):
            if service.process is not None and await _answers(service.launch):
                service.was_ready = True
            else:
                await asyncio.sleep(READY_LOOK_S)

    def go_down(self) -> None:
        """Stops every service at once; kills what doesn't end within the grace."""
        if self.stopping:
            return
        self.stopping = True
        for service in self.services.values():
            service.state.operate("down")
            service.terminate()
        asyncio.get_running_loop().call_later(STOP_S_MAX, self.all_gone)
        if all(service.process is None for service in self.services.values()):
            self.all_gone()

    def all_gone(self) -> None:
        """No service is left: end the zygote and whatever carries our label, then ourselves."""
        if self.finished.is_set():
            return
        if self.zygote is not None:
            self.zygote.kill()
            self.zygote.wait(timeout=5)
        for pid, start in labelled(LABEL, self.launch.label):
            if pid != os.getpid():
                send(pid, start, signal.SIGKILL)
        self.finished.set()

    async def keep_house(self) -> None:
        """Once a second: the lease, and the bounds of files."""
        while not self.finished.is_set():
            await asyncio.sleep(HOUSEKEEPING_S / 4 if self.leased_until else HOUSEKEEPING_S)
            if self.leased_until and time.monotonic() > self.leased_until:
                self.leased_until = 0.0
                for service in self.services.values():
                    if service.expire():
                        print(f"lease expired: {service.launch.name} restored", file=sys.stderr, flush=True)
            for service in self.services.values():
                logs.bound(Path(service.launch.log))
            logs.bound(Path(self.launch.exits_file), EXITS_FILE_BYTES_MAX)

    # --- control socket -----------------------------------------------------------------------------------------------

    async def handle(self, request: AnyRequest) -> Answer:
        """Answers one request of the control socket."""
        if isinstance(request, Down):
            self.go_down()
            await self.finished.wait()
            return Answer(ok=True)
        try:
            return Answer(ok=True, value=msgspec.to_builtins(self.answer(request)))
        except Refused as error:
            return Answer(ok=False, error=str(error))

    def answer(self, request: AnyRequest) -> Any:
        if self.stopping and not isinstance(request, Status | Exits):
            raise Refused("the instance is going down")
        match request:
            case Status():
                return self.status()
            case Get(kind=kind, service=name):
                return self.service(name).setting(kind).value
            case Inject(kind=kind, service=name, value=value):
                self.renew()
                return self.service(name).inject(kind, value)
            case Restore(kind=kind, service=name, injected=injected, restore=restore):
                return self.service(name).restore(kind, injected=injected, restore=restore)
            case Operate(what=what, service=name, value=value):
                return self.service(name).operate(what, value)
            case Exits(after=after):
                return self.exits_after(after)
            case Renew():
                return self.renew()
            case Baseline():
                for service in self.services.values():
                    service.baseline()
        return None

    def service(self, name: str) -> Service:
        if name not in self.services:
            raise Refused(f"unknown service {name[:80]!r}; known: {', '.join(self.services)}")
        return self.services[name]

    def renew(self) -> None:
        self.leased_until = time.monotonic() + self.launch.lease_s

    def status(self) -> StatusAnswer:
        return StatusAnswer(
            pid=os.getpid(),
            zygote=self.zygote.pid if self.zygote is not None else 0,
            services={name: service.status() for name, service in self.services.items()},
            problem=self.problem,
        )

    def exits_after(self, after: int) -> dict[str, Any]:
        """The cursor counts all exits ever; those that fell out of the log are gone."""
        new = self.exited - max(after, self.exited - len(self.exits))
        return {"exits": list(self.exits)[-new:] if new > 0 else [], "next": self.exited}


async def _answers(launch: ServiceLaunch) -> bool:
    """Whether the service says that it is ready."""
    if launch.ready is None:
        return True
    try:
        async with asyncio.timeout(READY_ASK_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", launch.port)
            try:
                writer.write(f"GET {launch.ready} HTTP/1.0\r\nHost: {launch.name}\r\n\r\n".encode())
                first = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return b" 200 " in first


def main() -> None:
    """`python -m harness.target.embedded.supervisor FOLDER`"""
    folder = Path(sys.argv[1])
    launch = load_launch(folder)
    asyncio.run(Supervisor(folder, launch).run())


if __name__ == "__main__":
    main()
