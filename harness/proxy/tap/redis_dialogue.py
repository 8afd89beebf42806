"""Which command a reply answers: Redis answers in order, but for pushes, transactions, and states in which it doesn't.

A reply doesn't say what it answers, and only streams read by XREAD name their key within. So whoever taps replies also
watches the commands go by. Pushes (`>`) answer nothing. A command within MULTI is answered `+QUEUED`, and again within
the list that answers EXEC; what was queued is learnt from the `+QUEUED` itself, so that a command which Redis refused
to queue shifts nothing. Where replies can't be counted any more (subscriptions, MONITOR, replication, CLIENT REPLY) the
dialogue is `lost`, with its reason, for the rest of the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

ASKED_MAX = 100_000


class Shape(Enum):
    """How entries stand in a reply."""

    STREAMS = auto()  # [[key, entries], ...], or in RESP3 a map of key to entries
    ENTRIES = auto()  # [[id, [field, value, ...]], ...]
    CLAIMED = auto()  # [next id, entries, ids that are gone]


READS = {
    b"XREAD": Shape.STREAMS,
    b"XREADGROUP": Shape.STREAMS,
    b"XRANGE": Shape.ENTRIES,
    b"XREVRANGE": Shape.ENTRIES,
    b"XCLAIM": Shape.ENTRIES,
    b"XAUTOCLAIM": Shape.CLAIMED,
}
_LOST = {
    b"SUBSCRIBE": "subscribed",
    b"PSUBSCRIBE": "subscribed",
    b"SSUBSCRIBE": "subscribed",
    b"UNSUBSCRIBE": "subscribed",
    b"PUNSUBSCRIBE": "subscribed",
    b"SUNSUBSCRIBE": "subscribed",
    b"MONITOR": "monitor",
    b"SYNC": "replication",
    b"PSYNC": "replication",
}
_ENDS_TRANSACTION = frozenset((b"EXEC", b"DISCARD", b"RESET"))


@dataclass(frozen=True)
class Asked:
    """A command: its name in capitals and its first argument, which is the key of those that matter here."""

    name: bytes
    key: bytes

    @property
    def shape(self) -> Shape | None:
        return READS.get(self.name)


class Dialogue:
    """One connection's. A reply for which nothing was asked is one to a command from before the tap."""

    def __init__(self) -> None:
        self.lost = ""
        self._asked: deque[Asked] = deque()
        self._queued: list[Asked] | None = None  # within MULTI

    def said(self, heads: Sequence[bytes]) -> None:
        """A command went by."""
        if not heads or self.lost:
            return  # an empty line has no answer
        name, key = heads[0].upper(), heads[1] if len(heads) > 1 else b""
        if name == b"CLIENT" and key.upper() == b"REPLY":
            self.lose("no-replies")
        elif name in _LOST:
            self.lose(_LOST[name])
        elif len(self._asked) >= ASKED_MAX:
            self.lose("unanswered")
        else:
            self._asked.append(Asked(name, key))

    def lose(self, reason: str) -> None:
        """Replies can't be paired from here on."""
        self.lost = reason
        self._asked.clear()

    def forget(self) -> None:
        """Start anew: what was noted doesn't fit what is answered."""
        self._asked.clear()
        self._queued = None

    def answered(self) -> Asked | None:
        """The reply to the oldest command begins. None: to one that nobody saw."""
        return self._asked.popleft() if self._asked else None

    def tells_state(self, asked: Asked | None) -> bool:
        """Whether the first line of this reply says how a transaction goes."""
        return asked is not None and (self._queued is not None or asked.name == b"MULTI")

    def first_line(self, asked: Asked, line: bytes) -> None:
        if asked.name == b"MULTI" and line == b"+OK\r\n":
            self._queued = []
        elif self._queued is not None and line == b"+QUEUED\r\n":
            if len(self._queued) >= ASKED_MAX:
                self.lose("unanswered")
            else:
                self._queued.append(asked)

    def transaction(self, asked: Asked | None) -> list[Asked]:
        """What was queued, if this reply ends a transaction."""
        if asked is None or asked.name not in _ENDS_TRANSACTION or self._queued is None:
            return []
        queued, self._queued = self._queued, None
        return queued if asked.name == b"EXEC" else []
