"""What tests of live instances wait with, so that none of them says anything of how fast the machine is.

What is injected stands under a lease of five seconds, which a run renews. A test has no run, and a machine that stands still for
so long would take the fault away under it: tests that aren't about leases have longer ones.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from harness.errors import EnvironmentProblem
from harness.proxy.errors import ProxyUnreachable
from harness.target.embedded import points, startup
from harness.target.embedded.instance import EmbeddedTarget

T = TypeVar("T")
NO_ANSWER = (EnvironmentProblem, ProxyUnreachable)
"""What somebody raises who can't be asked just now."""
WITHIN_S = 45.0
CALL_S = 30.0
"""For one call of a service."""
LONG_S = 600.0


def until(holds: Callable[[], object], *, within_s: float = WITHIN_S) -> bool:
    """Whether it came to hold in time; what doesn't answer yet, or just now, doesn't hold."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(*NO_ANSWER):
            if holds():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def answered(ask: Callable[[], T | None], *, within_s: float = WITHIN_S) -> T:
    """The first answer, be it right or wrong. None, and what can't be asked just now, is no answer."""
    told: list[T] = []

    def look() -> bool:
        answer = ask()
        if answer is not None:
            told.append(answer)
        return answer is not None

    assert until(look, within_s=within_s), "it never answered"
    return told[0]


def reset(target: EmbeddedTarget) -> None:
    """Back to the baseline. A call that ran out of time is made once more, with all the others."""
    assert until(lambda: target.reset() is None), "it can't be reset"


@contextlib.contextmanager
def held_still(target: EmbeddedTarget) -> Iterator[None]:
    """Its supervisor is stopped, so that what dies in here stays dead for as long as a test looks at it."""
    supervisor = target.status().pid
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


@contextlib.contextmanager
def leases(seconds: float = LONG_S) -> Iterator[None]:
    """Of instances started in here, and of what this process sets in their proxies."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (startup, points):
            patch.setattr(module, "LEASE_S", seconds)
        yield
