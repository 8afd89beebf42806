"""The same bytes on every machine: floats of a scorecard are rounded to 6 significant digits, keys stand in one order.

Six digits are more than any clock here gives and fewer than where two machines' arithmetic could differ. A float that is no
number is a defect of the scorer and is refused, never written as null.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from harness.errors import ImpossibleEventError
from harness.history.scorecard import Scorecard


def rounded(card: Scorecard) -> Scorecard:
    """The scorecard with every float rounded."""
    return msgspec.convert(_rounded(msgspec.to_builtins(card)), Scorecard)


def encode(card: Scorecard) -> bytes:
    """The bytes of scorecard.json: indented by two, keys in the order of the record, a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(card, order="deterministic"), indent=2) + b"\n"


def decode(data: bytes) -> Scorecard:
    """The scorecard of these bytes."""
    return msgspec.json.decode(data, type=Scorecard)


def _rounded(value: Any) -> Any:
    match value:
        case bool():
            return value
        case float():
            if not math.isfinite(value):
                raise ImpossibleEventError(f"the scorer made a {value}, which is no measurement")
            return float(f"{value:.6g}") + 0.0  # adding zero turns -0.0 into 0.0
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case _:
            return value
