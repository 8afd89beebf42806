"""Containers that ended, and why: read from the daemon's events, told once, kept in the instance's folder.

The container itself can't be asked: once it is started again it has forgotten its exit code and whether it was killed for
memory. The daemon keeps its last 256 events, so they are read every time somebody asks, and what was found is written down
with a lock, so that two processes with the same instance tell the same. What we are about to end is noted before it ends.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from harness.clock import now_ns, wall_ns
from harness.errors import NotWritableError
from harness.target.docker.daemon import Daemon
from harness.target.docker.selection import KEPT, NUMBER, PROJECT, SERVICE

FILE = "deaths.jsonl"
S = 1_000_000_000
OOM_BEFORE_NS, OOM_AFTER_NS = 3 * S, S
ASKED_NS = 15 * S
"""How long after it was asked for an end may come."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """`kind`: begin, ask or exit. `wall_ns` is the daemon's clock for an exit, ours else; `t_ns` our monotonic one."""

    kind: str
    wall_ns: int
    container: str = ""
    service: str = ""
    reason: str = ""
    code: int | None = None
    asked: bool = False
    memory: bool = False
    t_ns: int = 0


class Deaths:
    """`service_of` gives the target's name of (Compose service, number), or None for what isn't watched."""

    def __init__(
        self, home: Path, daemon: Daemon, *, project: str, service_of: Callable[[str, str], str | None]
    ) -> None:
        self._path = home / FILE
        self._daemon, self._project, self._service_of = daemon, project, service_of
        self._mutex = threading.Lock()
        self._size = -1
        self._lines: list[Line] = []
        self._finished: dict[str, str] = {}

    def begin(self) -> None:
        """Forgets all: what ended before doesn't count."""
        self._path.unlink(missing_ok=True)
        self._append([Line(kind="begin", wall_ns=wall_ns())])

    def ask(self, container: str, *, memory: bool = False) -> None:
        """The next end of this container is by our will; `memory`: in the place of a kernel that kills for memory."""
        self._append([Line(kind="ask", wall_ns=wall_ns(), container=container, memory=memory)])

    def seen(self, inspected: dict[str, Any]) -> None:
        """Looks at the events only if this container has ended since the last look."""
        finished = str(inspected["State"].get("FinishedAt", ""))
        if self._finished.get(inspected["Id"]) != finished:
            self.refresh()
            self._finished[inspected["Id"]] = finished

    def since(self, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        """(t_ns, service, reason, code, asked) behind the cursor, and the next cursor."""
        self.refresh()
        exits = self._exits()
        told = [(one.t_ns, one.service, one.reason, one.code, one.asked) for one in exits[after:]]
        return told, max(after, len(exits))

    def memory_kills(self, service: str) -> int:
        """How often it was killed for memory since the instance came up."""
        with self._mutex:
            self._load()
        return sum(one.service == service and one.reason == "memory" for one in self._exits())

    def refresh(self) -> None:
        """Reads what the daemon has told since the last exit that is written down."""
        with self._mutex, self._locked() as descriptor:
            self._load()
            known = {(one.container, one.wall_ns) for one in self._exits()}
            from_ns = max((one.wall_ns for one in self._lines if one.kind != "ask"), default=wall_ns() - 60 * S)
            events = self._daemon.events(
                labels={PROJECT: self._project},
                since=(from_ns - OOM_BEFORE_NS) / S,
                until=wall_ns() / S,
                kinds=["start", "die", "oom"],
            )
            begun = next((one.wall_ns for one in self._lines if one.kind == "begin"), 0)
            fresh: list[Line] = []
            for event in events:
                key = (str(event["Actor"]["ID"]), int(event["timeNano"]))
                if event["Action"] == "die" and key not in known and key[1] > begun:
                    line = self._exit(event, events, fresh)
                    fresh += [line] if line is not None else []
            if fresh:
                os.write(descriptor, b"".join(msgspec.json.encode(line) + b"\n" for line in fresh))
                self._load()

    def _exit(self, event: dict[str, Any], events: list[dict[str, Any]], fresh: list[Line]) -> Line | None:
        attributes = event["Actor"]["Attributes"]
        service = self._service_of(str(attributes.get(SERVICE, "")), str(attributes.get(NUMBER, "1")))
        if service is None or str(attributes.get("name", "")).endswith(KEPT):
            return None
        container, at = str(event["Actor"]["ID"]), int(event["timeNano"])
        asked = self._asked(container, at, fresh)
        code = int(attributes.get("exitCode", 0))
        memory = _out_of_memory(events, container, at) or (asked is not None and asked.memory)
        return Line(
            kind="exit",
            wall_ns=at,
            container=container,
            service=service,
            reason="memory" if memory else "signal" if code > 128 else "exit",
            code=code,
            asked=asked is not None and not asked.memory,
            t_ns=min(now_ns(), now_ns() - (wall_ns() - at)),
        )

    def _asked(self, container: str, at: int, fresh: list[Line]) -> Line | None:
        """The newest request that no earlier end has answered."""
        ends = [one.wall_ns for one in [*self._exits(), *fresh] if one.container == container and one.wall_ns < at]
        after = max(ends, default=0)
        for one in reversed(self._lines):
            if (
                one.kind == "ask"
                and one.container == container
                and after <= one.wall_ns
                and at - one.wall_ns < ASKED_NS
            ):
                return one
        return None

    def _exits(self) -> list[Line]:
        return [one for one in self._lines if one.kind == "exit"]

    def _load(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            content = b""
        if len(content) == self._size:
            return
        self._size = len(content)
        self._lines = [msgspec.json.decode(line, type=Line) for line in content.splitlines() if line.endswith(b"}")]

    def _append(self, lines: list[Line]) -> None:
        with self._mutex, self._locked() as descriptor:
            os.write(descriptor, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _locked(self) -> _Locked:
        return _Locked(self._path)


def _out_of_memory(events: list[dict[str, Any]], container: str, at: int) -> bool:
    """Whether the kernel killed in this very life of the container: between its start and, a little late, its end."""
    own = [(str(event["Action"]), int(event["timeNano"])) for event in events if event["Actor"]["ID"] == container]
    began = max((t for action, t in own if action == "start" and t < at), default=at - OOM_BEFORE_NS)
    until = min((t for action, t in own if action == "start" and t > at), default=at + OOM_AFTER_NS)
    return any(action == "oom" and began <= t <= min(until, at + OOM_AFTER_NS) for action, t in own)


class _Locked:
    """The file, for appending, while nobody else does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotWritableError(f"{self._path} can't be written: {error.strerror}") from None
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
