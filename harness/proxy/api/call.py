"""One call of the API and its answer, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.proxy import checked
from harness.proxy.refusal import Refusal, bad_body


@dataclass(frozen=True)
class Call:
    """One request. `names` are the parts of the path that the route leaves open."""

    method: str
    names: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes

    def document(self) -> object:
        if not self.body.strip():
            raise bad_body("EOF")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise bad_body(str(error)[:200]) from None

    def fields(self) -> dict[str, object]:
        return checked.as_object(self.document(), "the body")

    @property
    def counters(self) -> bool:
        return self.query.get("counters") == "1"

    def number(self, key: str, default: int, *, most: int) -> int:
        text = self.query.get(key, str(default))
        if not text.isascii() or not text.isdigit() or int(text[:30]) > most:
            raise Refusal(f"{key} must be a whole number from 0 to {most}")
        return int(text)


@dataclass(frozen=True)
class Answer:
    """`body` None for 204; `text` instead of JSON where Toxiproxy sends text."""

    status: int
    body: object = None
    text: str = ""


Handler = Callable[[Call], Answer]


def refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, {"error": refusal.message, "status": refusal.status})


def updates(handler: Handler) -> dict[str, Handler]:
    """Both verbs update, as in Toxiproxy."""
    return {"POST": handler, "PATCH": handler}
