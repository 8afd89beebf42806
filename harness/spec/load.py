"""From a file to the record of it: scenario, playbook, target.

Every error of a file is told at once, as `file:line:column: what was found, what is legal, did you mean`. Nothing but
`InvalidFileError` leaves here, whatever the bytes are: a traceback at a user's typo is a defect, and so is a hang.

Always true: `digest` is taken from the parsed content, so comments, white space and the order of keys don't change it;
a path inside a target file stays within that file's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.contract.undo import Json
from harness.spec import extending
from harness.spec.base import found
from harness.spec.explain import validate, walk
from harness.spec.markdown import read_playbook
from harness.spec.playbook import Playbook
from harness.spec.problems import Problem, meant, refuse
from harness.spec.reading import read_text, shown
from harness.spec.scenario import Scenario
from harness.spec.target import TargetSpec
from harness.spec.target_names import undefined_names
from harness.spec.yaml_nodes import Place, parse_yaml

PLAYBOOK_BYTES_MAX = 2**18
_SCHEMA_HINT = "`drill schema {}` prints what is legal"
_FILES_LISTED_MAX = 1000


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario with the file it came from."""

    scenario: Scenario
    text: str
    digest: str
    path: Path
    place: Place

    def where(self, *steps: str | int) -> str:
        """`file:line:column` of what the steps lead to (`"faults", 0, "fault"`), for errors found later than here."""
        line, column = walk(self.place, steps)[0].head
        return f"{shown(self.path)}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class LoadedPlaybook:
    """A playbook with the file it came from."""

    playbook: Playbook
    text: str
    digest: str
    path: Path


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A target description with the file it came from. `folder` is what paths inside it are relative to."""

    spec: TargetSpec
    text: str
    digest: str
    path: Path
    folder: Path


def load_scenario(path: Path | str) -> LoadedScenario:
    """Read a scenario. Raises `InvalidFileError` with all problems of the file."""
    path = Path(path)
    text = read_text(path)
    place, problems = parse_yaml(text)
    if place is not None:
        scenario, wrong = validate(Scenario, place)
        if scenario is not None and not problems:
            return LoadedScenario(scenario, text, digest(place.value), path, place)
        problems += wrong
    refuse(shown(path), problems, hint=_SCHEMA_HINT.format("scenario"))


def load_playbook(path: Path | str) -> LoadedPlaybook:
    """Read a playbook. Raises `InvalidFileError` with all problems of the file."""
    path = Path(path)
    text = read_text(path, bytes_max=PLAYBOOK_BYTES_MAX)
    playbook, content, problems = read_playbook(text)
    if playbook is None or problems:
        refuse(shown(path), problems, hint=_SCHEMA_HINT.format("playbook"))
    return LoadedPlaybook(playbook, text, digest(content), path)


def load_target(path: Path | str) -> LoadedTarget:
    """Read a target description. Raises `InvalidFileError` with all problems of the file, missing files among them."""
    path = Path(path)
    text = read_text(path)
    place, problems = parse_yaml(text)
    if place is not None:
        place, lacking = _extended(place, path)
        problems += lacking
        spec, wrong = validate(TargetSpec, place) if not lacking else (None, [])
        problems += wrong
        problems += _wrong_files(place, path.parent)
        if spec is not None:
            problems += undefined_names(spec, place)
        if spec is not None and not problems:
            return LoadedTarget(spec, text, digest(place.value), path, path.parent.resolve())
    refuse(shown(path), problems, hint=_SCHEMA_HINT.format("target"))


def _extended(place: Place, path: Path) -> tuple[Place, list[Problem]]:
    """With what the file that it extends says. That file's own mistakes are raised as its own."""
    named = place.within.get(extending.KEY)
    if named is None:
        return place, []
    wrong = (
        _wrong_file(named.value, path.parent)
        if isinstance(named.value, str)
        else f"`extends` is {found(named.value)}, and the name of a target file beside this one is wanted"
    )
    if wrong:
        return place, [Problem(named.line, named.column, wrong)]
    below = path.parent / named.value
    base, problems = parse_yaml(read_text(below))
    if base is None or problems:
        refuse(shown(below), problems)
    if extending.KEY in base.within:
        return place, [Problem(named.line, named.column, f"{named.value} extends a file itself; one step is legal")]
    load_target(below)
    return extending.joined(base, place), []


def digest(content: Json) -> str:
    """SHA-256 of the canonical form of what a file says, as hexadecimal digits."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _wrong_files(place: Place, folder: Path) -> Iterator[Problem]:
    """Problems with the files that a target names: golden requests and load."""
    loads = walk(place, ("load",))[0] if "load" in place.within else None
    holders = [place.within[key] for key in ("golden",) if key in place.within]
    holders += list(loads.within.values()) if loads is not None else []
    for holder in holders:
        named = holder.within.get("file")
        if named is not None and isinstance(named.value, str):
            wrong = _wrong_file(named.value, folder)
            if wrong:
                yield Problem(named.line, named.column, wrong)


def _wrong_file(name: str, folder: Path) -> str:
    """Why `name` is no file below `folder`, or nothing. Links are followed before it is decided."""
    escapes = f"{found(name)} leads out of the folder of this file; paths stay within it"
    if not name.strip() or Path(name).is_absolute() or ".." in Path(name).parts:
        return escapes
    try:
        root, real = folder.resolve(), (folder / name).resolve()
        if not real.is_relative_to(root):
            return escapes
        if real.is_file():
            return ""
        return f"there is no file {found(name)}{meant(name, _files(root), what='Files here')}"
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        return f"{found(name)} can't be looked at: {error}"


def _files(root: Path) -> list[str]:
    names: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        names += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(files)]
        if len(names) > _FILES_LISTED_MAX:
            break
    return [name for name in names if name.endswith((".py", ".json", ".yaml", ".yml"))][:_FILES_LISTED_MAX]
