"""From the body of an API call to a tap on HTTP messages. One of four keys says what it does: `corrupt`, `status`,
`delay_ms`, `headers`; the keys beside it are those of its kind, and any other is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.proxy import checked
from harness.proxy.refusal import INVALID_STREAM, Refusal, bad_body, refuse, unknown
from harness.proxy.tap import bounds, recordpath
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damaging import ROW_TYPES, Damaging
from harness.proxy.tap.delay import DelayTap
from harness.proxy.tap.formats import AUTO, FORMATS, Wanted
from harness.proxy.tap.http import Place
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.match import Match
from harness.proxy.tap.records import RecordTap
from harness.proxy.tap.relabel import FORBIDDEN, NAME, VALUE, HeaderTap
from harness.proxy.tap.requests import HEADER_ID, Draw
from harness.proxy.tap.status import STATUS_LEAST, STATUS_MOST, StatusTap
from harness.proxy.tap.tap import Tap

Fields = Mapping[str, object]

STREAMS = ("upstream", "downstream")
PLACE_KEYS = ("name", "kind", "stream", "match", "lease")
BOUND_KEYS = ("body_bytes", "within_ms")
DELAY_MS_MAX = 3_600_000
HEADERS_MAX = 64


def http_tap(fields: Fields, seed: int, log: Callable[[str], MaskLog]) -> Tap:
    """`log` gives the mask log of a tap of that name, and is asked last. Raises Refusal."""
    faults = [key for key in _MAKERS if fields.get(key) is not None]
    if len(faults) != 1:
        found = f"{' and '.join(faults)} are given" if faults else "none is given"
        raise Refusal(f"a tap has exactly one of {', '.join(_MAKERS)}; {found}")
    maker, keys = _MAKERS[faults[0]]
    checked.known_keys(fields, "field", (*PLACE_KEYS, faults[0], *keys))
    return maker(fields, _place(fields), seed, log)


def _place(fields: Fields) -> Place:
    name = checked.text(fields, "name")
    if not name:
        raise Refusal("missing required field: name")
    stream = checked.text(fields, "stream", "downstream")
    if stream not in STREAMS:
        raise refuse(INVALID_STREAM)
    matching = checked.as_object(fields.get("match"), "match")
    checked.known_keys(matching, "field of match", ("method", "path"))
    match = Match(checked.text(matching, "method").upper(), checked.text(matching, "path"))
    return Place(name=name, stream=stream, match=match, lease=checked.text(fields, "lease"))


def _bounds(fields: Fields) -> Bounds:
    return Bounds(
        batch=checked.whole(fields, "batch", bounds.BATCH, least=1, most=bounds.BATCH_MAX),
        body_bytes=checked.whole(fields, "body_bytes", bounds.BODY_BYTES, least=1, most=bounds.BODY_BYTES_MAX),
        within_ms=checked.whole(fields, "within_ms", bounds.WITHIN_MS, least=1, most=bounds.WITHIN_MS_MAX),
    )


def _draw(fields: Fields, seed: int) -> Draw:
    id_key = checked.text(fields, "id")
    if id_key and (not id_key.startswith(HEADER_ID) or not NAME.fullmatch(id_key.removeprefix(HEADER_ID))):
        raise Refusal(f"id '{id_key}': of whole messages, legal is {HEADER_ID} and the name of a request's header")
    return Draw(seed=seed, share=checked.share(fields, "share", 1.0), id_key=id_key)


def _record_tap(fields: Fields, place: Place, seed: int, log: Callable[[str], MaskLog]) -> Tap:
    del seed  # the corruption has its own
    form = checked.text(fields, "format", AUTO)
    if form != AUTO and form not in FORMATS:
        raise Refusal(unknown("format", form, known=(AUTO, *FORMATS)))
    record = checked.text(fields, "record", "$")
    path = recordpath.parse(record)
    if path and form in ("csv", "oip"):
        raise Refusal(f"record '{record}': only json and ndjson have a record path")
    limits = _bounds(fields)
    spec = checked.as_object(fields.get("corrupt"), "corrupt")
    if spec.get("type") in ROW_TYPES:
        _check_rows(str(spec["type"]), form, record)
    from harness.proxy.tap.damage import damage_of  # numpy, only for those who tap records

    columns, damage = damage_of(spec)
    wanted = Wanted(path, checked.text(fields, "id", "id"), columns)
    damaging = Damaging(columns, damage, log(place.name))
    return RecordTap(place, damaging, wanted=wanted, bounds=limits, form=form, record=record, spec=spec)


def _check_rows(kind: str, form: str, record: str) -> None:
    if form == "oip":
        raise Refusal(f"corrupt: {kind} is for records in a list; in oip the n-th elements of all tensors make one")
    if form == "json" and record == "$":
        raise Refusal(
            f"corrupt: {kind} is for records in a list, and record '$' may be one alone: say where the list is, such as $[*] or "
            "$.entries[*]"
        )


def _status_tap(fields: Fields, place: Place, seed: int, log: Callable[[str], MaskLog]) -> Tap:
    status = checked.whole(fields, "status", 0, least=STATUS_LEAST, most=STATUS_MOST)
    draw, limits = _draw(fields, seed), _bounds(fields)
    return StatusTap(place, draw, log(place.name), status=status, bounds=limits)


def _delay_tap(fields: Fields, place: Place, seed: int, log: Callable[[str], MaskLog]) -> Tap:
    delay_ms = checked.whole(fields, "delay_ms", 0, least=0, most=DELAY_MS_MAX)
    jitter_ms = checked.whole(fields, "jitter_ms", 0, least=0, most=DELAY_MS_MAX)
    draw = _draw(fields, seed)
    return DelayTap(place, draw, log(place.name), delay_ms=delay_ms, jitter_ms=jitter_ms)


def _header_tap(fields: Fields, place: Place, seed: int, log: Callable[[str], MaskLog]) -> Tap:
    headers = checked.as_object(fields.get("headers"), "headers")
    checked.known_keys(headers, "field of headers", ("set", "remove"))
    sets = {name: _value(name, given) for name, given in checked.as_object(headers.get("set"), "headers.set").items()}
    removes = headers.get("remove") or []
    if not isinstance(removes, list):
        raise bad_body("headers.remove must be a list of names")
    names = [*sets, *removes]
    if not 1 <= len(names) <= HEADERS_MAX:
        raise Refusal(f"headers: legal are 1 to {HEADERS_MAX} names in set and remove")
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Refusal(f"headers: '{str(name)[:100]}' is no name of a header")
        if name.lower() in FORBIDDEN:
            raise Refusal(f"headers: {name} says how messages are framed or belongs to one hop; it can't be changed")
    draw = _draw(fields, seed)
    return HeaderTap(place, draw, log(place.name), sets=sets, removes=removes)


def _value(name: str, value: object) -> str:
    if not isinstance(value, str) or not VALUE.fullmatch(value):
        raise Refusal(f"headers.set: the value of {name[:100]} must be a text of one line in Latin-1")
    return value


_MAKERS: dict[str, tuple[Callable[[Fields, Place, int, Callable[[str], MaskLog]], Tap], tuple[str, ...]]] = {
    "corrupt": (_record_tap, ("format", "record", "id", "batch", *BOUND_KEYS)),
    "status": (_status_tap, ("share", "id", *BOUND_KEYS)),
    "delay_ms": (_delay_tap, ("share", "id", "jitter_ms")),
    "headers": (_header_tap, ("share", "id")),
}
