"""The repository is linted by tests like any other, for what ruff and mypy don't see.

Every check is a function from a path and its text to complaints, so that each can be fed what it must refuse.
What is looked at is what git has or would add: an ignored file is nobody's business.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import pytest

REPOSITORY = Path(__file__).parents[2]
FILE_BYTES_MAX = 1_000_000
HARNESS_LINES_MAX = 450
REASON_LETTERS_MIN = 8

Check = Callable[[PurePath, str], Iterator[str]]

# Written so that this file doesn't meet its own checks.
LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b(?P<rest>.*)")
SILENCED = re.compile(
    r"#\s*(type: *ig" + r"nore|no" + r"qa)\b(?:\[[^]]*\]|: *[A-Z]+[0-9]+(?:, *[A-Z]+[0-9]+)*)?(?P<rest>.*)"
)
THIS_MACHINE = re.compile(r"(?<![\w.~-])/(wo" + r"rk|ro" + r"ot)/[A-Za-z.]")
EMPTY_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"})


def has_reason(rest: str) -> bool:
    """Whether what follows a marker says why, in more than a word: 'see #12' and a bare dash don't."""
    return len(re.sub(r"[^A-Za-z]", "", rest)) >= REASON_LETTERS_MIN


def short_enough(path: PurePath, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if path.parts[0] == "harness" and path.suffix == ".py" and lines > HARNESS_LINES_MAX:
        yield f"{path}: {lines} lines, at most {HARNESS_LINES_MAX}: does it have two jobs?"


def nothing_put_off(path: PurePath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if (later := LATER.search(line)) and not has_reason(later["rest"]):
            yield f"{path}:{number}: {later[1]} without a reason"


def silenced_with_reason(path: PurePath, text: str) -> Iterator[str]:
    if path.suffix != ".py":
        return
    for number, line in enumerate(text.splitlines(), 1):
        if (silenced := SILENCED.search(line)) and not has_reason(silenced["rest"]):
            yield f"{path}:{number}: '{silenced[1]}' without a reason after it"


def told_names(path: PurePath, text: str) -> Iterator[str]:
    if path.suffix == ".py" and (empty := EMPTY_NAMES.intersection(path.with_suffix("").parts)):
        yield f"{path}: {min(empty)} says nothing of what is in it"


def anywhere(path: PurePath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := THIS_MACHINE.search(line):
            yield f"{path}:{number}: {found[0]}... is a path of one machine"


def explained(path: PurePath, text: str) -> Iterator[str]:
    if path.parts[0] == "harness" and path.suffix == ".py" and not ast.get_docstring(ast.parse(text)):
        yield f"{path}:1: no docstring says what problem the module solves"


def bare_pins(path: PurePath, text: str) -> Iterator[str]:
    if path.name != "constraints.txt":
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+|#(?!.*://).*|", line):
            yield f"{path}:{number}: '{line}' is not name==version"


CHECKS: tuple[Check, ...] = (
    short_enough,
    nothing_put_off,
    silenced_with_reason,
    told_names,
    anywhere,
    explained,
    bare_pins,
)


def test_no_file_is_huge(sources: tuple[str, ...]) -> None:
    sizes = {name: (REPOSITORY / name).stat().st_size for name in sources}
    assert {name: size for name, size in sizes.items() if size > FILE_BYTES_MAX} == {}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_repository_is_tidy(sources: tuple[str, ...], *, check: Check) -> None:
    found = []
    for name in sources:
        try:
            text = (REPOSITORY / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or a model: there is nothing to read
        found += check(PurePath(name), text)
    assert found == []


REFUSED = [
    (short_enough, "harness/run/live.py", "x = 1\n" * (HARNESS_LINES_MAX + 1)),
    (nothing_put_off, "docs/a.md", "TO" + "DO"),
    (nothing_put_off, "harness/a.py", "# FIX" + "ME: #12"),
    (silenced_with_reason, "harness/a.py", "import x  # type: ig" + "nore[import-untyped]"),
    (silenced_with_reason, "harness/a.py", "import x  # no" + "qa: F401, E402"),
    (silenced_with_reason, "tests/a.py", "import x  # no" + "qa - ok"),
    (told_names, "harness/utils.py", ""),
    (told_names, "fixtures/pipeline/helpers/a.py", ""),
    (anywhere, "docs/a.md", "see /wo" + "rk/main"),
    (anywhere, "tests/a.py", 'Path("/ro' + 'ot/.cache")'),
    (explained, "harness/a.py", "import json\n"),
    (bare_pins, "constraints.txt", "click @ file:///click.whl"),
    (bare_pins, "constraints.txt", "--find-links wheels"),
    (bare_pins, "constraints.txt", "-e ."),
    (bare_pins, "constraints.txt", "click>=8"),
    (bare_pins, "constraints.txt", "# from https" + "://example.org"),
]


@pytest.mark.parametrize(("check", "path", "text"), REFUSED)
def test_what_is_untidy_is_seen(*, check: Check, path: str, text: str) -> None:
    assert len(list(check(PurePath(path), text))) == 1


ACCEPTED = [
    (short_enough, "harness/run/live.py", "x = 1\n" * HARNESS_LINES_MAX),
    (nothing_put_off, "docs/a.md", "TO" + "DO: drop this when Python 3.11 goes out of support"),
    (silenced_with_reason, "harness/a.py", "import x  # type: ig" + "nore[import-untyped]  # ships no types"),
    (silenced_with_reason, "harness/a.py", "import x  # no" + "qa: F401 - re-exported for plugins"),
    (anywhere, "docs/a.md", "GET /ro" + "ot and https://example.org/wo" + "rk/x and ~/wo" + "rk/x"),
    (explained, "harness/a.py", '"""Why."""\n'),
    (explained, "tests/a.py", "import json\n"),
    (bare_pins, "constraints.txt", "# a word\n\nruamel.yaml==0.19.1\nml_dtypes==0.6.0\n"),
]


@pytest.mark.parametrize(("check", "path", "text"), ACCEPTED)
def test_what_is_tidy_passes(*, check: Check, path: str, text: str) -> None:
    assert list(check(PurePath(path), text)) == []
