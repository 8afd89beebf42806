"""From the body of an API call to a tap on Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.proxy import checked
from harness.proxy.refusal import INVALID_STREAM, Refusal, bad_body, refuse, unknown
from harness.proxy.tap import bounds, recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damaging import ROW_TYPES, Damaging
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.redis import COMMANDS, XADD, Chosen, RedisTap

STREAMS = ("upstream", "downstream")
KEYS = (
    *("name", "kind", "stream", "lease", "keys", "field", "record", "id", "commands", "corrupt"),
    *("batch", "body_bytes", "within_ms"),
)


def redis_tap(fields: Mapping[str, object], seed: int, log: Callable[[str], MaskLog]) -> RedisTap:
    """`log` gives the mask log of a tap of that name, and is asked last. Raises Refusal."""
    del seed  # the corruption has its own
    checked.known_keys(fields, "field", KEYS)
    name = checked.text(fields, "name")
    if not name:
        raise Refusal("missing required field: name")
    stream = checked.text(fields, "stream", "downstream")
    if stream not in STREAMS:
        raise refuse(INVALID_STREAM)
    chosen = Chosen(
        keys=checked.text(fields, "keys", "*"),
        field=checked.text(fields, "field"),
        record=checked.text(fields, "record", "$"),
        id_key=checked.text(fields, "id", "id"),
        commands=_commands(fields, stream),
    )
    path = recordpath.parse(chosen.record)
    if not chosen.field and (path or chosen.commands not in ((), (XADD.decode(),))):
        raise Refusal("record paths and scripts' arguments are for JSON: name the field that holds it in 'field'")
    limits = Bounds(
        batch=checked.whole(fields, "batch", bounds.BATCH, least=1, most=bounds.BATCH_MAX),
        body_bytes=checked.whole(fields, "body_bytes", bounds.BODY_BYTES, least=1, most=bounds.BODY_BYTES_MAX),
        within_ms=checked.whole(fields, "within_ms", bounds.WITHIN_MS, least=1, most=bounds.WITHIN_MS_MAX),
    )
    spec = checked.as_object(fields.get("corrupt"), "corrupt")
    if spec.get("type") in ROW_TYPES and stream == "upstream" and chosen.record == "$":
        raise Refusal(
            f"corrupt: {spec['type']} upstream is for records in a list of JSON: say where that is in 'field' and 'record', such "
            "as $[*]. A command that isn't passed on would have no reply; entries as a whole are dropped and doubled downstream"
        )
    from harness.proxy.tap.damage import damage_of  # numpy, only for those who tap records

    columns, damage = damage_of(spec)
    return RedisTap(
        name=name,
        stream=stream,
        chosen=chosen,
        bounds=limits,
        damaging=Damaging(columns, damage, log(name)),
        spec=spec,
        lease=checked.text(fields, "lease"),
    )


def _commands(fields: Mapping[str, object], stream: str) -> tuple[str, ...]:
    given = fields.get("commands")
    if stream == "downstream":
        if given is not None:
            raise Refusal("commands are for taps on upstream; downstream all reads of streams are tapped")
        return ()
    if given is None:
        return (XADD.decode(),)
    if not isinstance(given, list) or not given or not all(isinstance(name, str) for name in given):
        raise bad_body("commands must be a list of names")
    names = [str(name).upper() for name in given]
    for name in names:
        if name not in COMMANDS:
            raise Refusal(unknown("command", name, known=COMMANDS))
    return tuple(dict.fromkeys(names))
