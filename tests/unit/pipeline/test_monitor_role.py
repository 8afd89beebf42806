"""The monitor's calls, its deliveries and its client, over real connections of one process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.monitor import webhook
from pipeline.monitor.alerts import AlertBook, Notice
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.role import HEARTBEAT, HEARTBEAT_S, make
from pipeline.monitor.rules import parse_rules
from pipeline.monitor.watch import WATCHED
from pipeline.monitor.webhook import QUEUE_MAX, Courier
from pipeline.monitor.wire import Wire, WireError
from pipeline.web import Service, Setup

Reply = Callable[[bytes], bytes | None]


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that answers each request with `reply(request)`, or hangs up on None; gives its address and a list
    that has an entry for each connection."""
    connections: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                answer = reply(head + await reader.readexactly(length))
                if answer is None:
                    return
                writer.write(answer)
        except (EOFError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()


def response(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(100):
            return await work()

    return asyncio.run(bounded())


# -- the client -------------------------------------------------------------------------------------------------


def test_wire_keeps_one_connection_and_reads_whole_bodies():
    big = json.dumps({"x": "y" * 500_000}).encode()

    async def work() -> tuple[int, int]:
        async with serving(lambda _request: response(big)) as (url, connections):
            wire = Wire(url, timeout_s=60.0)
            sizes = [len((await wire.get("/a")).body) for _ in range(3)]
            wire.close()
            return sum(sizes), len(connections)

    assert run(work) == (3 * len(big), 1)


def test_wire_asks_again_when_the_kept_connection_was_closed():
    async def work() -> tuple[list[Any], int]:
        hang_up: list[bool] = []

        def reply(_request: bytes) -> bytes | None:
            return None if hang_up and hang_up.pop() else response(b"{}")

        async with serving(reply) as (url, connections):
            wire = Wire(url, timeout_s=60.0)
            answers = [await wire.get_json("/a")]
            hang_up.append(True)
            answers.append(await wire.get_json("/a"))
            wire.close()
            return answers, len(connections)

    assert run(work) == ([{}, {}], 2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(b"{}", "503 Service Unavailable"), "status 503"),
        (response(b"{"), "not JSON"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "content length"),
        (None, "IncompleteReadError"),
    ],
)
def test_wire_refuses_what_is_no_answer(answer: bytes | None, message: str):
    async def work() -> None:
        async with serving(lambda _request: answer) as (url, _):
            await Wire(url, timeout_s=60.0).get_json("/a")

    with pytest.raises(WireError, match=message):
        run(work)


def test_wire_gives_up_on_a_peer_that_accepts_and_says_nothing():
    async def work() -> None:
        async with serving(lambda _request: b"") as (url, _):
            await Wire(url, timeout_s=0.1).get("/a")

    with pytest.raises(WireError, match="no answer within"):
        run(work)


# -- the courier ------------------------------------------------------------------------------------------------

RULE_FILE = """
groups:
  - name: g
    rules:
      - {alert: A, expr: g > 0, labels: {severity: page, layer: data}, annotations: {summary: a}}
      - {alert: B, expr: g > 0, labels: {severity: page, layer: data}, annotations: {summary: b}}
"""


def notices() -> list[Notice]:
    gauges = Gauges()
    gauges.set("g", 1.0)
    return AlertBook(parse_rules(RULE_FILE)).evaluate(gauges.reading(), 1.8e9)


def delivered(replies: list[str], *, forget: bool = False) -> tuple[list[str], Courier]:
    """The alert names of the bodies received, in order, when the receiver answers with these statuses, then 200."""

    async def work() -> tuple[list[str], Courier]:
        names: list[str] = []

        def reply(request: bytes) -> bytes:
            names.append(json.loads(request.partition(b"\r\n\r\n")[2])["groupLabels"]["alertname"])
            return response(b"", replies.pop(0) if replies else "200 OK")

        async with serving(reply) as (url, _):
            courier = Courier(url + "/hook", receiver="r", own_url="u")
            courier.send(notices())
            if forget:
                courier.forget()
            await courier.deliver()
            await courier.close()
            return names, courier

    return run(work)


def test_each_rule_is_a_body_of_its_own_in_order():
    names, courier = delivered([])
    assert (names, courier.delivered, courier.dropped) == (["A", "B"], 2, 0)


def test_a_refused_delivery_is_tried_again():
    names, courier = delivered(["500 No", "500 No"])
    assert (names, courier.delivered, courier.dropped) == (["A", "A", "A", "B"], 2, 0)


def test_what_is_forgotten_is_not_sent():
    names, courier = delivered([], forget=True)
    assert (names, courier.delivered) == ([], 0)


def test_a_receiver_that_is_gone_costs_a_bounded_number_of_notices():
    async def work() -> Courier:
        courier = Courier("http://127.0.0.1:9/hook", receiver="r", own_url="u")
        for _ in range(QUEUE_MAX):
            courier.send(notices())
        await courier.close()
        return courier

    assert run(work).dropped == QUEUE_MAX


def test_what_is_tried_once_keeps_nothing_waiting():
    async def work() -> tuple[list[str], Courier]:
        names: list[str] = []

        def reply(request: bytes) -> bytes:
            names.append(json.loads(request.partition(b"\r\n\r\n")[2])["groupLabels"]["alertname"])
            return response(b"", "500 No" if names == ["A"] else "200 OK")

        async with serving(reply) as (url, _):
            courier = Courier(url + "/hook", receiver="r", own_url="u", once=frozenset({"A"}))
            courier.send(notices())
            await courier.deliver()
            await courier.close()
            return names, courier

    names, courier = run(work)
    assert (names, courier.delivered, courier.dropped, courier.failed) == (["A", "B"], 1, 1, 0)


def test_attempts_that_nobody_took_are_counted_until_one_is_taken():
    async def work() -> list[int]:
        replies, counts = ["500 No", "500 No", "200 OK"], []
        async with serving(lambda _request: response(b"", replies.pop(0))) as (url, _):
            courier = Courier(url, receiver="r", own_url="u", once=frozenset({"A", "B"}))
            for _ in range(3):
                courier.send(notices()[:1])
                await courier.deliver()
                counts.append(courier.failed)
            await courier.close()
        return counts

    assert run(work) == [1, 2, 0]


def test_another_address_waits_for_no_attempt_at_the_old_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook, "BACKOFF_S", 1000.0)

    async def work() -> tuple[list[bool], list[str], int]:
        names: list[str] = []

        def reply(request: bytes) -> bytes:
            names.append(json.loads(request.partition(b"\r\n\r\n")[2])["groupLabels"]["alertname"])
            return response(b"")

        async with serving(reply) as (url, _):
            courier = Courier("http://127.0.0.1:9/hook", receiver="r", own_url="u")
            courier.send(notices())
            trying = asyncio.create_task(courier.deliver())
            while not courier.failed:
                await asyncio.sleep(0.01)
            moved = [courier.redirect(url), courier.redirect(url)]
            courier.send(notices()[1:])
            await trying
            await courier.close()
            return moved, names, courier.failed

    assert run(work) == ([True, False], ["B"], 0)


# -- the role ---------------------------------------------------------------------------------------------------


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    nobody = {f"{name.upper().replace('-', '_')}_URL": "http://127.0.0.1:9" for name in WATCHED}
    return Setup("monitor", "127.0.0.1", 1, tmp_path, 7, nobody)


class Calls:
    """Calls to a role without its loops: nothing is polled, so nothing changes by itself."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async def work() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._service.app())
            async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
                return await client.request(method, path, json=body)

        return run(work)


@pytest.fixture
def call(setup: Setup) -> Calls:
    return Calls(make(setup))


def test_a_threshold_is_a_setting_that_shows_in_fingerprint_and_rules(call: Calls):
    before = call("GET", "/rules/fingerprint").json()["sha256"]
    assert call("PATCH", "/config", {"threshold_CanaryWrong": 0.9}).status_code == 200
    assert call("GET", "/rules/fingerprint").json()["sha256"] != before
    assert call("PATCH", "/config", {"threshold_Nothing": 1.0}).status_code == 400
    assert call("POST", "/admin/reset").status_code == 200
    assert call("GET", "/rules/fingerprint").json()["sha256"] == before


def test_a_silence_is_listed_survives_a_restart_and_leaves_the_fingerprint(call: Calls, setup: Setup):
    before = call("GET", "/rules/fingerprint").json()
    assert call("POST", "/ops/silence", {"rule": "CanaryWrong", "for_s": 60.0}).status_code == 200
    again = Calls(make(setup))
    (silence,) = again("GET", "/silences").json()["records"]
    assert silence["rule"] == "CanaryWrong"
    assert silence["until"] > time.time() + 30
    assert again("GET", "/rules/fingerprint").json() == before
    again("POST", "/admin/reset")
    assert again("GET", "/silences").json()["records"] == []
    assert Calls(make(setup))("GET", "/silences").json()["records"] == []


@pytest.mark.parametrize("body", [{"rule": "Nothing", "for_s": 1.0}, {"rule": "LowQuality", "for_s": -1.0}, {}])
def test_a_silence_that_makes_no_sense_is_refused(call: Calls, body: dict[str, Any]):
    assert 400 <= call("POST", "/ops/silence", body).status_code < 500


def test_quality_and_gauges_are_there_before_the_first_row(call: Calls):
    call("POST", "/admin/reset")
    assert call("GET", "/quality").json()["overall"] > 0.97
    assert call("GET", "/query?name=monitor_fallback_share").json()["value"] == 0.0
    many = call("GET", "/query?name=monitor_null_share").json()
    assert (many["max"], many['{column="amount"}']) == (0.0, 0.0)
    most = call("GET", "/query?name=monitor_client_amount_shift_decades").json()
    assert most[f'{{client="{most["max_client"]}"}}'] == most["max"] > most["min"]
    assert call("GET", "/query?name=monitor_nothing").status_code == 404
    assert call("GET", "/query?name=1+1").status_code == 400
    assert 'monitor_null_share{column="amount"} 0.0' in call("GET", "/metrics").text


def test_alerts_and_rules_answer_as_prometheus_does(call: Calls):
    assert call("GET", "/api/v1/alerts").json() == {"status": "success", "data": {"alerts": []}}
    groups = call("GET", "/api/v1/rules").json()["data"]["groups"]
    assert {"name", "query", "duration", "state"} <= groups[0]["rules"][0].keys()


def test_annotations_are_kept_as_records(call: Calls):
    call("POST", "/ops/annotate", {"text": "sale begins"})
    assert [record["text"] for record in call("GET", "/annotations").json()["records"]] == ["sale begins"]


def test_a_gauge_has_the_name_that_the_settings_give_it_over_a_restart(call: Calls, setup: Setup):
    call("POST", "/admin/reset")
    old, new = "monitor_gateway_latency_p95_seconds", "monitor_decision_latency_p95_seconds"
    assert call("PATCH", "/config", {"rename_metric": f"{old}={new}"}).status_code == 200
    for asked in (call, Calls(make(setup))):
        asked("POST", "/ops/annotate", {"text": "looked"})
        assert asked("GET", f"/query?name={old}").status_code == 404
    assert call("GET", f"/query?name={new}").json()["value"] == 0.0
    page = call("GET", "/metrics").text
    assert f"\n{new} " in page
    assert f"\n{old} " not in page
    call("PATCH", "/config", {"rename_metric": ""})
    assert call("GET", f"/query?name={old}").json()["value"] == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"rename_metric": "latency"},
        {"rename_metric": "monitor_a=up"},
        {"pager_address": "pager"},
        {"pager_address": "http://user:word@pager/"},
    ],
)
def test_settings_that_lead_nowhere_are_refused(call: Calls, wrong: dict[str, Any]):
    assert call("PATCH", "/config", wrong).status_code == 400


def test_the_heartbeat_comes_at_every_second_evaluation_and_pages_at_the_address_that_is_set(setup: Setup):
    """Half a second apart, give or take some milliseconds."""
    rule = parse_rules(RULE_FILE.replace("alert: A,", "alert: Watchdog,"))
    book = AlertBook(rule, repeats_s={HEARTBEAT: HEARTBEAT_S})
    gauges = Gauges()
    gauges.set("g", 1.0)
    told = [
        [notice.alert.rule.name for notice in book.evaluate(gauges.reading(), 1.8e9 + number * 0.5 + jitter)]
        for number, jitter in enumerate([0.0, 0.02, -0.03, 0.03, -0.05, 0.0])
    ]
    assert told == [["Watchdog", "B"], [], ["Watchdog"], [], ["Watchdog"], []]
    book.tell_again()
    assert [notice.alert.rule.name for notice in book.evaluate(gauges.reading(), 1.8e9 + 2.6)] == ["Watchdog", "B"]
