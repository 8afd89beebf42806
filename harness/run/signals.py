"""SIGINT, SIGTERM and SIGHUP become events, however often they come: the run heals and then ends.

Held from before anything is touched until after everything is released, so that no signal finds a moment in which it
would end the process in the middle. A second Ctrl-C is one more event and hurries nothing: healing is bounded anyway.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from harness.clock import now_ns
from harness.history.events import SignalReceived
from harness.run.inbox import Inbox

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_events(inbox: Inbox) -> Iterator[None]:
    """Puts stop signals into the inbox. Outside the main thread (a server, a test) they stay the caller's affair."""

    def tell(number: int, _frame: FrameType | None) -> None:
        inbox.put(SignalReceived(t_ns=now_ns(), src="os", name=signal.Signals(number).name))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, tell) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
