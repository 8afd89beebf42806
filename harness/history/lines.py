"""One record, one line: how a history's records become bytes, and how a run held in memory is given the same bytes.

Rejected: binary formats (a history must be readable with `less` and `jq` after a crash) and the standard `json` module
(nine times slower). What always holds: a line is one JSON object and ends in a newline; it holds no NaN and no infinity,
and text that is not valid Unicode is replaced rather than refused, because a log line of a dying service must not be
what stops the recording of its death.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from harness.history.events import AnyEvent, Gauges, LoadBucket
from harness.history.header import Header

_ENCODER = msgspec.json.Encoder()


def encode_line(record: Header | AnyEvent) -> bytes:
    """The record's line, newline included."""
    record = _finite(record)
    try:
        return _ENCODER.encode(record) + b"\n"
    except UnicodeEncodeError:
        return _ENCODER.encode(_valid_text(msgspec.to_builtins(record))) + b"\n"


def _finite(record: Header | AnyEvent) -> Header | AnyEvent:
    """Leaves out what is no number; elsewhere the encoder writes null, which those two types don't allow."""
    if isinstance(record, Gauges) and not all(map(math.isfinite, record.values.values())):
        return msgspec.structs.replace(record, values=_only_finite(record.values))
    if isinstance(record, LoadBucket) and not all(map(math.isfinite, record.latency_ms.values())):
        return msgspec.structs.replace(record, latency_ms=_only_finite(record.latency_ms))
    return record


def _only_finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _valid_text(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_valid_text(key): _valid_text(item) for key, item in value.items()}
        case list() | tuple():
            return [_valid_text(item) for item in value]
        case _:
            return value
