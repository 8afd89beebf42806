"""A fault's arguments as people write them, checked against what the fault declares and what the target has.

Durations and sizes carry units in files and are plain numbers afterwards. Every problem of a fault is told, each naming
what is legal and the nearest match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.contract.undo import Json
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory, unknown
from harness.spec.base import found, parse_duration, parse_size


def resolved(
    declaration: FaultDeclaration,
    given: Mapping[str, Json],
    *,
    inventory: Inventory,
    readings: Iterable[str],
) -> tuple[dict[str, Json], list[str]]:
    """The arguments as in memory (seconds, bytes), and what is wrong with them."""
    declared = {argument.name: argument for argument in declaration.arguments}
    problems = [unknown("argument", name, declared) for name in given if name not in declared]
    values: dict[str, Json] = {}
    for name, argument in declared.items():
        if name not in given or given[name] is None:
            if argument.required:
                problems.append(f"argument '{name}' ({argument.type}) is missing: {argument.help}")
            elif argument.type == "reading" and argument.default not in (None, *readings):
                problems.append(f"{name}: {unknown('reading', str(argument.default), readings)}")
            continue
        try:
            values[name] = _typed(argument, given[name])
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        problems += [f"{name}: {wrong}" for wrong in _unknown_name(argument, values, inventory, readings)]
    return values, problems


def _typed(argument: ArgumentDeclaration, value: Json) -> Json:
    """The value in memory. Raises ValueError saying what is legal."""
    if argument.choices and value not in argument.choices:
        raise ValueError(unknown("value", str(value), argument.choices))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match argument.type:
        case "duration":
            return parse_duration(value)
        case "size":
            return parse_size(value)
        case "number" if number:
            return value
        case "integer" if number and float(value).is_integer():
            return int(value)
        case "share" if number and 0 < value <= 1:
            return float(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "string" | "service" | "role" | "link" | "model" | "variant" | "reading" if isinstance(value, str):
            return value
        case "setting" if isinstance(value, bool | int | float | str):
            return value
        case "mapping" if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
            return dict(value)
        case "services" | "texts" if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            if len(set(value)) == len(value) > 0:
                return list(value)
    wanted = {
        "number": "a number",
        "integer": "a whole number",
        "share": "a share above 0 and up to 1",
        "boolean": "true or false",
        "setting": "a text, a number, true or false",
        "mapping": "a mapping of names to values, such as {type: scale, factor: 100}",
        "services": "a list of services, each once",
        "texts": "a list of texts, each once",
    }
    raise ValueError(f"{found(value)} isn't legal; legal: {wanted.get(argument.type, 'a text')}")


def _unknown_name(
    argument: ArgumentDeclaration, values: Mapping[str, Json], inventory: Inventory, readings: Iterable[str]
) -> list[str]:
    known: Mapping[str, Iterable[str]] = {
        "service": inventory.services,
        "role": set(inventory.services.values()),
        "link": inventory.links,
        "model": inventory.models,
        "reading": readings,
    }
    value = values[argument.name]
    if argument.type == "services":
        return [unknown("service", one, inventory.services) for one in value if one not in inventory.services]
    if argument.type in known and value not in known[argument.type]:
        return [unknown(argument.type, str(value), known[argument.type])]
    model = values.get("model")
    if argument.type == "variant" and model in inventory.models and value not in inventory.models[str(model)]:
        return [unknown(f"variant of model '{model}'", str(value), inventory.models[str(model)])]
    return []
