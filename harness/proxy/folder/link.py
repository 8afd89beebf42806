"""Folder links as the API sees them: names, taps, counts, and when the worker is given the next step.

A link never has more than one step under way, and while it has one only the worker touches its carrier; what it may do
then is one frozen message, `Orders`, which the loop replaces and the worker reads when it takes a file. Leases lift
taps and enable a link again that was disabled under them; the link itself they leave.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from harness.proxy.folder.carrier import Carrier, Orders, Step
from harness.proxy.folder.passage import Passage, PassageError
from harness.proxy.folder.sight import Sight
from harness.proxy.folder.tap import FolderTap
from harness.proxy.folder.worker import Worker
from harness.proxy.loop import Loop, Timer
from harness.proxy.refusal import TAP_EXISTS, TAP_NOT_FOUND, Refusal, refuse
from harness.proxy.tap.masklog import MaskLog

FOLDERS_MAX = 64
TAPS_MAX = 16
MASK_LOGS_MAX = 64
LOOK_NS = 20_000_000
RETRY_NS = 500_000_000
FOLDER_NOT_FOUND = ("folder not found", 404)
FOLDER_EXISTS = ("folder already exists", 409)
_MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Route:
    """What a folder link is made with."""

    name: str
    source: str
    target: str
    pattern: str
    settle_ms: int


class FolderLink:
    """Opened when made; raises Refusal where the directories can't be had."""

    def __init__(self, loop: Loop, worker: Worker, route: Route, *, enabled: bool) -> None:
        self._loop = loop
        self._worker = worker
        self.route = route
        self.enabled = enabled
        self.down_lease = ""
        self.taps: list[FolderTap] = []
        self._masks: dict[str, MaskLog] = {}  # by tap name; they outlive their tap
        self._counters = {"files": 0, "bytes_read": 0, "changed": 0, "problems": 0}
        self._orders = Orders((), begin=False)  # the one thing that both threads see: the loop replaces it
        self._known: dict[int, FolderTap] = {}  # also those that are gone, while they may have a file under way
        self._now = Step()
        self._busy = False
        self._closing = False
        self._closed = False
        self._timer: Timer | None = None
        settle_ns = route.settle_ms * _MS
        source, target = os.fsencode(route.source), os.fsencode(route.target)
        sight = Sight(source, pattern=route.pattern, settle_ns=settle_ns)
        self._carrier = Carrier(Passage(source, target), sight, settle_ns=settle_ns)
        try:
            self._carrier.open()
        except PassageError as error:
            raise Refusal(f"folder '{route.name}': {error}", status=409) from None
        except OSError as error:
            where = os.fsencode(error.filename or b"").decode(errors="backslashreplace")
            raise Refusal(f"folder '{route.name}': {where}: {error.strerror}") from None
        self._next()

    # steps

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy or self._closed:
            return
        self._order()
        self._busy = True
        self._worker.submit(lambda: self._carrier.step(lambda: self._orders), self._stepped)

    def _order(self) -> None:
        """For the step under way too: who was told of a tap, or that files wait, may drop a file at once."""
        begin = self.enabled and not self._closing
        self._orders = Orders(tuple(tap.plan() for tap in self.taps), begin)

    def _stepped(self, step: Step) -> None:
        self._busy = False
        self._now = step
        self._counters["files"] += step.delivered
        self._counters["bytes_read"] += step.read_bytes
        self._counters["changed"] += step.changed
        self._counters["problems"] += bool(step.problem)
        for done in step.done:
            self._known[done.plan.key].merge(done)
        if not step.in_hand:
            self._known = {tap.key: tap for tap in self.taps}
        if self._closing and (step.idle or step.problem):
            self._end()
        elif step.idle or step.problem:
            after_ns = RETRY_NS if step.problem else LOOK_NS
            self._timer = self._loop.at(self._loop.now_ns + after_ns, self._next)
        else:
            self._next()

    def drain(self) -> None:
        """Begins no other file."""
        self._closing = True
        self._order()
        self._next()

    @property
    def drained(self) -> bool:
        return self._closed

    def _end(self) -> None:
        def ended(_: None) -> None:
            self._closed = True

        self._busy = True
        self._worker.submit(lambda: self._carrier.close(clear=True), ended)

    # what the API changes

    def enable(self, enabled: bool, *, lease: str = "") -> None:
        self.enabled = enabled
        self.down_lease = "" if enabled else lease
        self._order()
        self._next()

    def tap(self, name: str) -> FolderTap:
        for tap in self.taps:
            if tap.name == name:
                return tap
        raise refuse(TAP_NOT_FOUND)

    def add_tap(self, tap: FolderTap) -> None:
        """It stands for the files that begin from now on."""
        self.taps.append(tap)
        self._known[tap.key] = tap
        self._order()

    def remove_tap(self, tap: FolderTap) -> None:
        """From the next batch on the file in hand passes."""
        self.taps.remove(tap)
        self._order()

    def log_for(self, tap: str) -> MaskLog:
        """The log of a tap of this name, old or new."""
        if any(other.name == tap for other in self.taps):
            raise refuse(TAP_EXISTS)
        if len(self.taps) >= TAPS_MAX:
            raise Refusal(f"too many taps: at most {TAPS_MAX}", status=409)
        if tap not in self._masks and len(self._masks) >= MASK_LOGS_MAX:
            live = {other.name for other in self.taps}
            del self._masks[next(name for name in self._masks if name not in live)]
        return self._masks.setdefault(tap, MaskLog())

    def mask_log(self, tap: str) -> MaskLog:
        if tap not in self._masks:
            raise refuse(TAP_NOT_FOUND)
        return self._masks[tap]

    def lift(self, lease: str) -> None:
        self.taps = [tap for tap in self.taps if tap.lease != lease]
        self._order()
        if self.down_lease == lease:
            self.enable(True)

    def reset(self) -> None:
        self.taps.clear()
        self._masks.clear()
        self.enable(True)

    def shown(self) -> dict[str, object]:
        route = self.route
        body: dict[str, object] = {
            "name": route.name,
            "from": route.source,
            "to": route.target,
            "pattern": route.pattern,
            "settle_ms": route.settle_ms,
            "enabled": self.enabled,
            "taps": [tap.name for tap in self.taps],
            "waiting": self._now.waiting,
            "in_hand": self._now.in_hand.decode(errors="backslashreplace"),
            "problem": self._now.problem,
            "affected": dict(self._counters),
        }
        if self.down_lease:
            body["lease"] = self.down_lease
        return body


class Folders:
    """All folder links by name, and their worker."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._worker = Worker(loop)
        self.by_name: dict[str, FolderLink] = {}
        self._leaving: list[FolderLink] = []

    def get(self, name: str) -> FolderLink:
        link = self.by_name.get(name)
        if link is None:
            raise refuse(FOLDER_NOT_FOUND)
        return link

    def make(self, route: Route, *, enabled: bool) -> FolderLink:
        if route.name in self.by_name:
            raise refuse(FOLDER_EXISTS)
        if len(self.by_name) >= FOLDERS_MAX:
            raise Refusal(f"too many folders: at most {FOLDERS_MAX}", status=409)
        link = FolderLink(self._loop, self._worker, route, enabled=enabled)
        self.by_name[route.name] = link
        return link

    def remove(self, name: str) -> None:
        """A file in hand is finished first, beside all else."""
        link = self.get(name)
        del self.by_name[name]
        self._leaving = [*(other for other in self._leaving if not other.drained), link]
        link.drain()

    def lift(self, lease: str) -> None:
        for link in self.by_name.values():
            link.lift(lease)

    def reset(self) -> None:
        for link in self.by_name.values():
            link.reset()

    def drain(self) -> None:
        for name in list(self.by_name):
            self.remove(name)

    @property
    def drained(self) -> bool:
        return all(link.drained for link in self._leaving)
