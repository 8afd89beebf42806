"""What pydantic found wrong, told in terms of the file: where it stands, what was found, what is legal.

pydantic's `loc` speaks of the model: it holds tags of union members and validators that aren't in the file, and for a
missing key it names a node that doesn't exist. Here a `loc` is walked along the places of the file: what isn't there is
skipped, and what is missing is shown at its parent. What is legal comes from the model's JSON Schema, the same that
editors complete by. Rejected: parsing the English of pydantic's messages.

Always true: every error gives at least one problem, at a place that exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.spec.base import NAME_PATTERN, found
from harness.spec.problems import Problem, meant
from harness.spec.yaml_nodes import Place

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]
Schema = Mapping[str, Any]

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list (`- ...` or `[...]`)",
    "list_type": "a list (`- ...` or `[...]`)",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
}
_STEPS_MAX = 64


def validate(model: type[Model], place: Place) -> tuple[Model | None, list[Problem]]:
    """The record that stands at `place`, or what is wrong with it.

    Validated as JSON and strictly: a quoted number is no number, and a bare one no text.
    """
    try:
        return model.model_validate_json(json.dumps(place.value), strict=True), []
    except ValidationError as error:
        return None, list(_problems(error.errors(include_url=False), place=place, schema=_schema(model)))


def walk(place: Place, path: Iterable[str | int]) -> tuple[Place, Path]:
    """The deepest place that `path` leads to, and the part of the path that exists in the file."""
    real: list[str | int] = []
    for step in path:
        if step in place.within:
            place = place.within[step]
            real.append(step)
    return place, tuple(real)


@cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(by_alias=True)


def _problems(errors: list[ErrorDetails], *, place: Place, schema: Schema) -> Iterator[Problem]:
    """One problem per place: what several members of a union say of one value is joined by `or`."""
    said: dict[tuple[int, int], list[str]] = {}
    alone: list[Problem] = []
    for error in errors:
        if _counts_the_valid(error):
            continue
        problem, joinable = _problem(error, place=place, schema=schema)
        if joinable:
            said.setdefault((problem.line, problem.column), []).append(problem.text)
        else:
            alone.append(problem)
    yield from alone
    for (line, column), texts in said.items():
        yield Problem(line, column, "; or: ".join(dict.fromkeys(texts)))


def _counts_the_valid(error: ErrorDetails) -> bool:
    """pydantic counts only a list's valid items: `at least 1` after an invalid one, which has its own problem, is noise."""
    minimum = (error.get("ctx") or {}).get("min_length")
    given = error["input"]
    return error["type"] == "too_short" and isinstance(given, list | dict) and len(given) >= (minimum or 0)


def _problem(error: ErrorDetails, *, place: Place, schema: Schema) -> tuple[Problem, bool]:
    loc, kind = error["loc"], error["type"]
    at, real = walk(place, loc)
    if kind == "missing":
        parent, names = walk(place, loc[:-1])
        return Problem(*parent.head, _missing(str(loc[-1]), names, schema)), False
    if kind == "extra_forbidden":
        legal = _keys(_at(schema, real[:-1]))
        text = f"unknown key {found(loc[-1])}{_in(real[:-1])}{meant(str(loc[-1]), legal)}"
        return Problem(*at.head, text), False
    if loc and loc[-1] == "[key]":
        legal = _names(_at(schema, real[:-1]), schema)
        text = f"{found(real[-1])} is no legal key{_in(real[:-1])}"
        return Problem(*at.head, text + (meant(str(real[-1]), legal) if legal else f": {_reason(error)}")), False
    spot = at.head if at.within or not real else (at.line, at.column)
    return Problem(*spot, _wrong_value(error, at, real, schema)), len(real) < len(loc)


def _wrong_value(error: ErrorDetails, at: Place, real: Path, schema: Schema) -> str:
    kind, name = error["type"], _named(real)
    if kind in ("enum", "literal_error"):
        legal = _choices(_at(schema, real))
        if isinstance(at.value, str):
            return f"{found(at.value)} isn't legal for {name}{meant(at.value, legal)}"
        return f"{name} is {_found(at.value)}; legal: {', '.join(legal)}"
    if kind in _WANTED:
        hint = " (put quotes around it)" if kind == "string_type" and isinstance(at.value, int | float | bool) else ""
        return f"{name} is {_found(at.value)}, and {_WANTED[kind]} is wanted{hint}"
    return f"{name}: {_reason(error)}" if real else _reason(error)


def _reason(error: ErrorDetails) -> str:
    context = error.get("ctx") or {}
    match error["type"]:
        case "value_error":
            return str(context.get("error", error["msg"]))
        case "string_pattern_mismatch" if context.get("pattern") == NAME_PATTERN:
            return (
                f"{found(error['input'])} is no name: lower case letters, digits, dots, dashes and underscores,"
                " at most 64, a letter or digit first"
            )
        case "string_pattern_mismatch":
            return f"{found(error['input'])} doesn't match {context.get('pattern')}"
        case "too_short" | "string_too_short":
            return f"at least {context.get('min_length')} wanted"
        case "too_long" | "string_too_long":
            return f"too long: at most {context.get('max_length')} are legal"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{found(error['input'])} is out of range: {error['msg'].removeprefix('Input should be ')} wanted"
    return f"{error['msg']}; found {found(error['input'])}"


def _missing(key: str, path: Path, schema: Schema) -> str:
    described = [str(sub["description"]) for sub in _at(schema, (*path, key)) if sub.get("description")]
    what = f"{_named(path)} lacks" if path else "the file lacks"
    return f"{what} `{key}`" + (f": {described[0]}" if described else "")


def _named(path: Path) -> str:
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return f"`{words}`" if words else "the file"


def _in(path: Path) -> str:
    return f" in {_named(path)}" if path else ""


def _found(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return f"{str(value).lower()} (true or false)"
        case str():
            return f"the text {found(value)}"
    return f"the number {found(value)}"


# --- what is legal, from the schema -----------------------------------------------------------------------------------


def _at(schema: Schema, path: Path) -> list[Schema]:
    """Every subschema that may apply at `path`; none where the schema says nothing of it."""
    current = _members(schema, schema)
    for step in path:
        following: list[Schema] = []
        for sub in current:
            following += [member for child in _children(sub, step) for member in _members(child, schema)]
        current = following
    return current


def _children(sub: Schema, step: str | int) -> Iterator[Schema]:
    if isinstance(step, int):
        prefix = sub.get("prefixItems", ())
        item = prefix[step] if step < len(prefix) else sub.get("items")
    else:
        item = sub.get("properties", {}).get(step, sub.get("additionalProperties"))
    if isinstance(item, Mapping):
        yield item


def _members(sub: Schema, root: Schema) -> list[Schema]:
    """`sub` with its references followed and its unions spread out. A described reference keeps its description first."""
    found_: list[Schema] = []
    waiting = [sub]
    for _ in range(_STEPS_MAX):
        if not waiting:
            break
        one = waiting.pop(0)
        found_.append(one)
        if "$ref" in one:
            waiting.append(root["$defs"][str(one["$ref"]).rsplit("/", 1)[-1]])
        for union in ("anyOf", "oneOf", "allOf"):
            waiting += one.get(union, ())
    return found_


def _keys(subs: list[Schema]) -> list[str]:
    return list(dict.fromkeys(name for sub in subs for name in sub.get("properties", ())))


def _names(subs: list[Schema], root: Schema) -> list[str]:
    """What the keys of a mapping are chosen from, where they are."""
    return _choices([name for sub in subs for name in _members(sub.get("propertyNames", {}), root)])


def _choices(subs: list[Schema]) -> list[str]:
    values = [value for sub in subs for value in (*sub.get("enum", ()), *([sub["const"]] if "const" in sub else ()))]
    return [str(value) for value in dict.fromkeys(values) if value is not None]
