"""`drill schema`: JSON Schema of what people write, for editors; and of the scorecard, for whoever reads it by program."""

from __future__ import annotations

import json

import click

KINDS = ("scenario", "playbook", "target", "scorecard")


def scorecard_schema() -> str:
    """The schema of scorecard.json, checked in as docs/scorecard.schema.json."""
    import msgspec

    from harness.history.scorecard import Scorecard

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Scorecard)}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), default="scenario")
@click.option("--json", "as_json", is_flag=True, help="No difference here: a schema is JSON.")
def command(kind: str, as_json: bool) -> int:
    """Print the JSON Schema of KIND: scenario, playbook, target or scorecard."""
    del as_json
    from harness.spec.schema import schema_text

    click.echo(scorecard_schema() if kind == "scorecard" else schema_text(kind), nl=False)
    return 0
