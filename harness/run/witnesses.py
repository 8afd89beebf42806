"""Witnesses of a live run: a thread a fault that reads its far side every so often until told to stop.

A reading that throws is a reading all the same: *unknown*, with its reason. The mask of damaged records is fetched in
passing, as the injector's receipt. Once a fault is healed, its witness looks more often for a moment: how soon the effect is
seen to be gone should be the target's time, not that of our interval.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from harness.clock import now_ns
from harness.contract.faults import PlannedFault, Prepared
from harness.contract.words import Effect
from harness.history.events import AnyEvent, MaskRead, WitnessRead
from harness.plugin import Fault, Target

MASK_EVERY_S = 1.0
HURRY_EVERY_S = 0.05
HURRY_NS = 1_500_000_000


class Witnesses:
    """Starts and stops witness threads. `put` takes the events."""

    def __init__(self, *, target: Target, put: Callable[[AnyEvent], None]) -> None:
        self.target = target
        self.put = put
        self._stops: dict[int, threading.Event] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._wakes: dict[int, threading.Event] = {}
        self._hurry_until: dict[int, int] = {}

    def start(self, fault: Fault, planned: PlannedFault, prepared: Prepared) -> None:
        """Begins to read; idempotent."""
        if planned.index in self._stops:
            return
        stop, wake = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=self._read_on,
            args=(fault, planned, prepared, stop, wake),
            daemon=True,
            name=f"witness-{planned.index}",
        )
        self._stops[planned.index] = stop
        self._wakes[planned.index] = wake
        self._threads[planned.index] = thread
        thread.start()

    def stop(self, index: int) -> None:
        """Tells a witness to stop; its mask is read to the end first."""
        if index in self._stops:
            self._stops[index].set()
            self._wakes[index].set()

    def hurry(self, index: int) -> None:
        """Its fault was healed: look at once, and often for a moment."""
        self._hurry_until[index] = now_ns() + HURRY_NS
        if index in self._wakes:
            self._wakes[index].set()

    def join(self, timeout_s: float) -> None:
        """Waits until all have stopped, or the time is over."""
        for index, thread in self._threads.items():
            self.stop(index)
            thread.join(timeout_s)

    def _read_on(
        self, fault: Fault, planned: PlannedFault, prepared: Prepared, stop: threading.Event, wake: threading.Event
    ) -> None:
        cursor = 0
        memory: dict[str, Any] = {}
        mask_due = now_ns()
        while True:
            wake.clear()
            last = stop.is_set()
            began = now_ns()
            try:
                reading = fault.witness(planned, prepared, self.target, memory)
                ended = now_ns()
                event = WitnessRead(
                    t_ns=ended,
                    res_ns=ended - began,
                    src="witness",
                    fault=planned.index,
                    effect=reading.effect,
                    detail=reading.detail,
                    healthy=reading.healthy,
                )
            except Exception as error:  # whatever a reading throws, it tells nothing about the effect
                ended = now_ns()
                event = WitnessRead(
                    t_ns=ended,
                    res_ns=ended - began,
                    src="witness",
                    fault=planned.index,
                    effect=Effect.UNKNOWN,
                    error=f"{type(error).__name__}: {error}",
                )
            self.put(event)
            if planned.damage is not None and planned.damage.by_mask and (last or ended >= mask_due):
                cursor = self._fetch_mask(fault, planned, prepared, cursor)
                mask_due = ended + int(MASK_EVERY_S * 1e9)
            if last:
                return
            now = now_ns()
            every_s = planned.witness_every_s
            if now < self._hurry_until.get(planned.index, 0):
                every_s = min(every_s, HURRY_EVERY_S)
            wake.wait(max(0.01, every_s - (now - began) / 1e9))

    def _fetch_mask(self, fault: Fault, planned: PlannedFault, prepared: Prepared, cursor: int) -> int:
        began = now_ns()
        try:
            hits, after = fault.receipts(planned, prepared, self.target, after=cursor)
        except Exception:  # the mask can be read the next time; the witness goes on
            return cursor
        if hits:
            ended = now_ns()
            self.put(
                MaskRead(
                    t_ns=ended,
                    res_ns=ended - began,
                    src="witness",
                    fault=planned.index,
                    ids=[record for record, _ in hits],
                    columns=[columns for _, columns in hits],
                )
            )
        return after
