"""Resets both ends `timeout` ms after the first bytes came (or the end of the stream). What came is not given on.

An idle connection is left alone until it speaks, as in Toxiproxy. Removing the toxic never waits: a connection whose
reset is due is reset at once, since its bytes are gone. Per request or record, what came before the first one that is
hit has passed.
"""

from __future__ import annotations

from harness.proxy.stage import Host, Item, Mark
from harness.proxy.toxic.parts.base import NO_UNIT, BaseStage
from harness.proxy.toxic.parts.declaration import EACH, MS, Attribute, Declaration, Per, Settings


class ResetPeerStage(BaseStage):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._began_ns: int | None = None

    def feed(self, item: Item) -> None:
        if isinstance(item, Mark):
            if self._began_ns is None and self.toxic.per is not Per.CONNECTION:
                self.sink(item)  # none was hit
                return
            self.affect(0, chunks=0)
        else:
            self.affect(len(item), unit=self.unit if self._began_ns is None else NO_UNIT)
        if self._began_ns is None:
            self._began_ns = self.pipe.now_ns()
            self._arm(self._began_ns)

    def past(self, data: bytes) -> None:
        if self._began_ns is None:
            self.sink(data)
        else:
            self.affect(len(data))

    def _arm(self, began_ns: int) -> None:
        timeout_ms = self.toxic.attributes["timeout"]
        if timeout_ms > 0:
            self.timer = self.pipe.wake_at(began_ns + timeout_ms * MS, self.pipe.reset_connection)
        else:
            self.pipe.reset_connection()

    def updated(self) -> None:
        self.close()
        if self._began_ns is not None:
            self._arm(self._began_ns)

    def detach(self) -> None:
        self.close()
        if self._began_ns is not None:
            self.pipe.reset_connection()


TOXIC = Declaration("reset_peer", stage=ResetPeerStage, attributes={"timeout": Attribute()}, per=EACH)
