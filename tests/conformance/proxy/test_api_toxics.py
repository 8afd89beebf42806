"""Toxics over the API: bodies to the byte, statuses, errors. What they do is in test_toxics.py."""

from __future__ import annotations

import pytest

from tests.conformance.proxy.peers import Link
from tests.conformance.proxy.servers import Server

ATTRIBUTES = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
}


def body(name: str, kind: str, attributes: str, *, stream: str = "downstream", toxicity: str = "1") -> str:
    return f'{{"attributes":{attributes},"name":"{name}","type":"{kind}","stream":"{stream}","toxicity":{toxicity}}}'


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_every_toxic_from_its_making_to_its_end(server: Server, link: Link, kind: str) -> None:
    toxics = f"/proxies/{link.name}/toxics"
    values = {key: 40 - n for n, key in enumerate(ATTRIBUTES[kind])}
    shown = "{" + ",".join(f'"{key}":{value}' for key, value in values.items()) + "}"
    made = server.ask("POST", toxics, {"type": kind, "stream": "upstream", "attributes": values})
    assert (made.status, made.text) == (200, body(f"{kind}_upstream", kind, shown, stream="upstream"))
    assert made.headers["content-type"] == "application/json"
    again = server.ask("POST", toxics, {"type": kind, "stream": "upstream", "attributes": values})
    assert (again.status, again.text) == (409, '{"error":"toxic already exists","status":409}\n')
    one = f"{toxics}/{kind}_upstream"
    assert server.ask("GET", one).body == made.body
    assert server.ask("GET", toxics).text == f"[{made.text}]"
    assert f'"toxics":[{made.text}]' in server.ask("GET", f"/proxies/{link.name}").text
    gone = server.ask("DELETE", one)
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "PATCH", "POST", "DELETE"):
        missing = server.ask(method, one, {})
        assert (missing.status, missing.text) == (404, '{"error":"toxic not found","status":404}\n')
    assert server.ask("GET", toxics).text == "[]"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_both_methods_update(server: Server, link: Link, method: str) -> None:
    server.ask("POST", f"/proxies/{link.name}/toxics", {"name": "t", "type": "latency"})
    for fields, shown in (
        ({"toxicity": 0}, body("t", "latency", '{"latency":0,"jitter":0}', toxicity="0")),
        ({"attributes": {"Jitter": 3}}, body("t", "latency", '{"latency":0,"jitter":3}', toxicity="0")),
        ({"attributes": None, "toxicity": 0.5}, body("t", "latency", '{"latency":0,"jitter":3}', toxicity="0.5")),
        (b"null", body("t", "latency", '{"latency":0,"jitter":3}', toxicity="0.5")),
        (
            {"name": "new", "type": "timeout", "stream": "upstream", "attributes": {"latency": 7}},
            body("t", "latency", '{"latency":7,"jitter":3}', toxicity="0.5"),
        ),
    ):
        reply = server.ask(method, f"/proxies/{link.name}/toxics/t", fields)
        assert (reply.status, reply.text) == (200, shown)
    wrong = server.ask(method, f"/proxies/{link.name}/toxics/t", b"")
    assert (wrong.status, wrong.error) == (400, "bad request body: EOF")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'{"type":"noop"}', body("noop_downstream", "noop", "{}")),
        (b'{"type":"noop","stream":"UPSTREAM"}', body("noop_UPSTREAM", "noop", "{}", stream="UPSTREAM")),
        (b'{"TYPE":"noop","NAME":"n","Toxicity":0.25} x', body("n", "noop", "{}", toxicity="0.25")),
        (b'{"type":"timeout","attributes":null}', body("timeout_downstream", "timeout", '{"timeout":0}')),
        (b'{"type":"timeout","attributes":{"TimeOut":5}}', body("timeout_downstream", "timeout", '{"timeout":5}')),
        (b'{"type":"noop","toxicity":null,"name":""}', body("noop_downstream", "noop", "{}")),
    ],
)
def test_forms_of_a_toxic(server: Server, link: Link, sent: bytes, shown: str) -> None:
    reply = server.ask("POST", f"/proxies/{link.name}/toxics", sent)
    assert (reply.status, reply.text) == (200, shown)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "bad request body: EOF"),
        (b"{}", "invalid toxic type"),
        (b"null", "invalid toxic type"),
        (b'{"type":"Latency"}', "invalid toxic type"),
        (b'{"type":"latency","stream":"sideways"}', "stream was invalid, can be either upstream or downstream"),
        (b'{"type":"latency","stream":""}', "stream was invalid, can be either upstream or downstream"),
        (b'{"type":"latency","attributes":{"latency":"5"}}', "bad request body: "),
        (b'{"type":"latency","attributes":{"latency":1.5}}', "bad request body: "),
        (b'{"type":"latency","attributes":{"latency":1.0}}', "bad request body: "),
        (b'{"type":"latency","attributes":[]}', "bad request body: "),
        (b'{"type":"latency","toxicity":"1"}', "bad request body: "),
        (b"[]", "bad request body: "),
    ],
)
def test_what_is_no_toxic(server: Server, link: Link, sent: bytes, error: str) -> None:
    reply = server.ask("POST", f"/proxies/{link.name}/toxics", sent)
    assert reply.status == 400
    assert reply.error.startswith(error)
    assert server.ask("GET", f"/proxies/{link.name}/toxics").text == "[]"


@pytest.mark.parametrize(
    ("sent", "near"),
    [
        ({"type": "latency", "attributes": {"latncy": 100}}, "latency"),
        ({"type": "latency", "toxicty": 0.5}, "toxicity"),
    ],
)
@pytest.mark.difference("misspelt")
def test_a_slip_of_the_pen(server: Server, link: Link, sent: object, near: str) -> None:
    reply = server.ask("POST", f"/proxies/{link.name}/toxics", sent)
    if server.ours:
        assert reply.status == 400
        assert f"Did you mean '{near}'?" in reply.error
        assert server.ask("GET", f"/proxies/{link.name}/toxics").text == "[]"
    else:
        assert reply.status == 200


@pytest.mark.difference("words")
def test_a_slip_in_the_type(server: Server, link: Link) -> None:
    error = server.ask("POST", f"/proxies/{link.name}/toxics", {"type": "latncy"}).error
    assert error.startswith("invalid toxic type")
    assert ("'latency'" in error) if server.ours else (error == "invalid toxic type")


@pytest.mark.parametrize(
    "fields", [{"toxicity": 7}, {"toxicity": -0.5}, {"attributes": {"latency": -1}}, {"attributes": {"jitter": -5}}]
)
@pytest.mark.difference("out-of-range")
def test_what_is_out_of_range(server: Server, link: Link, fields: dict[str, object]) -> None:
    reply = server.ask("POST", f"/proxies/{link.name}/toxics", {"type": "latency", **fields})
    if server.ours:
        assert reply.status == 400
        assert "out of range: legal are 0 to" in reply.error
    else:
        assert reply.status == 200


def test_toxics_are_listed_by_direction_and_then_in_their_order(server: Server, link: Link) -> None:
    toxics = f"/proxies/{link.name}/toxics"
    for name, stream in (("d1", "downstream"), ("u1", "upstream"), ("d2", "downstream"), ("u2", "upstream")):
        assert server.ask("POST", toxics, {"name": name, "type": "noop", "stream": stream}).status == 200
    listed = server.ask("GET", toxics).json
    assert isinstance(listed, list)
    assert [toxic["name"] for toxic in listed] == ["u1", "u2", "d1", "d2"]
