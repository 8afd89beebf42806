"""The target's monitors as a program: clean rows out of it, damaged rows into it, what fires out of it.

The harness never imports a pipeline. Each call is a process of its own with a time limit; it is given all of its input at
once and is read to its end, so that neither side can wait for the other. Rejected: one that stays and is talked to, which is
quicker by its start and can hang.

Always true: what a program answers that can't be understood is told in a sentence and never counted as "nothing fired".
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.errors import EnvironmentProblem, UnsupportedError
from harness.spec.load import LoadedTarget
from harness.spec.target import Offline

Row = Mapping[str, Any]
ERROR_CHARS_MAX = 600


class Rule(msgspec.Struct, frozen=True):
    """A rule that looks at rows."""

    alert: str
    severity: str = "page"
    layer: str = ""


class Fired(msgspec.Struct, frozen=True):
    """An alert that began to fire, by the clock of the rows."""

    stream: str
    t: float
    alert: str
    severity: str = "page"
    layer: str = ""


class _Head(msgspec.Struct, frozen=True):
    rate: float
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Judged:
    """What the program said: all of its rules, how many rows are a second of its clock, and what fired by stream."""

    rate: float
    rules: tuple[Rule, ...]
    fired: Mapping[str, tuple[Fired, ...]]


class Program:
    """Raises `UnsupportedError` for a target that has none, `EnvironmentProblem` where it fails."""

    def __init__(self, target: LoadedTarget) -> None:
        if target.spec.offline is None:
            raise UnsupportedError(
                f"{target.path}: the target offers no monitors offline, and without them no dose can be found",
                hint="say in `offline:` how they are run; docs/monitors.md tells what such a program reads and writes",
            )
        self._spec: Offline = target.spec.offline
        self._folder = target.folder
        self._path = [str((target.folder / folder).resolve()) for folder in target.spec.python_path]

    def rows(self, *, seed: int, first: int, count: int) -> list[Row]:
        """Clean rows, as many as were asked for."""
        out = self._run(["rows", "--seed", str(seed), "--first", str(first), "--count", str(count)], b"")
        rows = [self._decoded(line, dict[str, Any]) for line in out.splitlines() if line.strip()]
        if len(rows) != count:
            raise EnvironmentProblem(f"offline: asked for {count} clean rows, got {len(rows)}")
        return rows

    def judge(self, lines: Iterable[Mapping[str, Any]], *, seed: int) -> Judged:
        """What fires on these rows and control lines."""
        encode = msgspec.json.Encoder().encode
        given = b"\n".join(encode(line) for line in lines) + b"\n"
        out = [line for line in self._run(["monitors", "--seed", str(seed)], given).splitlines() if line.strip()]
        if len(out) < 2 or b'"rows"' not in out[-1]:
            raise EnvironmentProblem('offline: the monitors ended without the last line, {"rows": N}')
        head: _Head = self._decoded(out[0], _Head)
        fired: dict[str, list[Fired]] = {}
        for line in out[1:-1]:
            one: Fired = self._decoded(line, Fired)
            fired.setdefault(one.stream, []).append(one)
        return Judged(head.rate, head.rules, {stream: tuple(found) for stream, found in fired.items()})

    def _decoded(self, line: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError as error:
            shown = line[:80].decode(errors="replace")
            raise EnvironmentProblem(f"offline: the program said {shown!r}: {error}") from None

    def _run(self, arguments: list[str], given: bytes) -> bytes:
        environment = dict(os.environ)
        if self._spec.python is not None:
            module, _, function = self._spec.python.partition(":")
            code = f"import sys; from {module} import {function}; sys.exit({function}())"
            command = [sys.executable, "-c", code]
            environment["PYTHONPATH"] = os.pathsep.join([*self._path, environment.get("PYTHONPATH", "")]).rstrip(
                os.pathsep
            )
        else:
            command = list(self._spec.command)
        try:
            done = subprocess.run(
                [*command, *arguments],
                input=given,
                capture_output=True,
                cwd=self._folder,
                env=environment,
                timeout=self._spec.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EnvironmentProblem(
                f"offline: {arguments[0]} took more than {self._spec.timeout:g} s",
                hint="fewer --streams, or offline.timeout",
            ) from None
        except OSError as error:
            raise EnvironmentProblem(f"offline: {command[0]} can't be started: {error.strerror}") from None
        if done.returncode != 0:
            told = done.stderr.decode(errors="replace").strip()[-ERROR_CHARS_MAX:]
            raise EnvironmentProblem(f"offline: {arguments[0]} ended with {done.returncode}: {told}")
        return done.stdout
