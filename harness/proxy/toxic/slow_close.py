"""Lets bytes pass, and the end of the stream `delay` ms late. A reset is late too."""

from __future__ import annotations

from harness.proxy.stage import Mark
from harness.proxy.toxic.parts.declaration import MS, Attribute, Declaration
from harness.proxy.toxic.parts.wire import Piece, Wire


class SlowCloseStage(Wire):
    def piece(self, left: int, unit: int, idle_ns: int) -> Piece:
        del unit, idle_ns
        return Piece(left, 0, affected=False)

    def wait_of_mark_ns(self, mark: Mark) -> int:
        del mark
        return max(0, self.toxic.attributes["delay"] * MS)


TOXIC = Declaration("slow_close", stage=SlowCloseStage, attributes={"delay": Attribute()})
