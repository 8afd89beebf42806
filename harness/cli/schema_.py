"""`drill schema`: JSON Schema of what people write, for editors."""

from __future__ import annotations

import click

KINDS = ("scenario", "playbook", "target")


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), default="scenario")
@click.option("--json", "as_json", is_flag=True, help="No difference here: a schema is JSON.")
def command(kind: str, as_json: bool) -> int:
    """Print the JSON Schema of KIND: scenario, playbook or target."""
    del as_json
    from harness.spec.schema import schema_text

    click.echo(schema_text(kind), nl=False)
    return 0
