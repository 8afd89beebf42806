"""A service's process as the operating system shows it: the reading that witnesses rely on.

The supervisor is asked for the pid and nothing else; whether it is stopped, how much memory it has, whether it is
there at all, /proc says. A duty cycle shows as the share of quick looks that found it stopped; the looks are spread
unevenly, or they could fall into step with it.
"""

from __future__ import annotations

import time

from harness.plugin import ProcessReading
from harness.target import http
from harness.target.embedded import processes
from harness.target.embedded.launch import ServiceStatus
from harness.target.embedded.memory import family_private_bytes

LOOKS = 10
PAUSES_S = (0.007, 0.013, 0.009, 0.012, 0.008, 0.011, 0.010, 0.014, 0.009)
READY_S = 0.3


def look(status: ServiceStatus, *, ready_url: str) -> ProcessReading:
    """Takes about 0.1 s."""
    states = []
    for index in range(LOOKS):
        found = processes.stat(status.pid) if status.pid else None
        gone = found is None or found.start != status.start or found.state in "ZX"
        states.append("gone" if gone or found is None else "stopped" if found.state in "Tt" else "running")
        if states[-1] == "gone":
            break
        if index < len(PAUSES_S):
            time.sleep(PAUSES_S[index])
    if states[-1] == "gone":
        return ProcessReading(state="gone", memory_kills=status.memory_kills, ready=False)
    share = states.count("stopped") / len(states)
    return ProcessReading(
        state="stopped" if share == 1.0 else "running",
        identity=f"{status.pid}:{status.start}",
        stopped_share=share,
        memory_bytes=family_private_bytes(status.pid),
        memory_kills=status.memory_kills,
        ready=share < 1.0 and is_ready(ready_url, timeout_s=READY_S),
    )


def is_ready(url: str, *, timeout_s: float) -> bool:
    """Whether it says with 2xx that it can do its job."""
    try:
        return 200 <= http.request("GET", url, timeout_s=timeout_s).status < 300
    except (OSError, http.HTTP_PROBLEM):
        return False
