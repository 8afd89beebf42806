"""YAML with places: text in, plain values out, each with the line and column where it was written.

ruamel's round-trip loader reads it (YAML 1.2: `yes` and `12:30` are text), because it alone keeps positions. Its event
stream is looked at first, with bounds on depth, nodes and aliases counted as expanded, so that a bomb is refused before
anything is built. Then its node graph is turned into plain JSON values by ourselves. Rejected: its constructors, which
know tags, merge keys and dates that no file of ours needs, and that would have to be forbidden one by one.

Always true: what leaves here is JSON (finite numbers, text without control characters, keys that are text) of at most
`NODES_MAX` values and `DEPTH_MAX` levels; every mapping key stands once; every failure is a `Problem`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.contract.undo import Json
from harness.spec.base import found
from harness.spec.problems import Problem

DEPTH_MAX = 32
NODES_MAX = 20_000
ALIASES_MAX = 100
NUMBER_LETTERS_MAX = 40

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands: its own place, that of the key or dash before it, and the places within it."""

    value: Json
    line: int
    column: int
    key: tuple[int, int] | None = None
    within: Mapping[str | int, Place] = field(default_factory=dict)

    @property
    def head(self) -> tuple[int, int]:
        """Where a reader looks for it: at its key, else at the value itself."""
        return self.key or (self.line, self.column)


class _RefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def parse_yaml(text: str, *, line_first: int = 1) -> tuple[Place | None, list[Problem]]:
    """The one YAML document in `text`, and what is wrong with it. `line_first`: the file's line at which `text` begins.

    The place is None where the text can't be read at all; problems within it (a duplicate key, NaN) leave the rest
    readable, so that all errors of a file can be told at once.
    """
    offset = line_first - 1
    try:
        _check_events(text)
        node = YAML(typ="rt", pure=True).compose(text)
        if node is None:
            return None, [Problem(line_first, 1, "nothing is written here")]
        problems: list[Problem] = []
        return _place(node, key=None, offset=offset, problems=problems), problems
    except _RefusedError as refused:
        line, column, words = refused.problem
        return None, [Problem(line + offset, column, words)]
    except MarkedYAMLError as error:
        return None, [_syntax(error, text=text, offset=offset)]
    except Exception as error:
        # On hostile text the parser slips (IndexError, ValueError, ...): that is the file's fault, not ours.
        return None, [Problem(line_first, 1, f"this isn't YAML that can be read ({type(error).__name__})")]


def _mark(event: Event | Node) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _check_events(text: str) -> None:
    """Refuses bombs, several documents, directives and tags, from events alone: nothing is built."""
    open_: list[tuple[str | None, int]] = []  # anchor of each open collection, and the nodes counted when it began
    sizes: dict[str, int] = {}
    nodes = aliases = documents = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        match event:
            case DocumentStartEvent():
                documents += 1
                _refuse_if(documents > 1, event, "a second document begins here; a file holds one")
                _refuse_if(bool(event.version or event.tags), event, "directives (`%YAML`, `%TAG`) aren't used here")
            case CollectionEndEvent():
                anchor, before = open_.pop()
                if anchor is not None:
                    sizes[anchor] = nodes - before
            case AliasEvent():
                aliases += 1
                _refuse_if(aliases > ALIASES_MAX, event, f"more than {ALIASES_MAX} aliases")
                _refuse_if(
                    event.anchor not in sizes, event, f"alias {found(event.anchor)} names no anchor that is complete"
                )
                nodes += sizes[event.anchor]
            case CollectionStartEvent():
                nodes += 1
                open_.append((event.anchor, nodes - 1))
                _refuse_if(len(open_) > DEPTH_MAX, event, f"nested more than {DEPTH_MAX} levels deep")
            case ScalarEvent():
                nodes += 1
                if event.anchor is not None:
                    sizes[event.anchor] = 1
        _refuse_if(nodes > NODES_MAX, event, f"more than {NODES_MAX} values, aliases counted as often as used")
        tag = getattr(event, "tag", None)
        _refuse_if(tag is not None, event, f"tag {found(str(tag))}: tags aren't used here")


def _refuse_if(wrong: bool, event: Event, text: str) -> None:
    if wrong:
        raise _RefusedError(Problem(*_mark(event), text))


def _place(node: Node, *, key: tuple[int, int] | None, offset: int, problems: list[Problem]) -> Place:
    line, column = _mark(node)
    line += offset
    within: dict[str | int, Place] = {}
    match node:
        case MappingNode():
            for key_node, value_node in node.value:
                name = _key(key_node, offset=offset, problems=problems)
                at = (key_node.start_mark.line + 1 + offset, key_node.start_mark.column + 1)
                if name is None:
                    continue
                if name in within:
                    first = within[name].head[0]
                    problems.append(Problem(*at, f"key {found(name)} stands here a second time; first in line {first}"))
                    continue
                within[name] = _place(value_node, key=at, offset=offset, problems=problems)
            value: Any = {name: place.value for name, place in within.items()}
        case SequenceNode():
            for index, item in enumerate(node.value):
                within[index] = _place(item, key=None, offset=offset, problems=problems)
            value = [place.value for place in within.values()]
        case ScalarNode():
            value, wrong = _scalar(node)
            if wrong:
                problems.append(Problem(line, column, wrong))
            if key is not None and value is None and node.value == "":
                line, column = key  # an empty value's own mark lies behind the comments that follow
    return Place(value, line, column, key, within)


def _key(node: Node, *, offset: int, problems: list[Problem]) -> str | None:
    """A key as it is written: `1:` and `no:` are text, as every key of ours is."""
    text = node.value if isinstance(node, ScalarNode) else None
    wrong = ""
    if text is None:
        wrong = "a list or mapping can't be a key; did you forget quotes around `{...}` or `[...]`?"
    elif not text:
        wrong = "an empty key"
    elif text == "<<":
        wrong = "merge keys (`<<`) aren't used here; write the keys out"
    elif _CONTROL.search(text):
        wrong = f"{found(text)} holds a control character"
    if wrong:
        problems.append(Problem(node.start_mark.line + 1 + offset, node.start_mark.column + 1, wrong))
        return None
    return str(text)


def _scalar(node: ScalarNode) -> tuple[Json, str]:
    """The value of a scalar by the YAML 1.2 core schema, and what is wrong with it."""
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return text, f"{found(text)} holds a control character" if _CONTROL.search(text) else ""
    if text in _NULL:
        return None, ""
    if text in _BOOL:
        return _BOOL[text], ""
    resolved = str(node.tag).removeprefix(_TAG)
    if _INT.fullmatch(text) or _FLOAT.fullmatch(text):
        if len(text) > NUMBER_LETTERS_MAX:
            return 0, f"a number of {len(text)} digits; at most {NUMBER_LETTERS_MAX} are legal"
        number: int | float
        if _INT.fullmatch(text):
            number = int(text, 0) if text.startswith(("0o", "0x")) else int(text)
        else:
            number = float(text)
        return (number, "") if math.isfinite(number) else (0, f"{text} is too large for a number")
    if resolved == "float" and text.lstrip("+-").lower() in (".inf", ".nan"):
        return 0, f"{text} is no number that anything can be compared with"
    return text, f"{found(text)} holds a control character" if _CONTROL.search(text) else ""


def _syntax(error: MarkedYAMLError, *, text: str, offset: int) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    words = (error.problem or error.context or "this isn't YAML").strip()
    if "\t" in here[:column] and not here[: column - 1].strip():
        words = "a tab where YAML wants spaces: indent with spaces"
    elif words.startswith("mapping values are not allowed"):
        words += " (a colon followed by a space inside a text: put quotes around it)"
    elif error.context:
        words = f"{words} ({error.context.strip()})"
    return Problem(line + offset, column, words)
