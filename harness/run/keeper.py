"""Keeps a live run's hold on its target: renews the leases every second, and tells which processes ended.

If the harness dies, nobody renews, and the target's own supervisor and proxy take back what was injected. The same would
happen under a run whose keeper fails or stands still: the fault would vanish, and look repaired. So what may have let a
lease run out is told as a lost observer, and so is the end of a process that isn't the pipeline's but part of the
instrument (the fault proxy), whatever the phase.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import now_ns
from harness.history.events import AnyEvent, Note, ObserverLost, ServiceExited
from harness.plugin import Target

EXITS_EVERY_S = 0.25
RENEW_EVERY_NS = 1_000_000_000
UNRENEWED_NS_MAX = 4_500_000_000
"""Leases are five seconds long. With more than this between two renewals, one may have run out."""


class Keeper:
    """A thread of its own; `put` takes the events."""

    def __init__(self, target: Target, *, put: Callable[[AnyEvent], None]) -> None:
        self.target = target
        self.put = put
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained: set[str] = set()
        self._why = ""
        self._lost = False
        self._cursor = 0
        self._renewed = 0

    def start(self) -> None:
        """Begins; processes that ended before don't count."""
        _, self._cursor = self.target.exits(after=0)
        self._renew()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="keeper")
        self._thread.start()

    def stop(self) -> None:
        """Stops renewing. Idempotent."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def _keep(self) -> None:
        while not self._stop.wait(EXITS_EVERY_S):
            self._try("its ended processes can't be read", self._tell_exits)
            if now_ns() - self._renewed >= RENEW_EVERY_NS:
                self._try("its leases can't be renewed", self._renew)
            if now_ns() - self._renewed > UNRENEWED_NS_MAX:
                self._say_lost(
                    "keeper", f"the leases were not renewed in time, so what was injected may be gone{self._why}"
                )

    def _try(self, what: str, do: Callable[[], None]) -> None:
        """Whatever one round throws, the next must still be made: a keeper that dies lets every fault vanish."""
        try:
            do()
        except Exception as error:
            if what not in self._complained:
                self._complained.add(what)
                words = f"the target's supervisor: {what}: {type(error).__name__}: {error}"
                self._why = f": {error}"
                self.put(Note(t_ns=now_ns(), src="keeper", text=words))

    def _renew(self) -> None:
        began = now_ns()
        self.target.renew()
        if self._renewed and began - self._renewed > UNRENEWED_NS_MAX:
            self._say_lost("keeper", "the run stood still for so long that what was injected may be gone")
        self._renewed = began

    def _tell_exits(self) -> None:
        ended, after = self.target.exits(after=self._cursor)
        self._cursor = after
        seen = now_ns()
        for t_ns, service, reason, code, asked in ended:
            log = () if asked else self._log_of(service)
            self.put(
                ServiceExited(
                    t_ns=t_ns,
                    res_ns=max(0, seen - t_ns),
                    src="supervisor",
                    service=service,
                    reason=reason,
                    code=code,
                    asked=asked,
                    log=log,
                )
            )
            if not asked and service not in self.target.spec.services:
                last = f": {log[-1]}" if log else ""
                self._say_lost(service, f"it ended unasked ({reason}), and what it held with it{last}")

    def _log_of(self, service: str) -> tuple[str, ...]:
        try:
            return self.target.log_tail(service)
        except Exception:  # words for people; the end of the process is the news
            return ()

    def _say_lost(self, observer: str, error: str) -> None:
        if not self._lost and not self._stop.is_set():
            self._lost = True
            self.put(ObserverLost(t_ns=now_ns(), src="keeper", observer=observer, error=error))
