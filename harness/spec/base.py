"""What every file that people write shares: strictness, durations, sizes, names.

pydantic, because it reports every error of a file at once; the loader turns its locations into line and column.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

DURATION_PATTERN = r"^([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h)$"
SIZE_PATTERN = r"^([0-9]{1,15}(?:\.[0-9]{1,12})?)(KiB|MiB|GiB|kB|MB|GB|B)$"
_DURATION = re.compile(DURATION_PATTERN)
_SIZE = re.compile(SIZE_PATTERN)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DURATION_MAX_S = 7 * 24 * 3600.0
SIZE_MAX_BYTES = 2**50
_FOUND_LETTERS_MAX = 60


def parse_duration(text: Any) -> float:
    """Seconds of a duration such as `250ms`, `8s`, `5m`, `2h`. A bare number is refused: ValueError says what is legal."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        unit = f". Did you mean '{_plain(text)}s'?" if _is_number(text) else ""
        raise ValueError(
            f"{found(text)} is no duration: write a number with its unit, such as 250ms, 8s, 5m or 2h{unit}"
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > DURATION_MAX_S:
        raise ValueError(f"{found(text)} is longer than the 7 days that are legal")
    return seconds


def parse_size(text: Any) -> int:
    """Bytes of a size such as `96MiB`. A bare number is refused: ValueError says what is legal."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{found(text)} is no size: write a number with its unit, such as 96MiB or 2GB")
    size = int(float(match[1]) * _BYTES[match[2]])
    if size > SIZE_MAX_BYTES:
        raise ValueError(f"{found(text)} is more than the 1 PiB that is legal")
    return size


def found(value: Any) -> str:
    """A value as a message quotes it: on one line, cut short where it is long."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _FOUND_LETTERS_MAX else text[: _FOUND_LETTERS_MAX - 3] + "..."


def _is_number(value: Any) -> bool:
    bare = isinstance(value, int | float) and not isinstance(value, bool)
    return bare or (isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", value) is not None)


def _plain(value: Any) -> str:
    return f"{float(value):g}"


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda seconds: f"{seconds:.9f}s", return_type=str, when_used="json"),  # can be read again
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""A duration as written in files; a float of seconds in memory."""
Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(lambda size: f"{size}B", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
]
"""A size as written in files; an int of bytes in memory."""
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that people give: lower case, digits, dot, dash, underscore; at most 64 characters."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Written(BaseModel):
    """Base of what people write: unknown keys are errors, values are frozen, no silent coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, populate_by_name=True)
