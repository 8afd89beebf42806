"""Getting the text of a file that people wrote, whatever the path turns out to be.

A path may name nothing, a folder, a device, a pipe, a loop of links, a photograph or 100 MB: each is told in a sentence,
at once, without reading more than `BYTES_MAX` and without ever waiting. Rejected: `Path.read_text`, which waits for
ever on a pipe and decodes by the locale.

Always true: the text that leaves here has lines ended by a single newline and no control characters, so that every
reader counts the same lines.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import islice
from pathlib import Path

from harness.spec.base import found
from harness.spec.problems import Problem, nearest, refuse

BYTES_MAX = 2**20
_NEIGHBOURS_MAX = 1000
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def shown(path: Path) -> str:
    """A path as messages print it: as it was given, on one line."""
    return _CONTROL.sub("?", str(path).encode("utf-8", "replace").decode())


def read_text(path: Path, *, bytes_max: int = BYTES_MAX) -> str:
    """The text of a regular UTF-8 file. Raises `InvalidFileError` for everything else; never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        refuse(shown(path), [Problem(1, 1, _why_not(path, error))])
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
            refuse(shown(path), [Problem(1, 1, f"this is {what}, and a file is wanted{_inside(path)}")])
        data = b"" if status.st_size > bytes_max else _read(descriptor, bytes_max + 1)
    except OSError as error:
        refuse(shown(path), [Problem(1, 1, _why_not(path, error))])
    finally:
        os.close(descriptor)
    if status.st_size > bytes_max or len(data) > bytes_max:
        size = max(status.st_size, len(data))
        refuse(shown(path), [Problem(1, 1, f"{size} bytes; at most {bytes_max} are legal for a file people write")])
    return _text(path, data)


def _read(descriptor: int, bytes_max: int) -> bytes:
    """At most `bytes_max` bytes: a file in /proc gives them in pieces, and says that it has none."""
    data = b""
    while len(data) < bytes_max and (piece := os.read(descriptor, bytes_max - len(data))):
        data += piece
    return data


def _text(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")  # some editors put a byte order mark before the text
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        what = "binary" if b"\x00" in data else "text in some other encoding"
        refuse(
            shown(path), [_at(before, f"byte 0x{data[error.start]:02x} isn't UTF-8 (is it {what}?); save it as UTF-8")]
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if odd := _NOT_TEXT.search(text):
        before = text[: odd.start()]
        refuse(shown(path), [_at(before, f"character U+{ord(odd[0]):04X} isn't text; remove it")])
    if not text.strip():
        refuse(shown(path), [Problem(1, 1, "the file is empty")])
    return text


def _at(before: str, words: str) -> Problem:
    return Problem(before.count("\n") + 1, len(before) - before.rfind("\n"), words)


def _why_not(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        names = _neighbours(path.parent)
        near = nearest(path.name, names)
        return "there is no such file" + (f". Did you mean '{shown(path.with_name(near))}'?" if near else "")
    if isinstance(error, OSError) and error.strerror:
        return f"this can't be read: {error.strerror}"
    return f"this is no path: {found(str(error))}"


def _inside(folder: Path) -> str:
    names = sorted(name for name in _neighbours(folder) if name.endswith((".yaml", ".yml", ".md")))
    return f"; in it: {', '.join(map(found, names[:10]))}" if names else ""


def _neighbours(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _NEIGHBOURS_MAX)]
    except (OSError, ValueError):
        return []
