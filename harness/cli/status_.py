"""`drill status`: what is running, service by service."""

from __future__ import annotations

import json

import click
import msgspec


@click.command("status")
@click.option("--instance", help="Only this one.")
@click.option("--all", "every", is_flag=True, help="Also those that are down.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(instance: str | None, every: bool, as_json: bool) -> int:
    """Show the running embedded instances of this user."""
    from harness.target.embedded.driver import describe, known

    found = [describe(name) for name in ([instance] if instance else known())]
    shown = [one for one in found if one.running or one.problem or every or instance]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(shown)))
        return 0
    if not shown:
        click.echo("no instance is running; start one with: drill up", err=True)
    for one in shown:
        held = f", in use by run {one.held_by.get('run')}" if one.held_by else ""
        click.echo(f"{one.instance}: {one.target}, {'running' if one.running else 'down'}, seed {one.seed}{held}")
        if one.problem:
            click.echo(f"    {one.problem}")
        for name, service in one.services.items():
            pss = service.get("pss_bytes")
            memory = f"{int(pss) / 2**20:6.1f} MiB" if isinstance(pss, int) else "         -"
            limits = [f"{key} limit {service[key]}" for key in ("cpu", "memory") if service.get(key) is not None]
            click.echo(
                f"    {name:20} {service['state']!s:8} pid {service['pid']!s:8} port {service['port']!s:6}"
                f" restarts {service['restarts']!s:3} {memory}  {', '.join(limits)}".rstrip()
            )
    return 0
