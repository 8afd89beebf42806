"""The whole language of a playbook's conditions and values: comparisons, literals, `${step.field}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.contract.undo import Json
from harness.spec.plan import PlannedCondition

_REFERENCE = re.compile(r"\$\{([^}]+)\}")
MISSING = object()
"""What a reference or field that isn't there gives; equal to nothing."""

Results = Mapping[str, Mapping[str, Json]]
"""Results of earlier steps, by step id."""


def field(result: Mapping[str, Json], path: str) -> Any:
    """The value at a dotted path; a key that holds the dots itself wins. `MISSING` where there is none."""
    if path in result:
        return result[path]
    head, _, rest = path.partition(".")
    while rest:
        inner = result.get(head)
        if isinstance(inner, Mapping):
            return field(inner, rest)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return MISSING


def reference(text: str, results: Results) -> Any:
    """The value of `step.field`, or `MISSING`."""
    step, _, path = text.partition(".")
    return field(results[step], path) if step in results and path else MISSING


def resolve(value: Json, results: Results) -> Any:
    """A value with its references filled in: a lone reference keeps its type, one within a text becomes text.

    `MISSING` anywhere makes the whole `MISSING`: an action with half its arguments must not be done.
    """
    if isinstance(value, str):
        lone = _REFERENCE.fullmatch(value)
        if lone:
            return reference(lone[1], results)
        found = [reference(name, results) for name in _REFERENCE.findall(value)]
        if any(part is MISSING for part in found):
            return MISSING
        return _REFERENCE.sub(lambda match: str(reference(match[1], results)), value)
    if isinstance(value, list):
        items = [resolve(item, results) for item in value]
        return MISSING if any(item is MISSING for item in items) else items
    if isinstance(value, Mapping):
        filled = {key: resolve(item, results) for key, item in value.items()}
        return MISSING if any(item is MISSING for item in filled.values()) else filled
    return value


def holds(condition: PlannedCondition, actual: Any, results: Results) -> bool:
    """Whether one comparison is true. What is missing, or can't be compared, is not true: no data is no good news."""
    wanted = resolve(condition.value, results)
    if actual is MISSING or wanted is MISSING:
        return False
    try:
        match condition.op:
            case "eq":
                return bool(actual == wanted)
            case "ne":
                return bool(actual != wanted)
            case "lt":
                return bool(actual < wanted)
            case "gt":
                return bool(actual > wanted)
            case _:
                return actual in wanted
    except TypeError:
        return False


def first_untrue(conditions: tuple[PlannedCondition, ...], result: Mapping[str, Json], results: Results) -> str | None:
    """The first comparison that doesn't hold, as a sentence; None where all hold."""
    for condition in conditions:
        actual = field(result, condition.field)
        if not holds(condition, actual, results):
            shown = "missing" if actual is MISSING else repr(actual)
            return f"{condition.field} is {shown}, wanted {condition.op} {resolve_shown(condition.value, results)}"
    return None


def resolve_shown(value: Json, results: Results) -> str:
    """A wanted value for people."""
    resolved = resolve(value, results)
    return f"{value!r} (unknown)" if resolved is MISSING else repr(resolved)


def when_true(conditions: tuple[PlannedCondition, ...], results: Results) -> bool:
    """Whether all `when` comparisons hold; their fields are `step.field`."""
    return all(holds(condition, reference(condition.field, results), results) for condition in conditions)
