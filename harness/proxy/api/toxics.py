"""Calls on the toxics of a link.

What Toxiproxy does was taken from the server itself: `stream` is shown as it was given, whole numbers have no point and
no exponent, `null` is for whatever isn't set, and an update doesn't look at name, type and stream. Its messages for what
can't be read begin as here ("bad request body: "), and go on in words of its language's decoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness import seeds
from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler, updates
from harness.proxy.lease import Leases
from harness.proxy.link import STREAMS, TOXICS_MAX, Link, Links
from harness.proxy.refusal import (
    INVALID_STREAM,
    INVALID_TOXIC_TYPE,
    TOXIC_EXISTS,
    Refusal,
    bad_body,
    refuse,
    unknown,
)
from harness.proxy.toxic import TYPES, Declaration, Per, Toxic

TOXIC_KEYS = ("name", "type", "stream", "toxicity", "attributes", "lease", "per")
INT64_MAX = (1 << 63) - 1
FLOAT32_MAX = 3.4028235e38


class ToxicCalls:
    def __init__(self, links: Links, leases: Leases) -> None:
        self._links = links
        self._leases = leases

    def routes(self, link: str) -> list[tuple[str, dict[str, Handler]]]:
        """`link` is the pattern of a link's path."""
        one = updates(self._toxic_update) | {"GET": self._toxic_show, "DELETE": self._toxic_delete}
        return [
            (link + "/toxics", {"GET": self._toxic_list, "POST": self._toxic_create}),
            (link + "/toxics/([^/]+)", one),
        ]

    def _toxic_list(self, call: Call) -> Answer:
        return Answer(200, self._links.get(call.names[0]).toxics_shown(counters=call.counters))

    def _toxic_create(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        toxic = _made(link, call.fields())
        self._leases.require(toxic.lease)
        link.add_toxic(toxic)
        return Answer(200, toxic.shown(counters=False))

    def _toxic_show(self, call: Call) -> Answer:
        toxic = self._links.get(call.names[0]).toxic(call.names[1])
        return Answer(200, toxic.shown(counters=call.counters))

    def _toxic_update(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        toxic = link.toxic(call.names[1])
        fields = call.fields()
        if not link.compat:
            checked.known_keys(fields, "field", TOXIC_KEYS)
        attributes = _attributes(fields, TYPES[toxic.type], toxic.attributes, compat=link.compat)
        toxicity = _toxicity(fields, toxic.toxicity, compat=link.compat)
        if _per(fields, TYPES[toxic.type], toxic.per) is not toxic.per:
            raise Refusal("per can't be changed: remove the toxic and add it anew")
        lease = checked.text(fields, "lease", toxic.lease)
        self._leases.require(lease)
        toxic.attributes, toxic.toxicity, toxic.lease = attributes, toxicity, lease
        link.toxic_updated(toxic)
        return Answer(200, toxic.shown(counters=False))

    def _toxic_delete(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        link.remove_toxic(link.toxic(call.names[1]))
        return Answer(204)


def _made(link: Link, fields: Mapping[str, object]) -> Toxic:
    """For `link`, but not yet on it."""
    kind = checked.text(fields, "type")
    stream = checked.text(fields, "stream", "downstream")
    if stream.lower() not in STREAMS:
        raise refuse(INVALID_STREAM)
    if kind not in TYPES:
        # Toxiproxy's own words first: its clients show them.
        raise Refusal(f"{INVALID_TOXIC_TYPE[0]}: {unknown('type', kind, known=TYPES)}")
    if not link.compat:
        checked.known_keys(fields, "field", TOXIC_KEYS)
    name = checked.text(fields, "name") or f"{kind}_{stream}"
    if any(toxic.name == name for toxic in link.toxics):
        raise refuse(TOXIC_EXISTS)
    if len(link.toxics) >= TOXICS_MAX:
        raise Refusal(f"too many toxics: at most {TOXICS_MAX}", status=409)
    declaration = TYPES[kind]
    return Toxic(
        name=name,
        type=kind,
        stream=stream.lower(),
        stream_given=stream,
        toxicity=_toxicity(fields, 1.0, compat=link.compat),
        attributes=_attributes(
            fields, declaration, {key: a.default for key, a in declaration.attributes.items()}, compat=link.compat
        ),
        seed=seeds.derive(link.seed, "toxic", link.name, name),
        lease=checked.text(fields, "lease"),
        per=_per(fields, declaration, Per.CONNECTION),
        compat=link.compat,
    )


def _attributes(
    fields: Mapping[str, object], declaration: Declaration, now: Mapping[str, int], *, compat: bool
) -> dict[str, int]:
    given = checked.as_object(fields.get("attributes"), "attributes")
    legal = declaration.attributes
    if not compat:
        checked.known_keys(given, f"attribute of {declaration.type}", legal)
    found: dict[str, int] = {}
    for key, attribute in legal.items():
        value = now[key] if given.get(key) is None else given[key]
        least, most = attribute.least, attribute.most
        if compat and not declaration.ours:
            least, most = -INT64_MAX - 1 if attribute.least_served is None else attribute.least_served, INT64_MAX
        if isinstance(value, bool) or not isinstance(value, int):
            raise bad_body(f"{key} must be a whole number from {least} to {most}, without a point")
        if not least <= value <= most:
            raise Refusal(f"{key} {str(value)[:40]} is out of range: legal are {least} to {most}")
        found[key] = value
    wrong = declaration.check(found)
    if wrong:
        raise Refusal(wrong)
    return found


def _toxicity(fields: Mapping[str, object], now: float, *, compat: bool) -> float:
    value = fields.get("toxicity")
    if compat and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) > FLOAT32_MAX:
            raise bad_body("toxicity is no 32-bit number")
        return float(value)
    return checked.share(fields, "toxicity", now)


def _per(fields: Mapping[str, object], declaration: Declaration, now: Per) -> Per:
    legal = [per.value for per in declaration.per]
    value = checked.text(fields, "per", now.value)
    if value not in {per.value for per in Per}:
        raise Refusal(unknown("per", value, known=legal))
    if value not in legal:
        raise Refusal(f"{declaration.type} can't be drawn per {value}: legal are {', '.join(legal)}")
    return Per(value)
