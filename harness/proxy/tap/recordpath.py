"""Where the records are in a JSON document: `$`, `$.entries`, `$.entries[*][1]`, `$.data.rows[0]`.

What the path leads to is a record if it is an object, and records if it is a list (those elements that are objects).
A full JSONPath was rejected: filters and recursion have no use here and no bound.
"""

from __future__ import annotations

import re
from itertools import islice

from harness.proxy.refusal import Refusal

RECORDS_MAX = 100_000
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\*|\d{1,6})\]")

RecordPath = tuple[str | int | None, ...]
"""Keys, positions, and None for `[*]`."""


def parse(text: str) -> RecordPath:
    if not text.startswith("$"):
        raise Refusal(f"record '{text[:100]}' is no record path: legal are $, $.key, $.key[*], $.key[0]")
    steps: list[str | int | None] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise Refusal(f"record '{text[:100]}' at '{text[at : at + 20]}': legal are .key, [*] and [0]")
        key, position = found.groups()
        steps.append(key if key is not None else None if position == "*" else int(position))
        at = found.end()
    return tuple(steps)


def records(document: object, path: RecordPath) -> list[dict[str, object]]:
    nodes = [document]
    for step in path:
        nodes = list(islice((child for node in nodes for child in _children(node, step)), RECORDS_MAX))
    found: list[dict[str, object]] = []
    for node in nodes:
        for candidate in node if isinstance(node, list) else (node,):
            if isinstance(candidate, dict):
                found.append(candidate)
    return found


def _children(node: object, step: str | int | None) -> list[object]:
    if step is None:
        return node if isinstance(node, list) else []
    if isinstance(step, int):
        return [node[step]] if isinstance(node, list) and step < len(node) else []
    return [node[step]] if isinstance(node, dict) and step in node else []
