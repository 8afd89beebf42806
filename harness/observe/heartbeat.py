"""The dead man's alert: what a pager's provider tells when a target's monitoring has gone silent.

Problem: the failures that no page can tell of are those on the page's own way: rules that nobody evaluates, a route that
leads nowhere. So one rule of the target fires always and is sent again and again by the way that pages take; each arrival is
a heartbeat, and it is their absence that pages. Only whoever receives pages can see that, which in a drill is our sink.

Rejected: counting heartbeats as pages (they'd flood the history and wake everybody), and asking the target whether its route
works (it would be asking the blind what they see).

Always true: nothing is missed before the first heartbeat of this run was heard; an absence is one page, stamped with the
moment when it became due; while this process itself was held up it couldn't hear, and no such time counts as silence.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import now_ns
from harness.contract.words import Severity
from harness.history.events import AlertReceived, AnyEvent, Note
from harness.spec.plan import PlannedHeartbeat

NS = 1_000_000_000
LOOK_S = 0.1
HELD_UP_S = 0.5
"""Between two looks: longer than that, and it is we who weren't there."""


class Heartbeat:
    """What is known of the heartbeats, from one to the next. Pure: times are given, in ns of our clock."""

    def __init__(self, planned: PlannedHeartbeat) -> None:
        self.planned = planned
        self.heard = 0
        self.longest_ns = 0
        self._last_ns = 0
        self._due_ns = 0
        self._looked_ns = 0
        self._missing = False

    def beat(self, received_ns: int) -> AlertReceived | None:
        """One came; gives the end of an absence, if it is one."""
        if self.heard:
            self.longest_ns = max(self.longest_ns, received_ns - self._last_ns)
        self.heard += 1
        resolved = self._alert("resolved", received_ns) if self._missing else None
        self._missing = False
        self._last_ns = received_ns
        self._due_ns = received_ns + round((self.planned.every_s + self.planned.within_s) * NS)
        return resolved

    def look(self, at_ns: int) -> AlertReceived | None:
        """It is so late now; gives an absence, once, if one became due. To be called every `LOOK_S`."""
        before_ns, self._looked_ns = self._looked_ns, at_ns
        if not self.heard or self._missing:
            return None
        if at_ns - before_ns > HELD_UP_S * NS:  # of that, what came after the last heartbeat was waited for in vain
            self._due_ns += max(0, at_ns - max(before_ns, self._last_ns))
        if at_ns < self._due_ns:
            return None
        self._missing = True
        return self._alert("firing", self._due_ns)

    def _alert(self, status: str, at_ns: int) -> AlertReceived:
        planned = self.planned
        silent_s = planned.every_s + planned.within_s
        return AlertReceived(
            t_ns=at_ns,
            src="pager",
            name=planned.page,
            status=status,
            severity=Severity.PAGE,
            layer=str(planned.layer),
            labels={"alertname": planned.page, "severity": str(Severity.PAGE), "layer": str(planned.layer)},
            summary=f"no heartbeat ({planned.rule}) of the target's monitoring for {silent_s:g} s: no page can arrive",
            fingerprint=planned.page,
            starts_ns=self._due_ns,
            active_ns=self._due_ns - round(planned.within_s * NS),
        )


class DeadMan:
    """Watches the heartbeats of one run; `put` takes what is to be told."""

    def __init__(self, planned: PlannedHeartbeat, *, put: Callable[[AnyEvent], None]) -> None:
        self.rule = planned.rule
        self._beats = Heartbeat(planned)
        self._put = put
        self._lock = threading.Lock()
        self._first = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="dead-man")

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def beat(self, received_ns: int) -> None:
        """A heartbeat was received then."""
        with self._lock:  # held while telling, so that an absence is told before its end
            self._tell(self._beats.beat(received_ns))
        self._first.set()

    def wait_first(self, timeout_s: float) -> bool:
        """Whether the first was heard by then."""
        return self._first.wait(max(0.0, timeout_s))

    def stop(self) -> None:
        """Ends, and tells what was heard. Idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        beats = self._beats
        words = f"{beats.heard} heartbeats were heard, at most {beats.longest_ns / NS:.2f} s apart"
        data = {"heard": beats.heard, "longest_s": round(beats.longest_ns / NS, 3)}
        self._put(Note(t_ns=now_ns(), src="pager", text=words, data=data))

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            with self._lock:
                self._tell(self._beats.look(now_ns()))

    def _tell(self, event: AlertReceived | None) -> None:
        if event is not None:
            self._put(event)
