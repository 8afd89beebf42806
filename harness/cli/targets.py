"""Finds target instances again, for the verbs that need no description of them."""

from __future__ import annotations

from harness.plugin import Driver, Target, load


def remembered(driver_name: str, instance: str) -> Target:
    """The instance as it was last started, running or not, where the driver remembers; else the running one."""
    driver: Driver = load("target", driver_name)
    find = getattr(driver, "remembered", driver.attach)
    found: Target = find(instance)
    return found
