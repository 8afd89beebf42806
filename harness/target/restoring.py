"""Taking an injected value back: compare first, restore only where it still stands. The same for every driver that reads
a point before it writes it.

Always true: nothing is touched that isn't the injected value any more; a place that can't be read is tried again until the
undo's deadline, because its holder may be restarting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.errors import HarnessError, UsageError

RETRY_S = 0.1


def restore(
    undo: Undo,
    *,
    get: Callable[[Point], Json],
    set: Callable[[Point, Json], None],
    final: tuple[type[HarnessError], ...] = (),
) -> UndoOutcome:
    """Raises what reading or setting raised last, when the deadline is over; at once what trying again can't change: a
    `UsageError` and whatever is `final`."""
    deadline = time.monotonic() + undo.deadline_s
    at_once: tuple[type[HarnessError], ...] = (UsageError, *final)
    while True:
        try:
            return _once(undo, get, set)
        except at_once:
            raise
        except HarnessError:
            if time.monotonic() + RETRY_S > deadline:
                raise
            time.sleep(RETRY_S)


def _once(undo: Undo, get: Callable[[Point], Json], set: Callable[[Point, Json], None]) -> UndoOutcome:
    kind = undo.point.kind
    now = normal(kind, get(undo.point))
    if now == normal(kind, undo.restore):
        return UndoOutcome.ALREADY
    if now != normal(kind, undo.injected):
        return UndoOutcome.REPAIRED
    set(undo.point, undo.restore)
    return UndoOutcome.RESTORED


def normal(kind: PointKind, value: Json) -> Any:
    """A value in the one form in which two are compared: defaults filled in, versions as text, 1 the same as 1.0."""
    if value is None:
        return None
    match kind:
        case PointKind.TOXIC:
            return {
                "type": value.get("type"),
                "stream": value.get("stream", "downstream"),
                "toxicity": float(value.get("toxicity", 1.0)),
                "attributes": {key: item for key, item in (value.get("attributes") or {}).items() if item != 0},
                "per": value.get("per", "connection"),
            }
        case PointKind.TAP:
            return _tap(value)
        case PointKind.ALIAS:
            return str(value)
    return value


WHOLE_MESSAGES = ("status", "delay_ms", "headers")
"""What a tap that hits messages as they are does; else it damages their records."""


def _tap(value: Any) -> dict[str, Any]:
    match = value.get("match") or {}
    where = {
        "stream": value.get("stream", "downstream"),
        "match": {
            "method": match.get("method", value.get("method", "")),
            "path": match.get("path", value.get("path", "")),
        },
    }
    does = next((key for key in WHOLE_MESSAGES if value.get(key) is not None), None)
    if does is None:
        return {
            **where,
            "record": value.get("record", "$"),
            "id": value.get("id", "id"),
            "corrupt": value.get("corrupt"),
        }
    more = {"jitter_ms": value.get("jitter_ms", 0)} if does == "delay_ms" else {}
    return {**where, "share": float(value.get("share", 1.0)), does: value[does], **more}
