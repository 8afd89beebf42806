"""A child process that writes events as lines: the prober, the load generator.

It can be spawned early (what takes long is importing) and configured later. It ends when its standard input is closed,
which the kernel does when we die.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from harness.clock import now_ns
from harness.errors import EnvironmentProblem
from harness.history.events import AnyEvent, ObserverLost

STOP_S = 3.0
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class Child:
    """One observer process. `put` takes its events; what it says on standard error goes to `log`."""

    def __init__(self, name: str, module: str, *, log: Path, put: Callable[[AnyEvent], None]) -> None:
        self.name = name
        self.module = module
        self.log = log
        self.put = put
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self.first = threading.Event()
        """Set when the first event came."""

    def spawn(self) -> None:
        """Starts the process; it waits for its configuration."""
        if self._process is not None:
            return
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
        with self.log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env=environment,
            )
        output = self._process.stdout
        assert output is not None, "spawned with a pipe"
        threading.Thread(target=self._read_on, args=(output,), daemon=True, name=f"{self.name}-reader").start()

    def say(self, line: bytes) -> None:
        """Sends one line. Raises `EnvironmentProblem` where the process is gone."""
        process = self._process
        if process is None or process.stdin is None:
            raise EnvironmentProblem(f"the {self.name} was not spawned")
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise EnvironmentProblem(f"the {self.name} ended: {self._last_words()}") from error

    def stop(self) -> None:
        """Ends it: politely, then by force. Idempotent."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def _read_on(self, output: IO[bytes]) -> None:
        for line in output:
            try:
                event = _DECODER.decode(line)
            except msgspec.MsgspecError:
                continue
            self.put(event)
            self.first.set()
        if not self._stopping:
            self.put(ObserverLost(t_ns=now_ns(), src=self.name, observer=self.name, error=self._last_words()))

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-300:].strip()
        return ""
