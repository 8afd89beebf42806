"""Record taps: what is damaged arrives valid and is told by id; everything else passes byte for byte."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.proxy.client import ProxyClient, ProxyRefused, TapCounters
from tests.unit.proxy.support import WAIT_S, EchoServer, Pair, TestLink, receive

SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}
NULLS = {"type": "missing", "columns": ["amount"]}
ROWS = [{"id": "t-1", "amount": 5}, {"id": "t-2", "amount": 2.5}, {"id": "t-3", "amount": None}, {"id": "t-4"}]


class Talker:
    """One keep-alive connection through the link."""

    def __init__(self, link: TestLink) -> None:
        self.link = link
        self._http = http.client.HTTPConnection("127.0.0.1", link.port, timeout=WAIT_S)

    def post(self, document: object, path: str = "/x", **headers: str) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self._http.request("POST", path, body, {"Content-Type": "application/json", **headers})
        answer = self._http.getresponse().read()
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            return answer

    def head(self) -> int:
        self._http.request("HEAD", "/x")
        answer = self._http.getresponse()
        answer.read()
        return answer.status

    def post_chunked(self, *parts: bytes) -> Any:
        self._http.request("POST", "/x", iter(parts), {"Content-Type": "application/json"}, encode_chunked=True)
        return json.loads(self._http.getresponse().read())

    def tap(
        self,
        spec: dict[str, object],
        stream: str = "upstream",
        *,
        method: str = "",
        path: str = "",
        lease: str = "",
        **rest: str,
    ) -> None:
        """With all the time that there is: on a busy machine a message may be long in coming, and work on it too."""
        does = {"stream": stream, "match": {"method": method, "path": path}, "corrupt": spec, "within_ms": 60_000}
        self.link.client.put_tap(self.link.name, "tap", does | rest, lease=lease)

    def counters(self) -> TapCounters:
        return self.link.client.tap_counters(self.link.name, "tap")

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def talker(link_to: Callable[[int], TestLink], echo: EchoServer) -> Iterator[Talker]:
    made = Talker(link_to(echo.server_port))
    yield made
    made.close()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_tap_damages_records_on_an_open_connection_and_tells_which(
    talker: Talker, echo: EchoServer, stream: str
) -> None:
    assert talker.post(ROWS) == ROWS
    talker.tap(SCALE, stream, method="POST", path="/x")
    damaged = [{"id": "t-1", "amount": 500}, {"id": "t-2", "amount": 250.0}, *ROWS[2:]]
    assert talker.post(ROWS) == damaged
    assert json.loads(echo.received[-1]) == (damaged if stream == "upstream" else ROWS)
    page = talker.link.client.tap_mask(talker.link.name, "tap")
    assert [(record.id, record.columns) for record in page.records] == [("t-1", ("amount",)), ("t-2", ("amount",))]
    assert talker.counters() == TapCounters(
        messages=1, messages_damaged=1, records=4, records_damaged=2, mask_next=2, mask_dropped=0, passed={}
    )
    talker.link.client.remove_tap(talker.link.name, "tap")
    assert talker.post(ROWS) == ROWS


def test_the_mask_of_a_removed_tap_stays_readable_and_pages(talker: Talker) -> None:
    client, name = talker.link.client, talker.link.name
    talker.tap(NULLS)
    assert talker.post([{"id": n, "amount": 1.0} for n in range(5)]) == [{"id": n, "amount": None} for n in range(5)]
    client.remove_tap(name, "tap")
    first = client.tap_mask(name, "tap", limit=3)
    rest = client.tap_mask(name, "tap", after=first.next)
    assert [record.id for record in (*first.records, *rest.records)] == [0, 1, 2, 3, 4]
    assert client.tap_mask(name, "tap", after=rest.next).next == rest.next
    with pytest.raises(ProxyRefused, match="tap not found"):
        client.tap_counters(name, "tap")
    talker.tap(NULLS)
    talker.post({"id": "one", "amount": 1.0})
    assert [record.id for record in client.tap_mask(name, "tap", after=rest.next).records] == ["one"]


def test_records_are_found_by_their_path(talker: Talker) -> None:
    talker.tap(SCALE, record="$.entries[*][1]", id="key")
    sent = {"entries": [[7, {"key": "a", "amount": 1}], [8, {"key": "b", "amount": 2}]], "amount": 3}
    got = {"entries": [[7, {"key": "a", "amount": 100}], [8, {"key": "b", "amount": 200}]], "amount": 3}
    assert talker.post(sent) == got


def test_how_records_are_batched_changes_nothing(talker: Talker) -> None:
    talker.tap(NULLS | {"dose": 0.5, "seed": 3})
    rows = [{"id": f"t-{n}", "amount": 1} for n in range(60)]
    together = talker.post(rows)
    apart = [talker.post(row) for row in rows[:30]] + talker.post(rows[30:])
    assert together == apart
    assert 15 < sum(row["amount"] is None for row in together) < 45


def test_only_one_producer(talker: Talker) -> None:
    talker.tap(SCALE | {"mechanism": {"kind": "where", "column": "client", "equals": "b"}})
    rows = [{"id": n, "amount": 1, "client": "ab"[n % 2]} for n in range(4)]
    assert [row["amount"] for row in talker.post(rows)] == [1, 100, 1, 100]


def test_chunked_bodies_are_tapped_in_both_directions(talker: Talker, echo: EchoServer) -> None:
    talker.tap(SCALE)
    assert talker.post_chunked(b'[{"id":1,', b'"amount":1}', b"]") == [{"id": 1, "amount": 100}]
    talker.link.client.remove_tap(talker.link.name, "tap")
    talker.tap(SCALE, "downstream")
    assert talker.post([{"id": 1, "amount": 1}], "/chunked") == [{"id": 1, "amount": 100}]
    assert talker.post([{"id": 2, "amount": 1}], "/chunked") == [{"id": 2, "amount": 100}]


def test_a_head_answer_has_no_body_to_wait_for(talker: Talker) -> None:
    talker.tap(SCALE, "downstream")
    assert talker.head() == 200
    assert talker.post({"id": 1, "amount": 1}) == {"id": 1, "amount": 100}


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b'{"id": 1,  "amount": ', {}, "not-json"),
        (b'{"id": 1,  "amount": NaN}', {}, "not-json"),
        (b"[" * 100_000, {}, "not-json"),
        (b'"amount"', {}, "no-records"),
        (b'[{"id": 1,  "amount": 1}]' + b" " * 1_100_000, {}, "too-large"),
        (gzip.compress(b'{"id": 1, "amount": 1}', mtime=0), {"Content-Encoding": "gzip"}, "encoded"),
        (b'{"id": 1,  "amount": 1}', {"Content-Type": "text/plain"}, "content-type"),
        (b'{"id": 1,  "amount": 1e308}', {}, "unwritable"),
    ],
)
def test_what_cannot_be_damaged_passes_byte_for_byte_and_is_counted(
    talker: Talker, echo: EchoServer, body: bytes, headers: dict[str, str], reason: str
) -> None:
    talker.tap(SCALE)
    talker.post(body, **headers)
    assert echo.received[-1] == body
    assert talker.counters().passed == {reason: 1}
    assert talker.post({"id": 1, "amount": 1}) == {"id": 1, "amount": 100}, "the next message is tapped again"


def test_a_message_without_damage_passes_byte_for_byte(talker: Talker, echo: EchoServer) -> None:
    talker.tap(SCALE | {"dose": 0.0})
    body = b'{ "amount":   1.50, "id": "a" }'
    talker.post(body)
    talker.post(body, "/other")
    assert echo.received[-2:] == [body, body]


def test_what_does_not_match_is_neither_damaged_nor_counted(talker: Talker) -> None:
    talker.tap(SCALE, method="POST", path="/y/*")
    assert talker.post({"id": 1, "amount": 1}) == {"id": 1, "amount": 1}
    assert talker.post({"id": 1, "amount": 1}, "/y/z?q=1") == {"id": 1, "amount": 100}
    assert talker.counters().messages == 1


def test_what_is_no_http_passes(pair: Pair) -> None:
    pair.link.client.add_tap(pair.link.name, name="tap", stream="upstream", corrupt=SCALE)
    pair.client.sendall(b"\x00\x01 whatever")
    assert receive(pair.server, 11) == b"\x00\x01 whatever"


def test_a_half_received_message_is_given_on_when_the_tap_goes(pair: Pair) -> None:
    pair.link.client.add_tap(pair.link.name, name="tap", stream="upstream", corrupt=SCALE)
    start = b'POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n{"amount"'
    pair.client.sendall(start)
    pair.link.client.remove_tap(pair.link.name, "tap")
    assert receive(pair.server, len(start)) == start
    pair.client.sendall(b":    12345}")
    pair.client.shutdown(socket.SHUT_WR)
    assert receive(pair.server, 11) == b":    12345}"


def test_a_tap_goes_with_its_lease(talker: Talker, client: ProxyClient) -> None:
    client.renew_lease("tapped", ttl_ms=60_000)
    talker.tap(SCALE, lease="tapped")
    assert talker.post({"amount": 1}) == {"amount": 100}
    client.drop_lease("tapped")
    assert talker.post({"amount": 1}) == {"amount": 1}


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ({"corrupt": {"type": "scal", "columns": ["a"]}}, "corrupt: type: unknown 'scal'. Did you mean 'scale'?"),
        ({"corrupt": {"type": "scale", "columns": ["a"]}}, "corrupt: factor: missing; scale needs it"),
        ({"corrupt": SCALE, "record": "entries"}, "record 'entries' is no record path"),
        ({"corrupt": SCALE, "stream": "up"}, "stream was invalid"),
        ({"corrupt": SCALE, "lease": "none"}, "lease not found"),
    ],
)
def test_a_wrong_tap_is_refused(pair: Pair, rest: dict[str, Any], says: str) -> None:
    with pytest.raises(ProxyRefused, match=says):
        pair.link.client.add_tap(pair.link.name, name="tap", **rest)
