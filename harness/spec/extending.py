"""A target file that stands on another: `extends: target.yaml`, and then only what differs.

The same pipeline runs in several forms (processes, containers, a staging cluster), and a second whole description would drift
from the first. Mappings are joined key by key; anything else replaces what the base says, and `null` takes a key away.
Rejected: includes in the middle of a file, chains of files, and anchors across files: to know what holds, at most two files
are read.

Always true: a value of the base stands, in the joined tree, at the line of `extends`, because that is where this file says it.
"""

from __future__ import annotations

from dataclasses import replace

from harness.contract.undo import Json
from harness.spec.yaml_nodes import Place

KEY = "extends"


def joined(base: Place, over: Place) -> Place:
    """The tree of both, `over` winning. Both are mappings; `extends` itself is left out."""
    at = over.within[KEY].head
    result = _joined(_moved(base, at), over)
    return _without(result, KEY)


def _joined(base: Place, over: Place) -> Place:
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    within: dict[str | int, Place] = dict(base.within)
    for key, place in over.within.items():
        if place.value is None:
            within.pop(key, None)
        elif key in within:
            within[key] = _joined(within[key], place)
        else:
            within[key] = place
    return replace(over, value=_value(within), within=within)


def _moved(place: Place, at: tuple[int, int]) -> Place:
    within = {key: _moved(inner, at) for key, inner in place.within.items()}
    return Place(place.value, *at, key=at, within=within)


def _without(place: Place, key: str) -> Place:
    within = {name: inner for name, inner in place.within.items() if name != key}
    return replace(place, value=_value(within), within=within)


def _value(within: dict[str | int, Place]) -> dict[str, Json]:
    return {str(key): inner.value for key, inner in within.items()}
