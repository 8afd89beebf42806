"""What every file that people write shares: strictness, durations, sizes, names.

pydantic, because it reports every error of a file at once; the loader turns its locations into line and column.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h)$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)(KiB|MiB|GiB|kB|MB|GB|B)$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DURATION_MAX_S = 7 * 24 * 3600.0


def parse_duration(text: Any) -> float:
    """Seconds of a duration such as `250ms`, `8s`, `5m`, `2h`. A bare number is refused: ValueError says what is legal."""
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no duration: write a number with its unit, such as 250ms, 8s, 5m or 2h")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > DURATION_MAX_S:
        raise ValueError(f"{text!r} is longer than the 7 days that are legal")
    return seconds


def parse_size(text: Any) -> int:
    """Bytes of a size such as `96MiB`. A bare number is refused: ValueError says what is legal."""
    match = _SIZE.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no size: write a number with its unit, such as 96MiB or 2GB")
    return int(float(match[1]) * _BYTES[match[2]])


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(json_schema_extra={"type": "string"})]
"""A duration as written in files; a float of seconds in memory."""
Bytes = Annotated[int, BeforeValidator(parse_size), Field(json_schema_extra={"type": "string"})]
"""A size as written in files; an int of bytes in memory."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A name that people give: lower case, digits, dot, dash, underscore; at most 64 characters."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Written(BaseModel):
    """Base of what people write: unknown keys are errors, values are frozen, no silent coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, populate_by_name=True)
