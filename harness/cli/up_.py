"""`drill up`: bring a target up and leave it running."""

from __future__ import annotations

import json
import time

import click


@click.command("up")
@click.option("--target", help="A target file, or `docker`; without it the reference pipeline.")
@click.option("--instance", default="default", show_default=True, help="Several live side by side.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Where its services are, as JSON on standard output.")
def command(target: str | None, instance: str, seed: int, as_json: bool) -> int:
    """Bring a target up. Idempotent: what runs already stays as it is."""
    from harness.plugin import Driver, load
    from harness.spec.find import find_target
    from harness.spec.load import load_target

    described = load_target(find_target(target))
    driver: Driver = load("target", described.spec.driver)
    began = time.monotonic()
    opened = driver.open(described.spec, folder=described.folder, instance=instance, seed=seed)
    running = instance in driver.instances()
    try:
        opened.up()
    except KeyboardInterrupt:
        if not running:
            opened.down()
        raise
    took_s = time.monotonic() - began
    urls = {name: opened.endpoint(f"${{service.{name}.url}}") for name in described.spec.services}
    if as_json:
        click.echo(json.dumps({"instance": instance, "took_s": round(took_s, 3), "services": urls}))
        return 0
    for name, url in urls.items():
        click.echo(f"{name:20} {url}")
    click.echo(f"up in {took_s:.1f} s; end it with: drill down --driver {driver.name} --instance {instance}", err=True)
    return 0
