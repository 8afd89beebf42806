"""A tap's bounds: what is beyond one passes byte for byte and is counted, and what comes after is tapped again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.proxy.refusal import Refusal
from harness.proxy.stage import Mark
from harness.proxy.tap.bounds import Pace
from tests.unit.proxy.tap_support import MS, Wire, answer, body_of, made, mask, post

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
ONE = b'{"id":1, "amount":1}'
DAMAGED = b'{"id":1,"amount":100}'


def passed(wire: Wire, message: bytes) -> bool:
    """Whether it came out as it went in."""
    before = len(wire.out["upstream"])
    wire.up(message)
    return wire.out["upstream"][before:] == message


def counters(wire: Wire) -> Any:
    return wire.tap.shown()["counters"]


@pytest.mark.parametrize(
    ("form", "body", "small"),
    [
        ("json", b'[{"amount":1},{"amount":1},{"amount":1}]', b'[{"amount":1},{"amount":1}]'),
        ("csv", b"amount\n1\n1\n1\n", b"amount\n1\n1\n"),
    ],
)
def test_more_records_than_a_batch_pass(form: str, body: bytes, small: bytes) -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE, format=form, batch=2)[0])
    assert passed(wire, post(body))
    assert not passed(wire, post(small))
    assert counters(wire)["passed"] == {"too-many-records": 1}
    assert counters(wire)["records_damaged"] == 2


def test_lines_are_taken_a_batch_at_a_time() -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE, format="ndjson", batch=2)[0])
    wire.up(post(b'{"amount":1}\n' * 5 + b'{"amount":1}'))
    assert body_of(wire.out["upstream"]) == b'{"amount":100}\n' * 5 + b'{"amount":100}'
    assert (counters(wire)["records"], counters(wire)["passed"]) == (6, {})


def test_a_body_beyond_its_bytes_passes_without_being_held() -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE, body_bytes=len(ONE))[0])
    long = post(ONE + b" ")
    wire.up(long[:-5])
    assert wire.out["upstream"] == long[:-5]
    wire.up(long[-5:])
    assert wire.out["upstream"] == long
    assert not passed(wire, post(ONE))
    assert counters(wire)["passed"] == {"too-large": 1}


def test_a_message_waits_for_its_rest_no_longer_than_the_bound() -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE, within_ms=50)[0])
    message = post(ONE)
    wire.up(message[:-5])
    wire.pass_time(49)
    assert wire.out["upstream"] == b""
    wire.pass_time(1)
    assert wire.out["upstream"] == message[:-5]
    assert passed(wire, message[-5:])
    wire.up(message[:-5])
    wire.pass_time(49)
    wire.up(message[-5:])
    wire.pass_time(10)
    assert wire.out["upstream"].endswith(DAMAGED)
    assert counters(wire)["passed"] == {"late": 1}


def test_of_two_messages_each_has_its_own_time() -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE, within_ms=50)[0])
    message = post(ONE)
    wire.up(message[:-5])
    wire.pass_time(40)
    wire.up(message[-5:] + message[:-5])
    wire.pass_time(40)
    wire.up(message[-5:])
    assert counters(wire)["passed"] == {}
    assert wire.out["upstream"].count(DAMAGED) == 2


def test_the_pace_learns_by_size_and_forgets_in_time() -> None:
    pace = Pace(within_ms=10)
    assert pace.fits(1000)
    pace.took(1000, 30 * MS)
    assert not pace.fits(1000)
    assert not pace.fits(100_000), "a larger one isn't tried"
    assert pace.fits(100), "a smaller one is"
    refused = 0
    while not pace.fits(1000):
        refused += 1
        assert refused < 20
    assert refused > 3
    pace.took(100_000, 5 * MS)
    assert pace.fits(100_000)
    assert pace.shown() == {"max": 30.0, "mean": 17.5}


def test_beyond_the_time_messages_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10**12, 20 * MS))  # each look at the clock comes 20 ms later
    monkeypatch.setattr("harness.proxy.tap.records.time", SimpleNamespace(perf_counter_ns=lambda: next(times)))
    wire = Wire(made(stream="upstream", corrupt=SCALE, within_ms=15)[0])
    assert not passed(wire, post(ONE))
    assert passed(wire, post(ONE))
    assert counters(wire)["passed"] == {"over-time": 1}
    assert counters(wire)["added_ms"] == {"max": 20.0, "mean": 20.0}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (post(ONE, Content_Encoding="gzip"), "encoded"),
        (post(ONE, Expect="100-continue"), "expect"),
        (post(ONE, content_type="text/plain"), "content-type"),
        (post(b"{}x"), "not-json"),
        (post(b"[]"), "no-records"),
        (
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + ONE + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
            "trailers",
        ),
        (b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x05hello", "upgrade"),
    ],
)
def test_what_is_not_fit_passes_and_is_counted(message: bytes, reason: str) -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE)[0])
    assert passed(wire, message)
    assert counters(wire)["passed"] == {reason: 1}


@pytest.mark.parametrize(
    ("request_head", "response"),
    [
        (b"HEAD /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"),
        (b"HEAD /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_answers_without_a_body_are_no_messages(request_head: bytes, response: bytes) -> None:
    tap, log = made(corrupt=SCALE)
    wire = Wire(tap)
    wire.up(request_head + b"GET /x HTTP/1.1\r\n\r\n")
    wire.down(response)
    assert wire.out["downstream"] == response
    wire.down(answer(ONE))
    assert wire.out["downstream"].endswith(DAMAGED)
    assert mask(log) == [(1, ("amount",))]
    assert counters(wire)["passed"] == {}
    assert counters(wire)["messages"] == 1


def test_a_tap_that_finds_an_open_connection_waits_for_a_start() -> None:
    wire = Wire(made(corrupt=SCALE)[0], fresh=False)
    wire.down(b'{"id":1,"amount":1}')
    wire.down(answer(ONE))
    assert wire.out["downstream"].endswith(ONE), "the answer to a request from before"
    wire.up(b"GET /x HTTP/1.1\r\n\r\n")
    wire.down(answer(ONE))
    assert wire.out["downstream"].endswith(DAMAGED)


def test_too_many_requests_without_an_answer_can_not_be_paired() -> None:
    wire = Wire(made(corrupt=SCALE)[0])
    wire.up(b"GET /x HTTP/1.1\r\n\r\n" * 1100)
    wire.down(answer(ONE) * 1100)
    assert wire.out["downstream"] == answer(ONE) * 1100
    assert counters(wire)["passed"] == {"unpaired": 1}


def test_a_damage_that_fails_does_not_break_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    tap, _ = made(stream="upstream", corrupt=SCALE)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tap.damaging, "_damage", broken)
    wire = Wire(tap)
    assert passed(wire, post(ONE))
    assert counters(wire)["passed"] == {"failed": 1}


def test_a_column_of_lists_is_damaged_like_any_other() -> None:
    wire = Wire(made(stream="upstream", corrupt={"type": "missing", "columns": ["v"]})[0])
    wire.up(post(b'[{"v":[1,2]},{"v":[3,4]}]'))
    assert body_of(wire.out["upstream"]) == b'[{"v":null},{"v":null}]'


def test_the_mask_names_only_what_was_written() -> None:
    tap, log = made(stream="upstream", corrupt={**SCALE, "columns": ["amount", "other"]})
    wire = Wire(tap)
    wire.up(post(b'[{"id":1,"amount":1,"other":1e308},{"id":2,"amount":1,"other":2},{"id":3,"other":1e308}]'))
    assert mask(log) == [(1, ("amount",)), (2, ("amount", "other"))]
    assert counters(wire)["passed"] == {"unwritable": 2}
    assert counters(wire)["records_damaged"] == 2


def test_a_document_with_records_beyond_counting_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.proxy.tap.formats.json.RECORDS_MAX", 2)
    wire = Wire(made(stream="upstream", corrupt=SCALE)[0])
    assert passed(wire, post(b'[{"amount":1},{"amount":1},{"amount":1}]'))
    assert counters(wire)["passed"] == {"too-many-records": 1}


def test_a_reset_lets_go_what_was_held() -> None:
    wire = Wire(made(stream="upstream", corrupt=SCALE)[0])
    wire.up(post(ONE)[:-5])
    wire.up(Mark.RESET)
    assert wire.out["upstream"] == post(ONE)[:-5]
    assert wire.marks["upstream"] == [Mark.RESET]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"corrupt": SCALE, "format": "jsn"}, "unknown format 'jsn'. Did you mean 'json'?"),
        ({"corrupt": SCALE, "batch": 0}, "batch 0 is out of range"),
        ({"corrupt": SCALE, "body_bytes": 2**40}, "body_bytes .* is out of range"),
        ({"corrupt": SCALE, "within_ms": "1"}, "within_ms must be a whole number"),
        ({"corrupt": SCALE, "share": 0.5}, "unknown field 'share'"),
        ({"corrupt": SCALE, "format": "csv", "record": "$.e"}, "only json and ndjson have a record path"),
        ({"corrupt": SCALE, "bacth": 5}, "unknown field 'bacth'. Did you mean 'batch'?"),
    ],
)
def test_wrong_bounds_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        made(**fields)
