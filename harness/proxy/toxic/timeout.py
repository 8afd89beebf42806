"""Lets nothing through, and closes the connection `timeout` ms after it met the toxic; 0 leaves it hanging.

Toxiproxy starts the time anew with each chunk, so that a connection that keeps talking is never closed; here it runs
from the moment the toxic and the connection met. Bytes are dropped, as there; a connection that lost some is closed
when the toxic is removed, since its stream has a hole, and one that lost none goes on.
"""

from __future__ import annotations

from harness.proxy.stage import Cancellable, Host, Item, Mark, Sink
from harness.proxy.toxic.attribute import Attribute, Settings

ATTRIBUTES = {"timeout": Attribute()}

MS = 1_000_000


class TimeoutStage:
    sink: Sink

    def __init__(self, toxic: Settings, pipe: Host) -> None:
        self._toxic = toxic
        self._pipe = pipe
        self._began_ns = pipe.now_ns()
        self._timer: Cancellable | None = None
        self._affected = False
        self.held = 0
        self._arm()

    def _arm(self) -> None:
        timeout_ms = self._toxic.attributes["timeout"]
        if timeout_ms:
            self._timer = self._pipe.wake_at(self._began_ns + timeout_ms * MS, self._expire)

    def _expire(self) -> None:
        self._count()
        self._pipe.close_connection()

    def _count(self) -> None:
        self._toxic.affect(self._affected)
        self._affected = True

    def feed(self, item: Item) -> None:
        if item is Mark.RESET:
            self._pipe.reset_connection()  # nobody is left to be kept waiting
        elif item is Mark.END:
            self._pipe.close_connection()  # as in Toxiproxy
        else:
            self._count()

    def updated(self) -> None:
        self.close()
        self._arm()

    def detach(self) -> None:
        self.close()
        if self._affected:
            self._pipe.close_connection()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
