"""One call of the API and its answer, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.proxy import bodies, checked
from harness.proxy.refusal import Refusal

JSON = "application/json"


@dataclass(frozen=True)
class Call:
    """One request. `names` are the parts of the path that the route leaves open."""

    method: str
    names: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes

    def document(self) -> object:
        return bodies.read(self.body)

    def fields(self) -> dict[str, object]:
        """The body's keys in small letters, and those of its `attributes`."""
        return fields_of(self.document(), "the body")

    @property
    def counters(self) -> bool:
        return self.query.get("counters") == "1"

    def number(self, key: str, default: int, *, most: int) -> int:
        text = self.query.get(key, str(default))
        if not text.isascii() or not text.isdigit() or int(text[:30]) > most:
            raise Refusal(f"{key} must be a whole number from 0 to {most}")
        return int(text)


def fields_of(value: object, what: str) -> dict[str, object]:
    fields = checked.as_object(bodies.lower_keys(value), what)
    if "attributes" in fields:
        fields["attributes"] = bodies.lower_keys(fields["attributes"])
    return fields


@dataclass(frozen=True)
class Answer:
    """`body` None for none; `text` instead of JSON where Toxiproxy sends text. `type` where it isn't the usual one."""

    status: int
    body: object = None
    text: str = ""
    type: str = ""
    location: str = ""


Handler = Callable[[Call], Answer]


def refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, {"error": refusal.message, "status": refusal.status})


def updates(handler: Handler) -> dict[str, Handler]:
    """Both verbs update, as in Toxiproxy."""
    return {"POST": handler, "PATCH": handler}
