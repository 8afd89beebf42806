"""Finds target instances again, over all registered drivers, for the verbs that need no description of them.

A driver that tells no more than the protocol `Driver` asks for is listed by the names of what runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.plugin import Driver, Target, load, names
from harness.target.instances import Describing, Examining, InstanceStatus


def drivers(only: str | None = None) -> Iterator[Driver]:
    """All that are registered, or the one of this name. Raises `UsageError` for a name that none has."""
    for name in (only,) if only is not None else names("target"):
        driver: Driver = load("target", name)
        yield driver


def known(driver: Driver) -> tuple[str, ...]:
    """Its instances, also those that are down where the driver remembers them."""
    return tuple(driver.known() if isinstance(driver, Describing) else driver.instances())


def described(driver: Driver, instance: str) -> InstanceStatus:
    """What can be said of it; one that can't be read has a `problem`."""
    if not isinstance(driver, Describing):
        return InstanceStatus(driver=driver.name, instance=instance, target="", running=True)
    try:
        return driver.describe(instance)
    except HarnessError as error:
        return InstanceStatus(driver=driver.name, instance=instance, target="", running=False, problem=error.message)


def having(instance: str, *, only: str | None = None) -> list[Driver]:
    """The drivers that have an instance of this name. Raises `EnvironmentProblem` when there is none, naming those there are."""
    there = {driver.name: (driver, known(driver)) for driver in drivers(only)}
    found = [driver for driver, instances in there.values() if instance in instances]
    if not found:
        listed = sorted({name for _, instances in there.values() for name in instances})
        raise EnvironmentProblem(
            f"there is no instance '{instance}'. Known: {', '.join(listed) or 'none'}", hint="drill status --all"
        )
    return found


def take_down(instance: str, *, only: str | None = None) -> None:
    """Raises `UsageError` where two drivers have it, `EnvironmentProblem` where none has and nothing is left of it."""
    try:
        found = having(instance, only=only)
    except EnvironmentProblem:
        if not _swept(instance, only=only):
            raise
        return
    if len(found) > 1:
        both = " and ".join(driver.name for driver in found)
        raise UsageError(
            f"there is an instance '{instance}' of each of the drivers {both}",
            hint=f"Say which: drill down --instance {instance} --driver {found[0].name}",
        )
    _remembered(found[0], instance).down()


def _swept(instance: str, *, only: str | None) -> bool:
    swept = False
    for driver in drivers(only):
        if isinstance(driver, Examining):
            try:
                swept = bool(driver.sweep(instance)) or swept
            except EnvironmentProblem:  # it can't be asked here, and remembers no such instance
                continue
    return swept


def _remembered(driver: Driver, instance: str) -> Target:
    """The instance as it was last started, running or not, where the driver remembers; else the running one."""
    find = getattr(driver, "remembered", driver.attach)
    found: Target = find(instance)
    return found
