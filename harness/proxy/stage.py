"""What may stand in one direction of one connection: a stage is fed items in order, and feeds its sink in order.

An item is bytes, or a mark for how the stream ended, which travels behind the bytes that came before it. A stage
belongs to an owner (a toxic or a tap), which holds the settings and counts what was really affected.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol


class Mark(Enum):
    """How a direction ended: the sender finished (FIN) or was reset (RST).

    CLOSE comes from stages only: the whole connection is to be closed, behind the bytes that came before.
    """

    END = "end"
    RESET = "reset"
    CLOSE = "close"


Item = bytes | Mark
Sink = Callable[[Item], None]


class Stage(Protocol):
    """`held` bytes count against the direction's bound, so that a slow stage stops the reading in time."""

    sink: Sink
    held: int

    def feed(self, item: Item) -> None: ...

    def updated(self) -> None:
        """The owner's settings changed."""

    def detach(self) -> None:
        """The owner is gone: give on at once what is held, or end the connection if its stream has a hole."""

    def close(self) -> None:
        """The connection is gone: cancel timers."""


class Owner(Protocol):
    """A toxic or a tap on one direction of a proxy."""

    def applies(self, ordinal: int) -> bool:
        """Whether the connection with this ordinal is to be affected. The same answer each time it is asked."""

    def stage(self, pipe: Host) -> Stage: ...


class Host(Protocol):
    """What a stage may know of the direction that it stands in."""

    @property
    def ordinal(self) -> int: ...

    @property
    def fresh(self) -> bool:
        """Nothing has passed yet, so that what comes first is the start of a message."""

    def now_ns(self) -> int: ...

    def wake_at(self, due_ns: int, call: Callable[[], None]) -> Cancellable: ...

    def close_connection(self) -> None: ...

    def reset_connection(self) -> None: ...


class Cancellable(Protocol):
    def cancel(self) -> None: ...
