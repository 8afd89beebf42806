"""Where scenarios, playbooks and the reference target are, by name and from any directory.

In the wheel they lie below `harness/_data`; in a checkout, `scenarios/` and `fixtures/` stand beside `harness/`. Rejected:
a search along the working directory, by which the same command would mean something else elsewhere.

Always true: a name that isn't found is answered with the nearest one and the list.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from harness.errors import UsageError
from harness.spec.base import found
from harness.spec.problems import meant
from harness.spec.reading import shown

PLAYBOOKS = "playbooks"
_SUFFIXES = (".yaml", ".yml")
_TARGETS = {"embedded": "target.yaml", "docker": "docker.yaml"}
"""The reference pipeline in its forms, by name."""
_FILES_MAX = 10_000
_PARENTS_MAX = 3


def data_root() -> Path:
    """The folder that holds `scenarios` and `fixtures`."""
    package = Path(str(files("harness")))
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent


def scenarios_folder() -> Path:
    """The built-in scenarios."""
    return data_root() / "scenarios"


def find_target(name: str | None) -> Path:
    """The file of a target: None and `embedded` are the reference pipeline, `docker` the same in containers; a path is itself.

    A path has a slash or ends in .yaml. Raises `UsageError` for a name that no built-in target has.
    """
    if name is None:
        return reference_target()
    if name.endswith(_SUFFIXES) or os.sep in name:
        return Path(name)
    if name in _TARGETS:
        return reference_target(_TARGETS[name])
    if Path(name).is_file():
        return Path(name)
    raise UsageError(
        f"no target is called {found(name)}{meant(name, sorted(_TARGETS), what='Known')}",
        hint="a path to a target file ends in .yaml",
    )


def reference_target(file: str = "target.yaml") -> Path:
    """The description of the reference pipeline. Raises `UsageError` where the installation lacks it."""
    path = data_root() / "fixtures" / "pipeline" / file
    if not path.is_file():
        raise UsageError(
            f"the reference pipeline isn't installed: there is no {shown(path)}",
            hint="install mldrill again, or name a target of your own with --target",
        )
    return path


def all_scenarios(folder: Path | str | None = None) -> tuple[Path, ...]:
    """Every scenario file in `folder` (the built-in ones if None), sorted. Raises `UsageError` where there is no folder."""
    root = scenarios_folder() if folder is None else Path(folder)
    if not root.is_dir():
        raise UsageError(f"there is no folder {shown(root)}", hint="`drill list` shows the built-in scenarios")
    paths: list[Path] = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != PLAYBOOKS and not name.startswith(".")]
        paths += [Path(parent, name) for name in names if name.endswith(_SUFFIXES) and name != "target.yaml"]
        if len(paths) > _FILES_MAX:
            raise UsageError(f"more than {_FILES_MAX} scenarios below {shown(root)}", hint="name a smaller folder")
    return tuple(sorted(paths))


def find_scenario(name: Path | str) -> Path:
    """The file of a built-in scenario's name, or the path itself where it is one.

    A path has a slash or ends in .yaml; whether it can be read is for `load_scenario` to say. Raises `UsageError` for a
    name that no built-in scenario has.
    """
    text = str(name)
    if text.endswith(_SUFFIXES) or os.sep in text:
        return Path(name)
    known = {path.stem: path for path in all_scenarios()}
    if text in known:
        return known[text]
    raise UsageError(
        f"no scenario is called {found(text)}{meant(text, sorted(known), what='Known')}",
        hint="`drill list` describes them; a path to a file ends in .yaml",
    )


def find_playbook(name: str, *, near: Path | None = None) -> Path:
    """The file of a playbook's id: in a `playbooks` folder beside or above the scenario file `near`, else built in.

    Raises `UsageError` where there is none.
    """
    folders = [scenarios_folder() / PLAYBOOKS]
    if near is not None:
        own = [parent / PLAYBOOKS for parent in list(near.absolute().parents)[:_PARENTS_MAX]]
        folders = own + folders
    known: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.glob("*.md")):
                known.setdefault(path.stem, path)
    if name in known:
        return known[name]
    looked = ", ".join(dict.fromkeys(shown(folder) for folder in folders if folder.is_dir()))
    raise UsageError(
        f"no playbook is called {found(name)}{meant(name, sorted(known), what='Known')}",
        hint=f"a playbook is a file <id>.md in a folder `playbooks` beside the scenario or above it; looked in {looked}",
    )
