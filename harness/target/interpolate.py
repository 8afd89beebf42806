"""Fills the `${...}` of target.yaml strings, and nothing else: no expressions, no environment, no defaults.

Names are dotted: `service.bus.url`, `arg.version`. A name that isn't known is the author's mistake and is told with
the names that are legal. In JSON bodies a string that is nothing but `${arg.x}` takes the argument with its type,
and a key whose argument was not given is left out, so that optional arguments need no language of their own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from urllib.parse import quote

from harness.contract.undo import Json
from harness.errors import UsageError

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_ABSENT = object()


def fill(text: str, names: Mapping[str, Json], *, where: str = "target.yaml") -> str:
    """The text with every reference replaced. Raises `UsageError` for a name that isn't known."""
    return REFERENCE.sub(lambda match: _plain(_value(match[1], names, where)), text)


def fill_url(text: str, names: Mapping[str, Json], *, where: str = "target.yaml") -> str:
    """As `fill`, with arguments percent-encoded: a version can't become a path or a query of its own."""

    def replace(match: re.Match[str]) -> str:
        value = _plain(_value(match[1], names, where))
        return quote(value, safe="") if match[1].startswith("arg.") else value

    return REFERENCE.sub(replace, text)


def fill_json(value: Json, names: Mapping[str, Json], *, where: str = "target.yaml") -> Json:
    """A JSON value with every string in it filled; keys whose argument is None or missing are left out."""
    filled = _fill_json(value, names, where)
    return None if filled is _ABSENT else filled


def _fill_json(value: Json, names: Mapping[str, Json], where: str) -> Json:
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole is None:
            return fill(value, names, where=where)
        found = _value(whole[1], names, where)
        return _ABSENT if found is None else found
    if isinstance(value, Mapping):
        filled = {fill(str(key), names, where=where): _fill_json(item, names, where) for key, item in value.items()}
        return {key: item for key, item in filled.items() if item is not _ABSENT}
    if isinstance(value, list | tuple):
        return [item for item in (_fill_json(item, names, where) for item in value) if item is not _ABSENT]
    return value


def _value(name: str, names: Mapping[str, Json], where: str) -> Json:
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    raise UsageError(f"{where}: unknown '${{{name}}}'.{guess} Known: {', '.join(sorted(names))}")


def _plain(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
