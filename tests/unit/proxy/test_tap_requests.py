"""Faults of whole messages: whom they hit, that order and framing stay, and that nothing is lost when the tap goes."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.refusal import Refusal
from harness.proxy.stage import Mark
from tests.unit.proxy.support import WAIT_S, EchoServer, TestLink
from tests.unit.proxy.tap_support import Wire, answer, made, mask, post

REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def request(n: int) -> bytes:
    return b"GET /r%d HTTP/1.1\r\nX-Request-Id: r-%d\r\n\r\n" % (n, n)


def response(n: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % n


def hits_of(count: int, *, share: float = 0.5, seed: int = 7, ordinal: int = 0) -> list[int]:
    """Which of so many requests on a connection are hit."""
    tap, log = made(stream="upstream", delay_ms=0, share=share, seed=seed)
    Wire(tap, ordinal=ordinal).up(b"".join(request(n) for n in range(count)))
    return [key[1] for key, _ in mask(log)]  # type: ignore[index]  # an id is a pair of ordinals here


# --- whom -------------------------------------------------------------------------------------------------------------


def test_the_draw_is_of_seed_connection_and_request() -> None:
    hits = hits_of(400)
    assert hits == hits_of(400)
    assert 150 < len(hits) < 250
    assert hits != hits_of(400, seed=8)
    assert hits != hits_of(400, ordinal=1)
    assert set(hits) < set(hits_of(400, share=0.8)), "a larger share hits those of the smaller, and more"
    assert hits_of(50, share=0) == []
    assert hits_of(50, share=1) == list(range(50))


def test_only_what_matches_is_hit_and_counted() -> None:
    tap, log = made(stream="upstream", status=503, match={"method": "get", "path": "/r1*"}, id="header:x-request-ID")
    wire = Wire(tap)
    wire.up(request(0) + request(1))
    wire.down(response(0))
    wire.up(post(b"{}", path="/r1"))
    wire.down(response(1))
    wire.up(request(12))
    assert mask(log) == [("r-1", ("status",)), ("r-12", ("status",))]
    counters = tap.shown()["counters"]
    assert (counters["messages"], counters["messages_damaged"], counters["mask_next"]) == (2, 2, 2)


@pytest.mark.parametrize("fault", [{"status": 503}, {"delay_ms": 0}, {"headers": {"remove": ["Content-Type"]}}])
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_without_a_hit_nothing_changes(fault: dict[str, Any], stream: str) -> None:
    wire = Wire(made(stream=stream, share=0, **fault)[0])
    up, down = request(0) + post(b"{}") + request(1), response(0) + answer(b"{}") + response(1)
    wire.up(up)
    wire.down(down)
    assert wire.out == {"upstream": up, "downstream": down}


# --- status -----------------------------------------------------------------------------------------------------------


def test_a_refused_request_is_answered_and_not_passed_on() -> None:
    tap, log = made(stream="upstream", status=503)
    wire = Wire(tap, ordinal=4)
    wire.up(post(b"{}")[:-1])
    assert wire.out["downstream"] == b""
    wire.up(b"}" + request(1))
    assert wire.out == {"upstream": b"", "downstream": REFUSED * 2}
    assert mask(log) == [([4, 0], ("status",)), ([4, 1], ("status",))]


@given(st.integers(1, 12), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_answers_come_in_the_order_of_the_requests(count: int, seed: int, random: Random) -> None:
    tap, log = made(stream="upstream", status=503, share=0.5, seed=seed)
    wire = Wire(tap)
    sent = b"".join(request(n) for n in range(count))
    at = answered = 0
    while at < len(sent) or answered < wire.out["upstream"].count(b"GET "):
        if at < len(sent) and random.random() < 0.5:
            size = random.randint(1, 60)
            wire.up(sent[at : at + size])
            at += size
        elif answered < wire.out["upstream"].count(b"GET "):
            n = int(wire.out["upstream"].split(b"GET /r")[answered + 1].split()[0])
            message = response(n)
            cut = random.randint(0, len(message))
            for part in (message[:cut], message[cut:]):
                if part:
                    wire.down(part)
            answered += 1
    hit = {key[1] for key, _ in mask(log)}  # type: ignore[index]  # an id is a pair of ordinals here
    assert wire.out["downstream"] == b"".join(REFUSED if n in hit else response(n) for n in range(count))
    assert wire.out["upstream"] == b"".join(request(n) for n in range(count) if n not in hit)
    assert wire.held() == 0


@given(st.integers(0, 120), st.integers(0, 40))
def test_removed_at_any_byte_what_waits_goes_on_to_the_upstream(gone_at: int, seed: int) -> None:
    tap, log = made(stream="upstream", status=503, share=0.5, seed=seed)
    wire = Wire(tap)
    sent = b"".join(request(n) for n in range(4))
    wire.up(sent[:gone_at])
    wire.detach()
    wire.up(sent[gone_at:])
    hit = {key[1] for key, _ in mask(log)}  # type: ignore[index]  # an id is a pair of ordinals here
    assert wire.out["upstream"] == b"".join(request(n) for n in range(4) if n not in hit)
    assert wire.out["downstream"] == REFUSED * len(hit)


def test_a_refused_request_waits_for_the_whole_of_an_earlier_answer() -> None:
    tap, _ = made(stream="upstream", status=503, match={"path": "/r1"})
    wire = Wire(tap)
    wire.up(request(0) + request(1))
    wire.down(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.down(response(0)[:-1])
    assert wire.held() == len(request(1))
    assert not wire.out["downstream"].endswith(REFUSED)
    wire.down(response(0)[-1:])
    assert wire.out["downstream"] == b"HTTP/1.1 100 Continue\r\n\r\n" + response(0) + REFUSED


def test_an_answer_to_a_head_request_has_no_body_to_wait_for() -> None:
    wire = Wire(made(stream="upstream", status=503, match={"method": "GET"})[0])
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    wire.up(b"HEAD / HTTP/1.1\r\n\r\n" + request(1))
    wire.down(head)
    assert wire.out["downstream"] == head + REFUSED


def test_when_the_upstream_ends_what_waits_is_not_held() -> None:
    wire = Wire(made(stream="upstream", status=503, match={"path": "/r1"})[0])
    wire.up(request(0) + request(1))
    wire.down(Mark.END)
    assert wire.held() == 0
    assert wire.out["upstream"] == request(0) + request(1)
    assert wire.tap.passed == {"unpaired": 1}


@pytest.mark.parametrize(
    "message", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"], ids=["old", "close"]
)
def test_who_wants_the_connection_closed_gets_it_closed(message: bytes) -> None:
    wire = Wire(made(stream="upstream", status=503)[0])
    wire.up(message)
    assert wire.out["downstream"].endswith(b"Connection: close\r\n\r\n")
    assert wire.marks["downstream"] == [Mark.END]
    wire.down(Mark.END)
    assert wire.marks["downstream"] == [Mark.END]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (post(b"{}", Expect="100-continue"), "expect"),
        (post(b"x" * 101), "too-large"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n66\r\n" + b"x" * 102 + b"\r\n0\r\n\r\n", "too-large"),
    ],
)
def test_what_can_not_be_kept_is_passed_on(message: bytes, reason: str) -> None:
    wire = Wire(made(stream="upstream", status=503, body_bytes=100)[0])
    wire.up(message + request(1))
    assert wire.out == {"upstream": message, "downstream": b""}
    wire.down(response(0))
    assert wire.out["downstream"] == response(0) + REFUSED
    assert wire.tap.passed == {reason: 1}


@pytest.mark.parametrize("status", [204, 304, 404, 418, 599])
def test_downstream_the_answer_is_replaced(status: int) -> None:
    tap, log = made(status=status, share=1)
    wire = Wire(tap)
    wire.up(request(0) + b"HEAD / HTTP/1.1\r\n\r\n" + request(2))
    wire.down(response(0) + b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    wire.down(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    wire.down(Mark.END)
    answers = wire.out["downstream"].split(b"HTTP/1.1 ")[1:]
    assert [each[:4] for each in answers] == [b"%d " % status] * 3
    assert all((b"Content-Length: 0\r\n" in each) == (status not in (204, 304)) for each in answers)
    assert wire.out["upstream"].count(b" HTTP/1.1\r\n") == 3
    assert [key for key, _ in mask(log)] == [[0, 0], [0, 1], [0, 2]]


# --- delay ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_delayed_message_and_all_behind_it_wait(stream: str) -> None:
    wire = Wire(made(stream=stream, delay_ms=100, match={"path": "/r1"})[0])
    wire.up(request(0) + request(1) + request(2))
    wire.down(response(0) + response(1) + response(2))
    sent, first = (request, request(0)) if stream == "upstream" else (response, response(0))
    assert wire.out[stream] == first
    wire.pass_time(50)
    (wire.up if stream == "upstream" else wire.down)(Mark.END)
    wire.pass_time(49)
    assert (wire.out[stream], wire.marks[stream]) == (first, [])
    assert wire.held() == len(sent(1) + sent(2))
    wire.pass_time(1)
    assert (wire.out[stream], wire.marks[stream]) == (sent(0) + sent(1) + sent(2), [Mark.END])
    assert wire.held() == 0


def test_delays_of_messages_run_at_the_same_time() -> None:
    wire = Wire(made(stream="upstream", delay_ms=100)[0])
    wire.up(request(0))
    wire.pass_time(60)
    wire.up(request(1))
    wire.pass_time(40)
    assert wire.out["upstream"] == request(0)
    wire.pass_time(60)
    assert wire.out["upstream"] == request(0) + request(1)


def test_jitter_is_drawn_evenly_around_the_delay() -> None:
    def delay_ms(ordinal: int) -> int:
        wire = Wire(made(stream="upstream", delay_ms=100, jitter_ms=50)[0], ordinal=ordinal)
        wire.up(request(0))
        for waited in range(200):
            if wire.out["upstream"]:
                return waited
            wire.pass_time(1)
        raise AssertionError("it never came")

    delays = [delay_ms(ordinal) for ordinal in range(60)]
    assert delays == [delay_ms(ordinal) for ordinal in range(60)]
    assert min(delays) in range(50, 60)
    assert max(delays) in range(140, 152)


def test_removed_what_waits_goes_on_at_once() -> None:
    wire = Wire(made(stream="upstream", delay_ms=100)[0])
    wire.up(request(0) + request(1)[:9])
    wire.detach()
    wire.up(request(1)[9:])
    assert wire.out["upstream"] == request(0) + request(1)
    assert all(timer.cancelled for timer in wire.timers)


# --- headers ----------------------------------------------------------------------------------------------------------


def test_headers_are_set_and_removed_and_the_body_stays() -> None:
    tap, log = made(headers={"set": {"Content-Type": "text/plain", "X-New": "1"}, "remove": ["etag"]})
    wire = Wire(tap)
    wire.up(request(0) + request(1))
    wire.down(answer(b"{}", ETag='"a"', Etag_Not="stays") + response(1))
    head, _, rest = wire.out["downstream"].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Etag-Not: stays",
        b"Content-Length: 2",
        b"Content-Type: text/plain",
        b"X-New: 1",
    ]
    assert rest.startswith(b"{}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n")
    assert [columns for _, columns in mask(log)] == [("headers",), ("headers",)]


def test_a_message_that_has_no_such_header_is_not_hit() -> None:
    tap, log = made(stream="upstream", headers={"remove": ["ETag"]})
    wire = Wire(tap)
    wire.up(request(0))
    assert wire.out["upstream"] == request(0)
    assert (mask(log), tap.messages, tap.messages_damaged) == ([], 1, 0)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "exactly one of corrupt, status, delay_ms, headers; none is given"),
        ({"status": 503, "delay_ms": 5}, "status and delay_ms are given"),
        ({"status": 199}, "status 199 is out of range: legal are 200 to 599"),
        ({"status": 503, "jitter_ms": 5}, "unknown field 'jitter_ms'"),
        ({"status": 503, "share": 1.5}, "share 1.5 is out of range"),
        ({"status": 503, "id": "amount"}, "legal is header: and the name of a request's header"),
        ({"delay_ms": -1}, "delay_ms -1 is out of range"),
        ({"headers": {}}, "legal are 1 to 64 names"),
        ({"headers": {"set": {"content-Length": "5"}}}, "content-Length says how messages are framed"),
        ({"headers": {"remove": ["Transfer-Encoding"]}}, "Transfer-Encoding says how"),
        ({"headers": {"set": {"X": "a\r\nb: c"}}}, "must be a text of one line"),
        ({"headers": {"set": {"X: y": "a"}}}, "'X: y' is no name of a header"),
        ({"headers": {"add": {"X": "a"}}}, "unknown field of headers 'add'"),
        ({"status": 503, "match": {"pth": "/"}}, "unknown field of match 'pth'. Did you mean 'path'?"),
    ],
)
def test_a_wrong_tap_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        made(**fields)


# --- through the proxy ------------------------------------------------------------------------------------------------


def test_through_the_proxy_a_share_is_refused_and_the_order_of_taps_is_kept(
    link_to: Callable[[int], TestLink], echo: EchoServer
) -> None:
    """The record tap, added first, sees the requests that the status tap answers, and their answers."""
    link = link_to(echo.server_port)
    talk = http.client.HTTPConnection("127.0.0.1", link.port, timeout=WAIT_S)
    add(link, name="records", stream="downstream", corrupt={"type": "scale", "factor": 100, "columns": ["amount"]})
    add(link, name="status", stream="upstream", status=503, share=0.5, id="header:X-Id", match={"path": "/x"})
    got = {}
    for n in range(40):
        talk.request("POST", "/x", b'{"id":%d,"amount":1}' % n, {"Content-Type": "application/json", "X-Id": f"i-{n}"})
        answered = talk.getresponse()
        got[f"i-{n}"] = (answered.status, answered.read())
    talk.close()
    refused = {each.id for each in link.client.tap_mask(link.name, "status").records}
    assert 5 < len(refused) < 35
    assert {key for key, (status, _) in got.items() if status == 503} == refused
    assert all(json.loads(body)["amount"] == 100 for status, body in got.values() if status == 200)
    assert len(echo.received) == 40 - len(refused)
    assert link.client.tap_counters(link.name, "records").passed == {}


def add(link: TestLink, **fields: object) -> None:
    url = f"http://{link.client.address}/proxies/{link.name}/taps"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(fields).encode()), timeout=WAIT_S) as answered:
        assert json.loads(answered.read())["name"] == fields["name"]
