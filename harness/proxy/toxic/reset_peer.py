"""Resets both ends `timeout` ms after the first bytes came (or the end of the stream). What came is not given on.

An idle connection is left alone until it speaks, as in Toxiproxy. Removing the toxic never waits: a connection whose
reset is due is reset at once, since its bytes are gone.
"""

from __future__ import annotations

from harness.proxy.stage import Cancellable, Host, Item, Sink
from harness.proxy.toxic.attribute import Attribute, Settings

ATTRIBUTES = {"timeout": Attribute()}

MS = 1_000_000


class ResetPeerStage:
    sink: Sink

    def __init__(self, toxic: Settings, pipe: Host) -> None:
        self._toxic = toxic
        self._pipe = pipe
        self._began_ns: int | None = None
        self._timer: Cancellable | None = None
        self.held = 0

    def feed(self, item: Item) -> None:
        del item
        self._toxic.affect(self._began_ns is not None)
        if self._began_ns is None:
            self._began_ns = self._pipe.now_ns()
            self._arm(self._began_ns)

    def _arm(self, began_ns: int) -> None:
        timeout_ms = self._toxic.attributes["timeout"]
        if timeout_ms:
            self._timer = self._pipe.wake_at(began_ns + timeout_ms * MS, self._pipe.reset_connection)
        else:
            self._pipe.reset_connection()

    def updated(self) -> None:
        self.close()
        if self._began_ns is not None:
            self._arm(self._began_ns)

    def detach(self) -> None:
        self.close()
        if self._began_ns is not None:
            self._pipe.reset_connection()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
