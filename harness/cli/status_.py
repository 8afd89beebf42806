"""`drill status`: what is running, service by service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import msgspec

from harness.cli.telling import tell

if TYPE_CHECKING:
    from harness.target.instances import InstanceStatus, ServiceStatus

MIB = 2**20


@click.command("status")
@click.option("--instance", help="Only this one.")
@click.option("--driver", "driver_name", help="Only those of this driver.")
@click.option("--all", "every", is_flag=True, help="Also those that are down.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(instance: str | None, driver_name: str | None, every: bool, as_json: bool) -> int:
    """Show the instances of this user: processes and containers."""
    from harness.cli.targets import described, drivers, having, known

    if instance is not None:
        found = [described(driver, instance) for driver in having(instance, only=driver_name)]
    else:
        found = [described(driver, name) for driver in drivers(driver_name) for name in known(driver)]
    shown = [one for one in found if one.running or one.problem or every or instance]
    if as_json:
        tell(json.dumps(msgspec.to_builtins(shown)))
        return 0
    if not shown:
        click.echo("no instance is running; start one with: drill up", err=True)
    for one in shown:
        tell(_head(one))
        if one.problem:
            tell(f"    {one.problem}")
        for name, service in one.services.items():
            tell(_line(name, service))
    return 0


def _head(one: InstanceStatus) -> str:
    words = [one.target, one.driver, "running" if one.running else "down", one.runs_as, f"seed {one.seed}"]
    if one.held_by:
        words.append(f"in use by run {one.held_by.get('run')}")
    return f"{one.instance}: {', '.join(word for word in words if word)}"


def _line(name: str, service: ServiceStatus) -> str:
    state = f"{service.state} {service.health or ''}".rstrip()
    memory = f"{service.memory_bytes / MIB:.1f} MiB" if service.memory_bytes is not None else "-"
    limits = [
        f"{key} limit {value // MIB} MiB" if key == "memory" and isinstance(value, int) else f"{key} limit {value}"
        for key, value in service.limits.items()
    ]
    return (
        f"    {name:20} {state:17} pid {_or(service.pid):8} port {_or(service.port):6}"
        f" restarts {_or(service.restarts):3} {memory:>11}  {', '.join(limits)}"
    ).rstrip()


def _or(number: int | None) -> str:
    return "-" if number is None else str(number)
