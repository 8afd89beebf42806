"""A container's process: running, paused, down or killed.

A kill through the API is not followed by the container's restart policy, which takes it for an operator's will. So a
container that has such a policy is started again here, at once: that is what its own restart would have come to. Rejected:
killing the process from inside (the first process of a container can't be) and from the host (another machine's, or not
ours to signal).
"""

from __future__ import annotations

from typing import Any

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.target.docker.daemon import Daemon, Refused, asking
from harness.target.docker.deaths import Deaths

RUNNING, PAUSED, DOWN, KILLED = "running", "paused", "down", "killed"
STATES = (RUNNING, PAUSED, DOWN, KILLED)
NO_RESTART = ("", "no")
CONFLICT = 409


def state_of(inspected: dict[str, Any]) -> str:
    """What stands: running, paused or down. One that its policy is about to start again counts as running."""
    state = inspected["State"]
    if state.get("Paused"):
        return PAUSED
    return RUNNING if state.get("Running") or state.get("Restarting") else DOWN


def identity_of(inspected: dict[str, Any]) -> str:
    """Another one whenever it is a new process; empty where there is none."""
    state = inspected["State"]
    if not state.get("Running") or state.get("Restarting"):
        return ""
    return f"{inspected['Id'][:12]}:{state['StartedAt']}"


def set_state(daemon: Daemon, deaths: Deaths, container: str, value: Json, *, service: str) -> None:
    """Idempotent, but for `killed`, which kills once each time."""
    if value not in STATES:
        raise UsageError(f"{value!r} is no state of a process; legal: {', '.join(STATES)}")
    inspected = daemon.inspect(container)
    now = state_of(inspected)
    match value:
        case "running":
            if not hasten(daemon, inspected):
                start(daemon, container, now)
        case "paused":
            _pause(daemon, container, now, service)
        case "down":
            kill(daemon, deaths, inspected)
        case "killed":
            kill(daemon, deaths, inspected)
            if restarts(inspected):
                start(daemon, container, DOWN)


def start(daemon: Daemon, container: str, now: str) -> None:
    """Whatever it takes to have it running."""
    with asking(f"start {container[:12]}"):
        if now == PAUSED:
            daemon.api.unpause(container)
        elif now == DOWN:
            daemon.api.start(container)


def kill(daemon: Daemon, deaths: Deaths, inspected: dict[str, Any], *, memory: bool = False) -> None:
    """With SIGKILL, as a crash would; no error where it is down already. `memory`: in the kernel's place, for memory."""
    container = inspected["Id"]
    if state_of(inspected) == DOWN:
        return
    deaths.ask(container, memory=memory)
    try:
        with asking(f"kill {container[:12]}"):
            daemon.api.kill(container)
    except Refused as refused:
        if refused.status != CONFLICT:  # it ended by itself in between
            raise


def hasten(daemon: Daemon, inspected: dict[str, Any]) -> bool:
    """Starts one now that waits for its policy to start it again, which may take a minute. True if it did."""
    if not inspected["State"].get("Restarting"):
        return False
    with asking(f"restart {inspected['Id'][:12]}"):
        daemon.api.restart(inspected["Id"], timeout=0)
    return True


def restarts(inspected: dict[str, Any]) -> bool:
    """Whether its own policy starts it again after a crash."""
    return str(inspected["HostConfig"].get("RestartPolicy", {}).get("Name", "")) not in NO_RESTART


def _pause(daemon: Daemon, container: str, now: str, service: str) -> None:
    if now == DOWN:
        raise EnvironmentProblem(f"service '{service}' is down: there is nothing to pause")
    if now == RUNNING:
        with asking(f"pause {container[:12]}"):
            daemon.api.pause(container)
