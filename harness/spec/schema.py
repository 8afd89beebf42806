"""JSON Schemas of what people write, for editors: completion, descriptions, red lines while typing.

Made from the same records that the loaders validate with, so they can't disagree; checked in beside the scenarios, where
a file's first line names them, and kept fresh by a test. What a schema can't say (limits against the budget, order of
steps, a fault's own arguments) is said by `drill validate`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.spec import extending
from harness.spec.base import DURATION_PATTERN
from harness.spec.playbook import Cell, FrontMatter
from harness.spec.scenario import Scenario
from harness.spec.target import TargetSpec

Schema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> Schema:
    """Of a scenario file."""
    return _finished(Scenario.model_json_schema(), title="A drill of mldrill")


def target_schema() -> Schema:
    """Of a target file, which is whole or names one that it extends."""
    schema = TargetSpec.model_json_schema()
    extends = {"type": "string", "description": "A target file beside this one; what stands here is added to it"}
    schema["properties"] = {extending.KEY: extends, **schema["properties"]}
    schema["anyOf"] = [{"required": [extending.KEY]}, {"required": schema.pop("required")}]
    return _finished(schema, title="A pipeline, described to mldrill")


def playbook_schema() -> Schema:
    """Of the two kinds of YAML in a playbook: its head and its `drill` cells."""
    head, cell = FrontMatter.model_json_schema(), Cell.model_json_schema()
    definitions = {**head.pop("$defs", {}), **cell.pop("$defs", {}), "head": head, "cell": cell}
    union = {"anyOf": [{"$ref": "#/$defs/head"}, {"$ref": "#/$defs/cell"}], "$defs": definitions}
    return _finished(union, title="The head of a playbook, or one of its drill cells")


SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "scenario": scenario_schema,
    "playbook": playbook_schema,
    "target": target_schema,
}
"""By what they describe; checked in as scenarios/<name>.schema.json."""


def schema_text(name: str) -> str:
    """The checked-in form of a schema: indented, with a newline at the end."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


def _finished(schema: Schema, *, title: str) -> Schema:
    _as_written(schema)
    return {"$schema": _DIALECT, **schema, "title": title}


def _as_written(node: Any) -> None:
    """Defaults of durations as people write them (`3s`), not as seconds in memory; enum docstrings are for us, not them."""
    if isinstance(node, list):
        for item in node:
            _as_written(item)
    if not isinstance(node, dict):
        return
    default = node.get("default")
    if isinstance(default, float) and _is_duration(node):
        node["default"] = f"{default * 1000:g}ms" if 0 < default < 1 else f"{default:g}s"
    for child in node.values():
        _as_written(child)


def _is_duration(node: Schema) -> bool:
    return any(one.get("pattern") == DURATION_PATTERN for one in (node, *node.get("anyOf", ())))
