"""A wire on which one piece goes after the other, each after a time of its own: all that a toxic says is which.

Times follow from each other, never from when the loop got to it, so that late wakings don't add up: a piece begins
when the one before it has gone, or when it came, whichever is later. What comes meanwhile waits in order, with the end
of the stream behind it. When the toxic is removed, all of it is given on at once; when it is updated, the piece that is
under way takes its time as if it had been so from its start.

Rejected: a time of departure worked out for each chunk when it comes. It can't be changed by an update, and a toxic
that cuts chunks would have to cut all of them at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple

from harness.proxy.stage import Host, Item, Mark
from harness.proxy.toxic.parts.base import ENTRY_BYTES, BaseStage
from harness.proxy.toxic.parts.declaration import Settings

PIECES_PER_WAKE_MAX = 256
"""Other connections get their turn in between."""

PAST = -2
LONG_AGO_NS = -(1 << 62)


class Piece(NamedTuple):
    """The first `size` bytes of what is left of a chunk leave `wait_ns` after their beginning."""

    size: int
    wait_ns: int
    affected: bool


class _Entry(NamedTuple):
    item: Item
    unit: int
    came_ns: int


class Wire(BaseStage, ABC):
    """A toxic says what the next piece is (`piece`) and notes that it has gone (`gone`), both for hit bytes only."""

    def __init__(self, toxic: Settings, pipe: Host) -> None:
        super().__init__(toxic, pipe)
        self._entries: deque[_Entry] = deque()
        self._at = 0  # how much of the first entry has gone
        self._began_ns = LONG_AGO_NS
        self._next: Piece | None = None  # what is under way
        self._left_ns = LONG_AGO_NS  # when the last piece left
        self._entry_counted = False

    @abstractmethod
    def piece(self, left: int, unit: int, idle_ns: int) -> Piece:
        """Of a chunk with `left` bytes left; nothing had been under way for `idle_ns`. Asked again after updates."""

    def gone(self, size: int, unit: int) -> None:
        """A piece of `size` bytes has left."""

    def wait_of_mark_ns(self, mark: Mark) -> int:
        del mark
        return 0

    def feed(self, item: Item) -> None:
        self._enter(item, self.unit)

    def past(self, data: bytes) -> None:
        self._enter(data, PAST)

    def _enter(self, item: Item, unit: int) -> None:
        self._entries.append(_Entry(item, unit, self.pipe.now_ns()))
        if isinstance(item, bytes):
            self.held += len(item) + ENTRY_BYTES
        if self.timer is None:
            self._run()

    def _wake(self) -> None:
        self.timer = None
        self._run()

    def _run(self) -> None:
        now_ns = self.pipe.now_ns()
        for _ in range(PIECES_PER_WAKE_MAX):
            if not self._entries:
                return
            if self._next is None:
                self._begin()
            due_ns = self._due_ns()
            if due_ns > now_ns:
                self.timer = self.pipe.wake_at(due_ns, self._wake)
                return
            self._give(due_ns)
        if self._entries:
            self.timer = self.pipe.wake_at(now_ns, self._wake)

    def _begin(self) -> None:
        entry = self._entries[0]
        self._began_ns = max(entry.came_ns, self._left_ns)
        piece = self._next = self._piece_of(entry)
        if piece.affected and not self._entry_counted:
            self._entry_counted = True
            self.affect(0, unit=entry.unit, chunks=0 if isinstance(entry.item, Mark) else 1)

    def _piece_of(self, entry: _Entry) -> Piece:
        if isinstance(entry.item, Mark):
            wait_ns = self.wait_of_mark_ns(entry.item)
            return Piece(0, wait_ns, wait_ns > 0)
        left = len(entry.item) - self._at
        if entry.unit == PAST:
            return Piece(left, 0, affected=False)
        return self.piece(left, entry.unit, self._began_ns - self._left_ns)

    def _due_ns(self) -> int:
        assert self._next is not None, "a piece is under way"
        return self._began_ns + self._next.wait_ns

    def _give(self, due_ns: int) -> None:
        piece, entry = self._next, self._entries[0]
        assert piece is not None, "a piece is under way"
        self._next = None
        self._left_ns = due_ns
        if isinstance(entry.item, Mark):
            self._entries.popleft()
            self.sink(entry.item)
            return
        data = entry.item[self._at : self._at + piece.size]
        self._at += len(data)
        self.held -= len(data)
        if piece.affected:
            self.affect(len(data), unit=entry.unit, chunks=0)
        if entry.unit != PAST:
            self.gone(len(data), entry.unit)
        if self._at == len(entry.item):
            self._entries.popleft()
            self.held -= ENTRY_BYTES
            self._at = 0
            self._entry_counted = False
        self.sink(data)

    def updated(self) -> None:
        self.close()
        if self._next is not None and self._entries:
            self._next = self._piece_of(self._entries[0])
        self._run()

    def detach(self) -> None:
        self.close()
        at, self._at = self._at, 0
        entries, self._entries = self._entries, deque()
        self.held = 0
        for entry in entries:
            self.sink(entry.item if isinstance(entry.item, Mark) else entry.item[at:])
            at = 0
