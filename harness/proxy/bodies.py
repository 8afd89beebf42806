"""JSON as Go's decoder reads it and its encoder writes it, since Toxiproxy's clients were written against those.

Read: the first value of a body counts and what follows it doesn't, keys are matched in any case, bytes that aren't UTF-8
become U+FFFD. Not read in Go's way: NaN is no JSON. Written: `<`, `>`, `&` and the line separators are escaped.
"""

from __future__ import annotations

import json
from typing import NoReturn

from harness.proxy.refusal import bad_body

ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TABLE = str.maketrans(ESCAPED)  # these stand only within strings, so that all of the text may be looked through


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def read(body: bytes) -> object:
    """Raises Refusal."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise bad_body("EOF")
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            raise bad_body("unexpected EOF") from None
        raise bad_body(f"not JSON: {error}"[:200]) from None
    except (ValueError, RecursionError) as error:
        raise bad_body(f"not JSON: {error}"[:200]) from None
    return value


def lower_keys(value: object) -> object:
    """Of this one object. A `null` doesn't undo what was said before it."""
    if not isinstance(value, dict):
        return value
    lowered: dict[str, object] = {}
    for key, item in value.items():
        if item is not None or key.lower() not in lowered:
            lowered[key.lower()] = item
    return lowered


def write(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_TABLE).encode("utf-8", "replace")
