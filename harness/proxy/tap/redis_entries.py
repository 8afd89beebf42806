"""Stream entries in Redis's replies and commands, and where in the bytes their values stand.

What doesn't look exactly as the command's reply must look is no entry: an id is two numbers, a key and all fields are
texts. That is strict on purpose. On connections older than the tap a reply is known by this look alone, and what was
told apart wrongly must never be damaged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.proxy.tap.redis_dialogue import Asked, Shape
from harness.proxy.tap.redis_values import Value

_ID = re.compile(rb"\d{1,20}-\d{1,20}")
_ID_GIVEN = re.compile(rb"\*|\d{1,20}(-(\d{1,20}|\*))?")
_ALONE = frozenset((b"NOMKSTREAM", b"KEEPREF", b"DELREF", b"ACKED"))
_ARGUMENTS = {b"IDMPAUTO": 1, b"IDMP": 2, b"LIMIT": 1}
_TRIM = frozenset((b"MAXLEN", b"MINID"))

SCRIPTS = frozenset((b"EVAL", b"EVALSHA", b"FCALL"))


@dataclass(frozen=True)
class Entry:
    """`fields` are names and values in turn. `id` is empty where Redis has yet to give one. In a reply, `inside` is the list
    that the entry stands in, and `at` its position there."""

    key: bytes
    id: bytes
    fields: tuple[Value, ...]
    inside: Value | None = None
    at: int = 0


def in_reply(value: Value, asked: Asked | None) -> list[Entry] | None:
    """The entries in a reply; None if it isn't one of entries. Without `asked`, only where the key stands in it."""
    shape = Shape.STREAMS if asked is None else asked.shape
    if shape is Shape.STREAMS:
        return _streams(value)
    key = asked.key if asked is not None else b""
    if shape is Shape.ENTRIES:
        return _entries(value, key)
    if shape is Shape.CLAIMED and value.is_list and len(value.items) in (2, 3) and value.items[0].is_text:
        return _entries(value.items[1], key)
    return None


def _streams(value: Value) -> list[Entry] | None:
    if value.kind == "%":
        pairs: Sequence[Sequence[Value]] = list(zip(value.items[::2], value.items[1::2], strict=True))
    elif value.is_list:
        pairs = [item.items for item in value.items]
    else:
        return None
    found: list[Entry] = []
    for pair in pairs:
        entries = _entries(pair[1], pair[0].text) if len(pair) == 2 and pair[0].is_text else None
        if entries is None:
            return None
        found += entries
    return found


def _entries(value: Value, key: bytes) -> list[Entry] | None:
    if not value.is_list:
        return None
    found: list[Entry] = []
    for at, item in enumerate(value.items):
        if item.kind == "_" or (item.is_text and _ID.fullmatch(item.text)):
            continue  # an entry that is gone, or JUSTID
        if len(item.items) < 2 or not item.items[0].is_text or not _ID.fullmatch(item.items[0].text):
            return None
        fields = item.items[1]
        if fields.kind == "_":
            continue  # delivered once, deleted since
        if not fields.is_list or len(fields.items) % 2 or not all(text.is_text for text in fields.items):
            return None
        found.append(Entry(key, item.items[0].text, fields.items, value, at))
    return found


def in_xadd(words: Sequence[Value]) -> Entry | None:
    """The entry that an XADD adds; None if its options aren't known."""
    at = 2
    while at < len(words):
        option = words[at].text.upper()
        if option in _ALONE:
            at += 1
        elif option in _TRIM:
            at += 3 if at + 1 < len(words) and words[at + 1].text in (b"=", b"~") else 2
        elif option in _ARGUMENTS:
            at += 1 + _ARGUMENTS[option]
        else:
            break
    if at >= len(words) or not _ID_GIVEN.fullmatch(words[at].text):
        return None
    fields = tuple(words[at + 1 :])
    if not fields or len(fields) % 2:
        return None
    given = words[at].text
    return Entry(words[1].text, given if _ID.fullmatch(given) else b"", fields)


def in_script(words: Sequence[Value]) -> tuple[list[bytes], list[Value]] | None:
    """Keys and arguments of EVAL, EVALSHA, FCALL; None where the count of keys is none."""
    count = words[2].text if len(words) > 2 else b""
    if not count.isdigit() or len(count) > 6 or 3 + int(count) > len(words):
        return None
    first = 3 + int(count)
    return [word.text for word in words[3:first]], list(words[first:])
