"""What the worker does for one folder link, a bounded step at a time: look, take a file, carry a piece of it, deliver it.

A carrier belongs to the worker while a step runs and is touched by nobody else; it gets frozen orders and gives frozen
reports. Taps are asked for when a file begins; one that goes meanwhile lets the rest of the file pass.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.proxy.folder.passage import Passage
from harness.proxy.folder.rewriting import Plan, Rewriting
from harness.proxy.folder.sight import Sight
from harness.proxy.tap.formats import FORMATS, Format
from harness.proxy.tap.masklog import MaskLog

BLOCK_BYTES = 256 << 10
LATE = "late"
_MS = 1_000_000
BY_SUFFIX = {b"csv": FORMATS["csv"], b"ndjson": FORMATS["ndjson"], b"jsonl": FORMATS["ndjson"]}
_AGAIN = ("st_ino", "st_size", "st_mtime_ns")


@dataclass(frozen=True)
class Done:
    """What one plan did to a file that is delivered."""

    plan: Plan
    records: int
    damaged: int
    log: MaskLog
    passed: dict[str, int]


@dataclass(frozen=True)
class Orders:
    """What the loop wants now: `plans` of the taps that stand, and whether files may begin."""

    plans: tuple[Plan, ...]
    begin: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """`idle`: there was nothing to do. `problem`: what stands in the way, and is tried again."""

    idle: bool = False
    delivered: int = 0
    read_bytes: int = 0
    changed: int = 0
    done: tuple[Done, ...] = ()
    waiting: int = 0
    in_hand: bytes = b""
    problem: str = ""


@dataclass
class Hand:
    """A file under way."""

    name: bytes
    source: int
    copy: int
    before: os.stat_result
    rewritings: list[Rewriting]
    others: tuple[Done, ...]
    begun_ns: int
    read_bytes: int = 0
    over: set[int] = field(default_factory=set)


class Carrier:
    def __init__(self, passage: Passage, sight: Sight, *, settle_ns: int) -> None:
        self._passage = passage
        self._sight = sight
        self._settle_ns = settle_ns
        self._waiting: deque[bytes] = deque()
        self._hand: Hand | None = None
        self._again_ns = 0  # when a file that changed under our hands is looked at again

    def open(self) -> None:
        """Raises PassageError or OSError."""
        self._passage.open()

    def close(self, *, clear: bool) -> None:
        """A file in hand stays taken, and begins anew when somebody opens these directories again."""
        if self._hand is not None:
            self._drop(self._hand)
        if clear:
            with contextlib.suppress(OSError):  # somebody else put something there: it stays
                self._passage.clear()
        self._passage.release()

    def step(self, ask: Callable[[], Orders]) -> Step:
        """`ask` is for the orders of now, and is asked as late as can be: what was told before a file came counts."""
        try:
            if self._hand is not None:
                return self._carry(self._hand, {plan.key for plan in ask().plans})
            return self._next(ask)
        except OSError as error:
            if self._hand is not None:
                self._drop(self._hand)
            return Step(problem=f"{type(error).__name__}: {error.strerror}", waiting=len(self._waiting))

    def _next(self, ask: Callable[[], Orders]) -> Step:
        now_ns = time.monotonic_ns()
        left = self._passage.leftovers()
        if not left and not self._waiting:
            self._waiting.extend(self._sight.arrived())
        orders = ask()
        if not (left or self._waiting) or not orders.begin or now_ns < self._again_ns:
            return Step(idle=True, waiting=len(left) + len(self._waiting))
        if left:
            return self._begin(left[0], orders.plans)
        name = self._waiting.popleft()
        carried = any(_form(name, plan) is not None for plan in orders.plans)
        try:
            if not carried and self._passage.move(name):
                done = _not_meant_for(name, orders.plans)
                return Step(delivered=1, waiting=len(self._waiting), done=done)
            self._passage.take(name)
        except OSError:
            if self._passage.has(name):
                self._waiting.appendleft(name)
                raise
            return Step(waiting=len(self._waiting))  # its producer took it back
        return self._begin(name, orders.plans)

    def _begin(self, name: bytes, plans: Sequence[Plan]) -> Step:
        source = os.open(self._passage.taken(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(source)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(0, "is no regular file any more")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            copy = os.open(self._passage.copy(name), flags, 0o600)
        except OSError:
            os.close(source)
            raise
        others = _not_meant_for(name, plans)
        self._hand = Hand(name, source, copy, before, _meant_for(name, plans), others, time.monotonic_ns())
        return self._told()

    def _told(self) -> Step:
        name = self._hand.name if self._hand is not None else b""
        return Step(waiting=len(self._waiting), in_hand=name)

    def _carry(self, hand: Hand, standing: set[int]) -> Step:
        data = os.read(hand.source, BLOCK_BYTES)
        hand.read_bytes += len(data)
        _write(hand.copy, self._through(hand, data, standing))
        return self._told() if data else self._finish(hand)

    def _through(self, hand: Hand, data: bytes, standing: set[int]) -> bytes:
        """`data` through all plans in their order; none at the end of the file."""
        end = not data
        spent_ms = (time.monotonic_ns() - hand.begun_ns) // _MS
        for rewriting in hand.rewritings:
            key = rewriting.plan.key
            late = spent_ms > rewriting.plan.bounds.within_ms > 0
            if key not in hand.over and (key not in standing or late):
                hand.over.add(key)
                if late:
                    rewriting.count(LATE)
                data = rewriting.let_go() + data
            data = rewriting.feed(data) if data else b""
            if end:
                data += rewriting.end()
        return data

    def _finish(self, hand: Hand) -> Step:
        after = os.fstat(hand.source)
        if any(getattr(after, key) != getattr(hand.before, key) for key in _AGAIN):
            self._drop(hand)  # somebody still writes it: it begins anew once it stands still
            self._again_ns = time.monotonic_ns() + self._settle_ns
            return Step(changed=1, waiting=len(self._waiting) + 1)
        _like(hand.copy, after)
        os.fsync(hand.copy)
        self._passage.deliver(hand.name)
        os.close(hand.source)
        os.close(hand.copy)
        self._hand = None
        done = (*map(_done, hand.rewritings), *hand.others)
        return Step(delivered=1, read_bytes=hand.read_bytes, done=done, waiting=len(self._waiting))

    def _drop(self, hand: Hand) -> None:
        """What was made of it so far; itself stays taken."""
        self._hand = None
        os.close(hand.source)
        os.close(hand.copy)


def _form(name: bytes, plan: Plan) -> Format | None:
    return plan.form if plan.form is not None else BY_SUFFIX.get(name.rpartition(b".")[2].lower())


def _meant_for(name: bytes, plans: Sequence[Plan]) -> list[Rewriting]:
    return [Rewriting(plan, form) for plan in plans if (form := _form(name, plan)) is not None]


def _not_meant_for(name: bytes, plans: Sequence[Plan]) -> tuple[Done, ...]:
    return tuple(Done(plan, 0, 0, MaskLog(), {"format": 1}) for plan in plans if _form(name, plan) is None)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _like(copy: int, original: os.stat_result) -> None:
    """Mode and times, and the owner where we may."""
    with contextlib.suppress(PermissionError):  # only root may give files away
        os.fchown(copy, original.st_uid, original.st_gid)
    os.fchmod(copy, stat.S_IMODE(original.st_mode))
    os.utime(copy, ns=(original.st_atime_ns, original.st_mtime_ns))


def _done(rewriting: Rewriting) -> Done:
    damaging = rewriting.damaging
    records = damaging.records - rewriting.plan.ordinal
    return Done(rewriting.plan, records, damaging.records_damaged, damaging.log, rewriting.passed)
