"""CPU and memory limits of a container, changed in place and put back to exactly what they were.

CPU is a share of what the container has by its own limit, or of one CPU where it has none. Memory is bytes; no swap is given
beyond it, so that a limit bites. What "no limit of ours" comes to is the baseline that was recorded when the instance came up,
because the API can't say "as before": a memory limit, once set, can't be removed there, so one is set that no machine reaches.

A kernel with cgroups of version 1 refuses a memory limit below what is held. Then the container is killed and started again
under the limit, which is what version 2 does by itself.
"""

from __future__ import annotations

from harness.contract.undo import Json
from harness.errors import UsageError
from harness.target.docker import life
from harness.target.docker.daemon import Daemon, Refused
from harness.target.docker.deaths import Deaths
from harness.target.docker.record import Limits

PERIOD_US = 100_000
QUOTA_US_MIN = 1000
NANO = 1_000_000_000
BOUNDLESS = 2**62
"""Bytes. Rejected: -1, which the API refuses for memory."""
BYTES_MIN = 6 * 2**20
"""What the API takes."""


def cpu_of(now: Limits, baseline: Limits) -> float | None:
    """The share of the baseline; None where that stands."""
    if now.nano_cpus:
        return None if now.nano_cpus == baseline.nano_cpus else round(now.nano_cpus / NANO / cpus(baseline), 6)
    if now.cpu_quota <= 0 or now.cpu_quota == baseline.cpu_quota:
        return None
    return round(now.cpu_quota / (now.cpu_period or PERIOD_US) / cpus(baseline), 6)


def cpus(baseline: Limits) -> float:
    """How many CPUs a share is of."""
    if baseline.nano_cpus:
        return baseline.nano_cpus / NANO
    if baseline.cpu_quota > 0:
        return baseline.cpu_quota / (baseline.cpu_period or PERIOD_US)
    return 1.0


def cpu_update(share: Json, baseline: Limits) -> dict[str, int]:
    """What to send to the API for this share, or for None. Raises `UsageError`."""
    if share is None:
        if baseline.nano_cpus:
            return {"NanoCpus": baseline.nano_cpus}
        return {"CpuQuota": baseline.cpu_quota or -1, "CpuPeriod": baseline.cpu_period or PERIOD_US}
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        raise UsageError(f"{share!r} is no share of the CPU: above 0, up to 1")
    if baseline.nano_cpus:
        return {"NanoCpus": max(round(share * baseline.nano_cpus), NANO // 100)}
    period = baseline.cpu_period or PERIOD_US
    return {"CpuPeriod": period, "CpuQuota": max(round(share * cpus(baseline) * period), QUOTA_US_MIN)}


def memory_of(now: Limits) -> int | None:
    """Bytes; None for no limit."""
    return now.memory if 0 < now.memory < BOUNDLESS else None


def memory_updates(value: Json, baseline: Limits) -> list[dict[str, int]]:
    """What to send to the API, one after the other. Raises `UsageError`."""
    if value is None:
        return [{"Memory": BOUNDLESS, "MemorySwap": BOUNDLESS}, {"MemorySwap": -1}]
    if not isinstance(value, int | float) or isinstance(value, bool) or value < BYTES_MIN:
        raise UsageError(f"{value!r} is no memory limit: bytes, from {BYTES_MIN} on")
    wanted = int(value)
    if wanted == baseline.memory:
        return [{"Memory": wanted, "MemorySwap": baseline.swap or -1}]
    return [{"Memory": wanted, "MemorySwap": wanted}]


def set_memory(daemon: Daemon, deaths: Deaths, container: str, value: Json, baseline: Limits) -> None:
    """In place; over a kill where the kernel can't."""
    updates = memory_updates(value, baseline)
    try:
        for update in updates:
            daemon.update(container, update)
        life.hasten(daemon, daemon.inspect(container))
    except Refused as refused:
        if "unable to set memory limit" not in refused.message and "device or resource busy" not in refused.message:
            raise
        life.kill(daemon, deaths, daemon.inspect(container), memory=True)
        for update in updates:
            daemon.update(container, update)
        life.start(daemon, container, life.DOWN)
