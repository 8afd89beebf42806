"""Lets nothing through, and closes the connection `timeout` ms after it met the toxic; 0 leaves it hanging.

Toxiproxy starts the time anew with each chunk, so that a connection that keeps talking is never closed; here it runs
from the moment the toxic and the connection met, or, per request or record, the first one that is hit came. Bytes are
dropped, as there; a connection that lost some is closed when the toxic is removed, since its stream has a hole, and one
that lost none goes on (Toxiproxy closes it too). In `compat` both are as in Toxiproxy.
"""

from __future__ import annotations

from harness.proxy.stage import Host, Item, Mark
from harness.proxy.toxic.parts.base import NO_UNIT, BaseStage
from harness.proxy.toxic.parts.declaration import EACH, MS, Attribute, Declaration, Per, Settings


class TimeoutStage(BaseStage):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._began_ns: int | None = None
        if toxic.per is Per.CONNECTION:
            self._begin()

    def _begin(self) -> None:
        self.close()
        self._began_ns = self.pipe.now_ns()
        self._arm()

    def _arm(self) -> None:
        timeout_ms = self.toxic.attributes["timeout"]
        if timeout_ms > 0 and self._began_ns is not None:
            self.timer = self.pipe.wake_at(self._began_ns + timeout_ms * MS, self._expire)

    def _expire(self) -> None:
        self.affect(0, chunks=0)
        self.sink(Mark.CLOSE)

    def feed(self, item: Item) -> None:
        if item is Mark.RESET:
            self.pipe.reset_connection()  # nobody is left to be kept waiting
        elif isinstance(item, Mark):
            self.sink(item if self._began_ns is None else Mark.CLOSE)  # as in Toxiproxy
        else:
            self.affect(len(item), unit=self.unit if self._began_ns is None else NO_UNIT)
            if self._began_ns is None or self.toxic.compat:
                self._begin()

    def past(self, data: bytes) -> None:
        if self._began_ns is None:
            self.sink(data)
        else:
            self.affect(len(data))

    def updated(self) -> None:
        self.close()
        self._arm()

    def detach(self) -> None:
        self.close()
        if self.affected or self.toxic.compat:
            self.sink(Mark.CLOSE)


TOXIC = Declaration("timeout", stage=TimeoutStage, attributes={"timeout": Attribute()}, per=EACH)
