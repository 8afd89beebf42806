"""Calls on the toxics of a link."""

from __future__ import annotations

from collections.abc import Mapping

from harness import seeds
from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler, updates
from harness.proxy.lease import Leases
from harness.proxy.link import STREAMS, TOXICS_MAX, Links
from harness.proxy.refusal import INVALID_STREAM, INVALID_TOXIC_TYPE, TOXIC_EXISTS, Refusal, refuse, unknown
from harness.proxy.toxic import TYPES, Toxic

TOXIC_KEYS = ("name", "type", "stream", "toxicity", "attributes", "lease")


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
        fields = call.fields()
        kind = checked.text(fields, "type")
        stream = checked.text(fields, "stream", "downstream")
        if stream not in STREAMS:
            raise refuse(INVALID_STREAM)
        if kind not in TYPES:
            # Toxiproxy's own words first: its clients show them.
            raise Refusal(f"{INVALID_TOXIC_TYPE[0]}: {unknown('type', kind, known=TYPES)}")
        checked.known_keys(fields, "field", TOXIC_KEYS)
        name = checked.text(fields, "name") or f"{kind}_{stream}"
        if any(toxic.name == name for toxic in link.toxics):
            raise refuse(TOXIC_EXISTS)
        if len(link.toxics) >= TOXICS_MAX:
            raise Refusal(f"too many toxics: at most {TOXICS_MAX}", status=409)
        toxic = Toxic(
            name=name,
            type=kind,
            stream=stream,
            toxicity=checked.share(fields, "toxicity", 1.0),
            attributes=_attributes(fields, kind, {key: a.default for key, a in TYPES[kind].attributes.items()}),
            seed=seeds.derive(link.seed, "toxic", link.name, name),
            lease=checked.text(fields, "lease"),
        )
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
        checked.known_keys(fields, "field", TOXIC_KEYS)
        attributes = _attributes(fields, toxic.type, toxic.attributes)
        toxicity = checked.share(fields, "toxicity", toxic.toxicity)
        lease = checked.text(fields, "lease", toxic.lease)
        self._leases.require(lease)
        toxic.attributes, toxic.toxicity, toxic.lease = attributes, toxicity, lease
        link.toxic_updated(toxic)
        return Answer(200, toxic.shown(counters=False))

    def _toxic_delete(self, call: Call) -> Answer:
        link = self._links.get(call.names[0])
        link.remove_toxic(link.toxic(call.names[1]))
        return Answer(204)


def _attributes(fields: Mapping[str, object], kind: str, now: Mapping[str, int]) -> dict[str, int]:
    given = checked.as_object(fields.get("attributes"), "attributes")
    legal = TYPES[kind].attributes
    checked.known_keys(given, f"attribute of {kind}", legal)
    return {
        key: checked.whole(given, key, now[key], least=attribute.least, most=attribute.most)
        for key, attribute in legal.items()
    }
