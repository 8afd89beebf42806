"""`drill down`: take a target down, also after a crash."""

from __future__ import annotations

import json

import click


@click.command("down")
@click.option("--instance", default="default", show_default=True)
@click.option("--driver", "driver_name", default="embedded", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def command(instance: str, driver_name: str, as_json: bool) -> int:
    """Take an instance down: no process of it is left."""
    from harness.cli.targets import remembered

    remembered(driver_name, instance).down()
    if as_json:
        click.echo(json.dumps({"instance": instance, "running": False}))
    else:
        click.echo(f"instance '{instance}' is down", err=True)
    return 0
