"""Files that are wrong on purpose: each is refused with a problem, soon, and with nothing but an `InvalidFileError`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.errors import InvalidFileError
from harness.spec import load, yaml_nodes
from harness.spec.load import load_playbook, load_scenario, load_target

Loader = Callable[[Path], Any]
LOADERS: tuple[Loader, ...] = (load_scenario, load_playbook, load_target)
HEAD = "---\nid: x\n---\n"


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest) -> Loader:
    found: Loader = request.param
    return found


def refused(loader: Loader, path: Path) -> str:
    """The first problem of a file that must be refused."""
    with pytest.raises(InvalidFileError) as caught:
        loader(path)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems[0]


# --- what a path may lead to ------------------------------------------------------------------------------------------


def test_a_missing_file_is_told_with_the_nearest(tmp_path: Path, *, loader: Loader) -> None:
    (tmp_path / "drill.yaml").write_text("x")
    assert refused(loader, tmp_path / "dril.yaml").endswith(
        f"there is no such file. Did you mean '{tmp_path}/drill.yaml'?"
    )


def test_a_folder_is_told_with_what_is_in_it(tmp_path: Path, *, loader: Loader) -> None:
    (tmp_path / "drill.yaml").write_text("x")
    assert "this is a folder, and a file is wanted; in it: 'drill.yaml'" in refused(loader, tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path, *, loader: Loader) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "a device, pipe or socket" in refused(loader, tmp_path / "pipe.yaml")


def test_an_endless_device_is_not_read(loader: Loader) -> None:
    assert "a device, pipe or socket" in refused(loader, Path("/dev/zero"))


def test_a_loop_of_links_is_told(tmp_path: Path, *, loader: Loader) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "can't be read: Too many levels of symbolic links" in refused(loader, tmp_path / "a")


@pytest.mark.parametrize("name", ["x" * 5000, "a\x00b", "a\nb.yaml", "\udcff"])
def test_an_impossible_name_is_told(tmp_path: Path, *, loader: Loader, name: str) -> None:
    refused(loader, tmp_path / name)


def test_a_file_under_a_file_is_told(tmp_path: Path, *, loader: Loader) -> None:
    (tmp_path / "a").write_text("x")
    assert "Not a directory" in refused(loader, tmp_path / "a" / "b.yaml")


def test_100_megabytes_are_refused_unread(tmp_path: Path, *, loader: Loader) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    assert "100000000 bytes; at most" in refused(loader, path)


def test_a_file_that_says_it_is_empty_is_read_to_its_bound_only(loader: Loader) -> None:
    refused(loader, Path("/proc/self/maps"))


# --- what may stand in it ---------------------------------------------------------------------------------------------

NOT_TEXT = [
    (b"", "1:1: the file is empty"),
    (b" \n\n  ", "1:1: the file is empty"),
    (b"\xef\xbb\xbf", "1:1: the file is empty"),
    (b"a: 1\nb: \xff\xfe", "2:4: byte 0xff isn't UTF-8 (is it text in some other encoding?)"),
    ("title: käse".encode("latin-1"), "1:9: byte 0xe4 isn't UTF-8"),
    ("a: 1".encode("utf-16"), "1:1: byte 0xff isn't UTF-8 (is it binary?)"),
    (b"\x89PNG\r\n\x1a\n\x00\x00", "1:1: byte 0x89 isn't UTF-8 (is it binary?)"),
    (b"a: 1\nb: \x00", "2:4: character U+0000 isn't text"),
    (b"a: \x1b[31mred", "1:4: character U+001B isn't text"),
    ("a: 1\u2028b: 2".encode(), "1:5: character U+2028 isn't text"),
]


@pytest.mark.parametrize(("data", "expected"), NOT_TEXT)
def test_what_is_no_text_is_told_with_its_place(tmp_path: Path, *, loader: Loader, data: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert refused(loader, path).startswith(f"{path}:{expected}")


def laughs() -> str:
    """The billion laughs."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines)


BOMBS = {
    "laughs": (laughs(), "aliases counted as often as used"),
    "many aliases": ("a: &a 1\nb: [" + "*a, " * 200 + "]", "more than 100 aliases"),
    "itself": ("a: &a [*a]", "names no anchor that is complete"),
    "itself in a mapping": ("&a {x: *a}", "names no anchor that is complete"),
    "nowhere": ("a: *b", "names no anchor that is complete"),
    "deep flow": ("a: " + "[" * 100_000, "nested more than 32 levels deep"),
    "deep mappings": ("a: " + "{x: " * 5_000, "nested more than 32 levels deep"),
    "deep block": ("- " * 100_000, "nested more than 32 levels deep"),
    "deep questions": ("? " * 100_000, "nested more than 32 levels deep"),
    "wide": ("a: [" + "1," * 60_000 + "]", "more than 20000 values"),
    "long number": ("a: " + "9" * 100_000, "a number of 100000 digits"),
    "long key": ("k" * 100_000 + ": 1", "mapping values are not allowed here"),
    "many tags": ("%TAG ! x\n" * 1000, ""),
    "directive": ("%YAML 1.1\n---\na: yes", "directives"),
    "bangs": ("!" * 100_000, ""),
    "list": ("- a\n- b", "is a list, and a mapping (`key: value`) is wanted"),
    "text": ("hello", "is the text 'hello', and a mapping (`key: value`) is wanted"),
    "only comments": ("# a\n# b", "nothing is written here"),
    "many errors": ("\n".join(f"k{i}: 1" for i in range(5000)), ""),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("kind", ["scenario", "target", "head", "cell"])
def test_a_bomb_is_refused(tmp_path: Path, *, kind: str, name: str) -> None:
    text, expected = BOMBS[name]
    path = tmp_path / "bomb"
    if kind == "head":
        text = f"---\n{text}\n---\n"
    if kind == "cell":
        text = f"{HEAD}## Act\n\n```drill\n{text}\n```\n"
    path.write_text(text)
    with pytest.raises(InvalidFileError) as caught:
        {"scenario": load_scenario, "target": load_target}.get(kind, load_playbook)(path)
    if (kind, name) not in (("cell", "list"), ("cell", "text"), ("head", "directive")):  # told in other words
        assert expected in str(caught.value)
    assert len(caught.value.problems) <= 51


MARKDOWN = ["> ", "- ", "1. a\n", "```\n", "~~~drill\n", "## Act\n", "[a]: b\n", "[", "<!--\n", "    a\n", "`", "*"]


@pytest.mark.parametrize("piece", MARKDOWN)
def test_markdown_without_end_is_refused(tmp_path: Path, *, piece: str) -> None:
    path = tmp_path / "playbook.md"
    path.write_text(HEAD + piece * ((load.PLAYBOOK_BYTES_MAX - 100) // len(piece)))
    refused(load_playbook, path)


# --- anything at all --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "file"


WORDS = [
    *("scenario", "kind", "title", "faults", "fault", "expect", "budget", "target", "services", "id", "observe", "do"),
    *(
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a",
        "*a",
        "!x",
        "!!int",
        "|\n",
        ">\n",
        "'",
        '"',
        "#",
        "? ",
        "%",
    ),
    *(
        "---\n",
        "...\n",
        "```drill\n",
        "```\n",
        "## Act\n",
        "${a.b}",
        "${",
        "8s",
        "1",
        "0x",
        "1e9",
        "~",
        "\t",
        "<<",
        "=",
    ),
    *("\\u0000", "\\x", "\u00e9", "\U0001f600", "@", "`", "null", "true", ".inf", "0o9", "-"),
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=60).map("".join)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    TEXTS.map(str.encode),
    TEXTS.map(lambda text: f"---\n{text}\n---\n## Assess\n```drill\n{text}\n```\n".encode()),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=ANYTHING)
@example(data=b'a: "\\uD800"')
@example(data=b"[a: 1]: 2")
@example(data=b"? - a\n: b")
@example(data=b"%YAML 9.9\n---\nx")
def test_whatever_the_bytes_are_only_an_invalid_file_error_comes_out(scratch: Path, *, data: bytes) -> None:
    scratch.write_bytes(data)
    for loader in LOADERS:
        with suppress(InvalidFileError):
            loader(scratch)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["8s", "fault", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([w for w in WORDS if w.isalpha()]) | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=JSON)
def test_any_shape_of_values_is_told_in_words(scratch: Path, *, value: object) -> None:
    import json

    text = json.dumps(value)
    for loader, written in (
        (load_scenario, text),
        (load_target, text),
        (load_playbook, f"---\n{text}\n---\n## Act\n\n```drill\n{text}\n```\n"),
    ):
        scratch.write_text(written)
        with pytest.raises(InvalidFileError) as caught:
            loader(scratch)
        for problem in caught.value.problems:
            assert problem.isprintable()


def test_a_slip_of_the_parser_itself_is_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(self: object, text: str) -> None:
        raise IndexError("string index out of range")

    monkeypatch.setattr(yaml_nodes.YAML, "compose", slip)
    path = tmp_path / "a.yaml"
    path.write_text("a: 1")
    assert refused(load_scenario, path) == f"{path}:1:1: this isn't YAML that can be read (IndexError)"
