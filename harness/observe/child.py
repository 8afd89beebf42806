"""A child process that writes events as lines: the prober, the load generator.

It can be spawned early (what takes long is importing) and configured later. It ends when its standard input is closed,
which the kernel does when we die. An observer that dies, or says nothing for longer than it ever should, is told as lost:
no data is never good news. Where one kind of event must come, no other one hides that it doesn't.
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
from harness.history.events import AnyEvent, Event, Note, ObserverLost

STOP_S = 2.0
SILENT_S_MAX = 10.0
"""Both children speak every second or so, even about a dead target."""
LAST_WORDS_BYTES = 400
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class Child:
    """One observer process. `put` takes its events; what it says on standard error goes to `log`."""

    def __init__(
        self,
        name: str,
        module: str,
        *,
        log: Path,
        put: Callable[[AnyEvent], None],
        silent_s_max: float | None = SILENT_S_MAX,
        must_say: type[Event] = Event,
    ) -> None:
        self.name = name
        self.module = module
        self.log = log
        self.put = put
        self.silent_s_max = silent_s_max
        """None: it has nothing that it must say, so its silence tells nothing."""
        self.must_say = must_say
        """Only events of this kind break its silence."""
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Event()
        self._heard = threading.Event()
        self._first = threading.Event()
        self._lost = threading.Lock()
        self._unreadable = False

    @property
    def pid(self) -> int | None:
        """Of the process; None before it was spawned."""
        return self._process.pid if self._process is not None else None

    def spawn(self) -> None:
        """Starts the process; it waits for its configuration. Raises `EnvironmentProblem`."""
        if self._process is not None:
            return
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
        try:
            with self.log.open("ab") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self.module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                    env=environment,
                )
        except OSError as error:
            raise EnvironmentProblem(f"the {self.name} can't be started: {error.strerror}") from error
        output = self._process.stdout
        assert output is not None, "spawned with a pipe"
        self._reader = threading.Thread(target=self._read_on, args=(output,), daemon=True, name=f"{self.name}-reader")
        self._reader.start()

    def say(self, line: bytes) -> None:
        """Sends one line. Raises `EnvironmentProblem` where the process is gone."""
        process = self._process
        if process is None or process.stdin is None:
            raise EnvironmentProblem(f"the {self.name} was not spawned")
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: it was stopped, and its input is closed
            raise EnvironmentProblem(f"the {self.name} ended: {self._last_words()}") from error

    def wait_first(self, timeout_s: float) -> None:
        """Waits for its first event; from then on its silence is watched. Raises `EnvironmentProblem`."""
        if not self._first.wait(max(0.0, timeout_s)):
            raise EnvironmentProblem(f"the {self.name} gave nothing in time: {self._last_words()}")
        if self._lost.locked() or (self._process is not None and self._process.poll() is not None):
            raise EnvironmentProblem(f"the {self.name} ended: {self._last_words()}")
        if self.silent_s_max is not None:
            watch = threading.Thread(
                target=self._watch, args=(self.silent_s_max,), daemon=True, name=f"{self.name}-watch"
            )
            watch.start()

    def stop(self) -> None:
        """Ends it: politely, then by force; what it still said was put. Idempotent."""
        self._stopping.set()
        self._heard.set()
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
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(STOP_S)

    def _read_on(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                try:
                    event = _DECODER.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    event = self._complaint()
                self.put(event)
                if isinstance(event, self.must_say):
                    self._heard.set()
                self._first.set()
        self._say_lost(self._last_words)
        self._first.set()  # whoever waits for it must not wait for the dead

    def _complaint(self) -> Note:
        again = "again " if self._unreadable else ""
        self._unreadable = True
        return Note(t_ns=now_ns(), src=self.name, text=f"the {self.name} {again}said what is no event; it was left out")

    def _watch(self, silent_s_max: float) -> None:
        while not self._stopping.is_set():
            self._heard.clear()
            if not self._heard.wait(silent_s_max):
                self._say_lost(lambda: f"it {self._silence()} for {silent_s_max:g} s")
                return
            self._stopping.wait(silent_s_max / 4)

    def _silence(self) -> str:
        return "said nothing" if self.must_say is Event else f"gave no {self.must_say.__struct_config__.tag}"

    def _say_lost(self, why: Callable[[], str]) -> None:
        if not self._stopping.is_set() and self._lost.acquire(blocking=False):  # once, and kept
            self.put(ObserverLost(t_ns=now_ns(), src=self.name, observer=self.name, error=why()))

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self.log.open("rb") as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
            return said.read().decode(errors="replace").strip()
        return ""
