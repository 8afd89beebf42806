"""Keeps a live run's hold on its target: renews the leases every second, and tells which processes ended.

If the harness dies, nobody renews, and the target's own supervisor and proxy take back what was injected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import now_ns
from harness.errors import HarnessError
from harness.history.events import AnyEvent, Note, ServiceExited
from harness.plugin import Target

EXITS_EVERY_S = 0.25
RENEW_EVERY_NS = 1_000_000_000


class Keeper:
    """A thread of its own; `put` takes the events."""

    def __init__(self, target: Target, *, put: Callable[[AnyEvent], None]) -> None:
        self.target = target
        self.put = put
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False

    def start(self) -> None:
        """Begins; processes that ended before don't count."""
        _, cursor = self.target.exits(after=0)
        self.target.renew()
        self._thread = threading.Thread(target=self._keep, args=(cursor,), daemon=True, name="keeper")
        self._thread.start()

    def stop(self) -> None:
        """Stops renewing. Idempotent."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def _keep(self, cursor: int) -> None:
        renewed = now_ns()
        while not self._stop.wait(EXITS_EVERY_S):
            try:
                cursor = self._tell_exits(cursor)
                if now_ns() - renewed >= RENEW_EVERY_NS:
                    self.target.renew()
                    renewed = now_ns()
            except HarnessError as error:
                if not self._complained:
                    self._complained = True
                    self.put(
                        Note(t_ns=now_ns(), src="keeper", text=f"the target's supervisor can't be reached: {error}")
                    )

    def _tell_exits(self, cursor: int) -> int:
        ended, after = self.target.exits(after=cursor)
        seen = now_ns()
        for t_ns, service, reason, code, asked in ended:
            log = () if asked else self.target.log_tail(service)
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
        return after
