"""A playbook's Markdown: a head, six sections, and `drill` cells among the prose.

markdown-it-py finds headings and fences (it gives line maps, and knows what a fence inside a list or a comment is); the
YAML of head and cells is read from the file's own lines, so that places are right. Only its block rules run: what the
prose says in bold is nobody's business here. Rejected: a regular expression for fences, which takes an example of a
cell for a cell.

Always true: the cells of a playbook that is returned have different ids, and each names only steps that stand before it
(its checks may name itself).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.contract.undo import Json
from harness.spec.base import found
from harness.spec.explain import validate
from harness.spec.playbook import Cell, FrontMatter, Playbook, Section
from harness.spec.problems import Problem, meant, nearest
from harness.spec.yaml_nodes import Place, parse_yaml

CELLS_MAX = 100
LANGUAGE = "drill"
_NESTING_MAX = 8
_REFERENCE = re.compile(r"\$\{([^}]*)\}?")
_REFERENCE_LEGAL = re.compile(r"[a-z0-9][a-z0-9_-]*\.[^\s${}]+")


@dataclass(frozen=True, slots=True)
class _Written:
    """A cell as it stands in the file: its section, its YAML, the line of its fence."""

    section: Section
    place: Place
    line: int

    @property
    def id(self) -> str:
        value = self.place.value
        name = value.get("id") if isinstance(value, dict) else None
        return name if isinstance(name, str) else ""


def read_playbook(text: str) -> tuple[Playbook | None, Json, list[Problem]]:
    """The playbook in `text`, its content as plain values (for its digest), and what is wrong with it."""
    lines = text.split("\n")
    end = _head_end(lines)
    if end is None:
        words = "a playbook begins with its head: a line `---`, YAML (id, title, incident, ...), and a line `---`"
        return None, None, [Problem(1, 1, words)]
    head_place, problems = parse_yaml("\n".join(lines[1:end]), line_first=2)
    head: FrontMatter | None = None
    if head_place is not None:
        head, wrong = validate(FrontMatter, head_place)
        problems += wrong
    written, wrong = _cells(lines, _tokens(lines, after=end))
    problems += wrong
    cells: list[tuple[Section, Cell]] = []
    for one in written:
        cell, wrong = validate(Cell, one.place)
        problems += wrong
        if cell is not None:
            cells.append((one.section, cell))
    problems += _order(written)
    if head_place is not None:
        problems += _until(head_place, [one.id for one in written])
    content = [head_place.value if head_place else None, [[str(one.section), one.place.value] for one in written]]
    if problems or head is None:
        return None, content, problems
    return Playbook(head=head, cells=tuple(cells), text=text), content, []


def _head_end(lines: list[str]) -> int | None:
    """Index of the line that closes the head."""
    if lines[0].rstrip() != "---":
        return None
    return next((index for index, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)


def _tokens(lines: list[str], *, after: int) -> list[Token]:
    """The Markdown's blocks, the head blanked so that line numbers stay."""
    reader = MarkdownIt("commonmark", {"maxNesting": _NESTING_MAX})
    reader.core.ruler.enableOnly(["normalize", "block"])
    return reader.parse("\n".join([""] * (after + 1) + lines[after + 1 :]))


def _cells(lines: list[str], tokens: list[Token]) -> tuple[list[_Written], list[Problem]]:
    """The cells by section, and what is wrong with headings and fences."""
    problems: list[Problem] = []
    cells: list[_Written] = []
    seen: dict[Section, int] = {}
    section: Section | None = None
    for index, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 1
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0:
            section, wrong = _section(tokens[index + 1].content.strip(), seen)
            problems += [Problem(line, 1, words) for words in wrong]
            if section is not None:
                seen.setdefault(section, line)
        elif token.type == "fence" and token.info.split()[:1] == [LANGUAGE]:
            place, wrong_cell = _cell(lines, token, section)
            problems += wrong_cell
            if place is not None and section is not None:
                cells.append(_Written(section, place, line))
        elif token.type == "fence" and nearest(token.info.strip().lower(), [LANGUAGE]):
            problems.append(Problem(line, 1, f"a fence of {found(token.info.strip())}: did you mean 'drill'?"))
    if len(cells) > CELLS_MAX:
        problems.append(Problem(cells[CELLS_MAX].line, 1, f"{len(cells)} cells; at most {CELLS_MAX} are legal"))
    return cells, problems + list(_missing(seen, last=len(lines)))


def _section(title: str, seen: dict[Section, int]) -> tuple[Section | None, list[str]]:
    """The section of that title, and what is wrong with its standing here."""
    legal = [str(section) for section in Section]
    if title not in legal:
        more = meant(title, legal, what="Sections (level 2)")
        return None, [f"{found(title)} is no section of a playbook{more}; further headings are of level 3"]
    section = Section(title)
    if section in seen:
        return section, [f"section {title} stands here a second time; first in line {seen[section]}"]
    late = [other for other in seen if legal.index(other) > legal.index(title)]
    return section, [f"section {title} stands after {late[0]}; the order is {', '.join(legal)}"] if late else []


def _missing(seen: dict[Section, int], *, last: int) -> Iterator[Problem]:
    """Sections that aren't there, at the section they should stand before, else at the end."""
    order = list(Section)
    for index, section in enumerate(order):
        if section not in seen:
            line = next((seen[later] for later in order[index + 1 :] if later in seen), last)
            before = [str(other) for other in order[index + 1 :] if other in seen]
            where = f" before {before[0]}" if before else " at the end"
            yield Problem(line, 1, f"there is no section {section}: write `## {section}`{where}")


def _cell(lines: list[str], token: Token, section: Section | None) -> tuple[Place | None, list[Problem]]:
    assert token.map is not None  # every fence has its lines
    first, end = token.map
    if token.level > 0:
        return None, [Problem(first + 1, 1, "a cell inside a list or quotation: write its fence at the margin")]
    if end == first + 1 or not re.fullmatch(rf" {{0,3}}{re.escape(token.markup)}[`~]*\s*", lines[end - 1]):
        return None, [Problem(first + 1, 1, f"this cell is never closed: write a line {token.markup} after it")]
    if section is None:
        return None, [Problem(first + 1, 1, "a cell outside the six sections: put it below a heading of level 2")]
    place, problems = parse_yaml("\n".join(lines[first + 1 : end - 1]), line_first=first + 2)
    if place is not None and not isinstance(place.value, dict):
        return None, [*problems, Problem(place.line, place.column, "a cell is a mapping: `id: ...` and so on")]
    return place, problems


def _order(cells: list[_Written]) -> Iterator[Problem]:
    """Duplicate ids, and steps that are named but don't stand before."""
    every = [cell.id for cell in cells]
    before: dict[str, int] = {}
    for cell in cells:
        place = cell.place
        if cell.id in before:
            at = place.within["id"]
            words = f"step {found(cell.id)} stands here a second time; first in line {before[cell.id]}"
            yield Problem(at.line, at.column, words)
        if "." in cell.id:
            at = place.within["id"]
            yield Problem(at.line, at.column, f"a step's id has no dot ({found(cell.id)}): `${{step.field}}` needs it")
        for at, name in _named_steps(place):
            if name not in before and not (name == cell.id and at in _checks(place)):
                yield Problem(at.line, at.column, _not_before(name, every, list(before)))
        yield from _malformed(place)
        if cell.id:
            before.setdefault(cell.id, cell.line)


def _not_before(name: str, every: list[str], before: list[str]) -> str:
    if name in every:
        return f"step {found(name)} doesn't stand before this one; a step can only build on earlier ones"
    return f"no step has the id {found(name)}{meant(name, before, what='Steps before this one')}"


def _named_steps(cell: Place) -> Iterator[tuple[Place, str]]:
    """Every step that a cell names: in `requires`, in the fields of `when`, in `${step.field}`."""
    for place in _within(cell, "requires"):
        if isinstance(place.value, str):
            yield place, place.value
    for name, place in _fields_of_when(cell):
        if "." in name:
            yield Place(None, *place.head), name.split(".")[0]
    for place in _texts(cell):
        for match in _REFERENCE.finditer(place.value):
            if _REFERENCE_LEGAL.fullmatch(match[1]):
                yield place, match[1].split(".")[0]


def _fields_of_when(cell: Place) -> list[tuple[str, Place]]:
    when = cell.within.get("when")
    return [(str(name), place) for name, place in when.within.items()] if when is not None else []


def _within(cell: Place, key: str) -> list[Place]:
    return list(cell.within[key].within.values()) if key in cell.within else []


def _checks(cell: Place) -> list[Place]:
    """The texts of `expect` and `verify`, which may speak of the step's own result (`${rollback.version}`)."""
    return [text for key in ("expect", "verify") if key in cell.within for text in _texts(cell.within[key])]


def _malformed(cell: Place) -> Iterator[Problem]:
    for place in _texts(cell):
        for match in _REFERENCE.finditer(place.value):
            if not match[0].endswith("}") or not _REFERENCE_LEGAL.fullmatch(match[1]):
                words = f"{found(match[0])} is no reference: write `${{step.field}}`, and nothing else inside"
                yield Problem(place.line, place.column, words)
    for name, place in _fields_of_when(cell):
        if "." not in name:
            yield Problem(*place.head, f"a field of `when` is `step.field`; found {found(name)}")


def _texts(place: Place) -> Iterator[Place]:
    """Every text at or below a place (the tree is bounded by the YAML reader)."""
    if isinstance(place.value, str):
        yield place
    for child in place.within.values():
        yield from _texts(child)


def _until(head: Place, ids: list[str]) -> Iterator[Problem]:
    """`until` of a forbidden action must name a step."""
    for forbidden in _within(head, "forbidden"):
        until = forbidden.within.get("until")
        if until is not None and isinstance(until.value, str) and until.value not in ids:
            words = f"no step has the id {found(until.value)}{meant(until.value, ids, what='Steps')}"
            yield Problem(until.line, until.column, words)
