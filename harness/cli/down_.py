"""`drill down`: take a target down, also after a crash."""

from __future__ import annotations

import json

import click


@click.command("down")
@click.option("--instance", default="default", show_default=True)
@click.option("--driver", "driver_name", help="Only of this driver; needed where two have an instance of that name.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(instance: str, driver_name: str | None, as_json: bool) -> int:
    """Take an instance down: no process and no container of it is left. One that was attached to is let go as it was."""
    from harness.cli.targets import take_down

    take_down(instance, only=driver_name)
    if as_json:
        click.echo(json.dumps({"instance": instance, "running": False}))
    else:
        click.echo(f"instance '{instance}' is down", err=True)
    return 0
