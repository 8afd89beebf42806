"""Closes the connection once `bytes` bytes have passed since it met the toxic; what is beyond them is dropped.

The close goes behind the bytes that were let through, also through toxics that hold them. A lower limit is noticed when
the next bytes come, as in Toxiproxy.
"""

from __future__ import annotations

from harness.proxy.stage import Host, Item, Mark
from harness.proxy.toxic.parts.base import BaseStage
from harness.proxy.toxic.parts.declaration import Attribute, Declaration, Settings

BYTES_MAX = 1 << 62


class LimitDataStage(BaseStage):
    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._passed = 0
        self._closing = False

    def feed(self, item: Item) -> None:
        if self._closing:
            if isinstance(item, bytes):
                self.affect(len(item))
            return
        if isinstance(item, Mark):
            self.sink(item)
            return
        left = max(0, self.toxic.attributes["bytes"] - self._passed)
        self._passed += min(left, len(item))
        if len(item) >= left:
            self._closing = True
            beyond = len(item) - left
            self.affect(beyond, chunks=1 if beyond else 0)
        if left:
            self.sink(item[:left])
        if self._closing:
            self.sink(Mark.CLOSE)


TOXIC = Declaration("limit_data", stage=LimitDataStage, attributes={"bytes": Attribute(most=BYTES_MAX)})
