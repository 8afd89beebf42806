"""Fields of API bodies, each read once and checked: type, range, and no unknown key where the key is ours to know.

JSON's `true` is not a number here, and `1.5` is not a count of milliseconds, as in Toxiproxy. Values left out take
their default; so does `null`, as Go's decoder has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.proxy.refusal import Refusal, bad_body, unknown

NAME_CHARS_MAX = 200


def as_object(value: object, what: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_body(f"{what} must be an object, not {_kind(value)}")
    return value


def known_keys(body: Mapping[str, object], what: str, known: Iterable[str]) -> None:
    names = list(known)
    for key in body:
        if key not in names:
            raise Refusal(unknown(what, key, known=names))


def text(body: Mapping[str, object], key: str, default: str = "") -> str:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise bad_body(f"{key} must be a string, not {_kind(value)}")
    if len(value) > NAME_CHARS_MAX:
        raise bad_body(f"{key} is longer than {NAME_CHARS_MAX} characters")
    if not value.isascii():  # half a surrogate pair, which JSON may name, becomes U+FFFD, as with Go
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def flag(body: Mapping[str, object], key: str, default: bool) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_body(f"{key} must be true or false, not {_kind(value)}")
    return value


def whole(body: Mapping[str, object], key: str, default: int, *, least: int, most: int) -> int:
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_body(f"{key} must be a whole number from {least} to {most}, not {_kind(value)}")
    if not least <= value <= most:
        raise Refusal(f"{key} {value} is out of range: legal are {least} to {most}")
    return value


def share(body: Mapping[str, object], key: str, default: float) -> float:
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_body(f"{key} must be a number from 0 to 1, not {_kind(value)}")
    if not 0 <= value <= 1:
        raise Refusal(f"{key} {value} is out of range: legal are 0 to 1")
    return float(value)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    if isinstance(value, str):
        return f"the string '{value[:40]}'"
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(value), "that")
