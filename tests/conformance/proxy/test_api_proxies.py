"""Proxies over the API: bodies to the byte, statuses, errors."""

from __future__ import annotations

import json
import socket

import pytest

from tests.conformance.proxy.peers import Link
from tests.conformance.proxy.servers import Server
from tests.doubles.held_ports import free_port

UP = "127.0.0.1:9"


def body(name: str, listen: str, *, enabled: bool = True, upstream: str = UP, toxics: str = "[]") -> str:
    """In the order of Toxiproxy's keys, with the empty `Logger` that it shows."""
    on = "true" if enabled else "false"
    return f'{{"name":"{name}","listen":"{listen}","upstream":"{upstream}","enabled":{on},"Logger":{{}},"toxics":{toxics}}}'


def make(server: Server, name: str, **fields: object) -> dict[str, object]:
    reply = server.ask("POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": UP, **fields})
    assert reply.status == 201, reply.text
    made = reply.json
    assert isinstance(made, dict)
    return made


def test_a_proxy_from_its_making_to_its_end(server: Server, name: str) -> None:
    listen = f"127.0.0.1:{free_port()}"
    made = server.ask("POST", "/proxies", {"name": name, "listen": listen, "upstream": UP})
    assert (made.status, made.text) == (201, body(name, listen))
    assert made.headers["content-type"] == "application/json"
    shown = server.ask("GET", f"/proxies/{name}")
    assert (shown.status, shown.text) == (200, body(name, listen))
    assert body(name, listen) in server.ask("GET", "/proxies").text
    again = server.ask("POST", "/proxies", {"name": name, "listen": listen, "upstream": UP})
    assert (again.status, again.text) == (409, '{"error":"proxy already exists","status":409}\n')
    gone = server.ask("DELETE", f"/proxies/{name}")
    assert (gone.status, gone.body) == (204, b"")
    assert "content-type" not in gone.headers
    for method in ("GET", "PATCH", "POST", "DELETE"):
        missing = server.ask(method, f"/proxies/{name}", {})
        assert (missing.status, missing.text) == (404, '{"error":"proxy not found","status":404}\n')


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_both_methods_update(server: Server, name: str, method: str) -> None:
    listen = str(make(server, name)["listen"])
    for fields, shown in (
        ({"enabled": False}, body(name, listen, enabled=False)),
        ({"upstream": "127.0.0.1:10"}, body(name, listen, enabled=False, upstream="127.0.0.1:10")),
        ({"enabled": True}, body(name, listen, upstream="127.0.0.1:10")),
        ({}, body(name, listen, upstream="127.0.0.1:10")),
        (b"null", body(name, listen, upstream="127.0.0.1:10")),
        ({"name": "other", "upstream": UP, "enabled": None}, body(name, listen)),
    ):
        reply = server.ask(method, f"/proxies/{name}", fields)
        assert (reply.status, reply.text) == (200, shown)


def test_an_update_to_another_address_moves_the_listener(server: Server, name: str) -> None:
    old = str(make(server, name)["listen"])
    port = free_port()
    reply = server.ask("PATCH", f"/proxies/{name}", {"listen": f"127.0.0.1:{port}"})
    assert (reply.status, reply.text) == (200, body(name, f"127.0.0.1:{port}"))
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(old.rpartition(":")[2])), timeout=5)


def test_an_update_to_the_same_address_by_name_keeps_connections(server: Server, link: Link) -> None:
    with link.pair() as (near, far):
        reply = server.ask("PATCH", f"/proxies/{link.name}", {"listen": f"localhost:{link.port}"})
        assert reply.status == 200
        assert f'"listen":"127.0.0.1:{link.port}"' in reply.text
        near.sendall(b"still")
        assert far.recv(5) == b"still"


def test_an_update_that_cannot_be_leaves_the_proxy_as_it_was(server: Server, name: str) -> None:
    made = make(server, name)
    reply = server.ask("PATCH", f"/proxies/{name}", {"listen": "bad"})
    assert (reply.status, reply.error) == (500, "address bad: missing port in address")
    assert server.ask("GET", f"/proxies/{name}").json == made


def test_an_update_to_a_port_in_use_leaves_it_disabled(server: Server, name: str, far: socket.socket) -> None:
    make(server, name)
    taken = f"127.0.0.1:{far.getsockname()[1]}"
    reply = server.ask("PATCH", f"/proxies/{name}", {"listen": taken})
    assert (reply.status, reply.error) == (500, f"listen tcp {taken}: bind: address already in use")
    assert server.ask("GET", f"/proxies/{name}").text == body(name, taken, enabled=False)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "bad request body: EOF"),
        (b" \n", "bad request body: EOF"),
        (b"{", "bad request body: unexpected EOF"),
        (b'{"name":', "bad request body: unexpected EOF"),
        (b"null", "missing required field: name"),
        (b"{}", "missing required field: name"),
        (b'{"name":"x"}', "missing required field: upstream"),
        (b'{"upstream":"x:1"}', "missing required field: name"),
        (b'{"name":null,"upstream":"x:1"}', "missing required field: name"),
    ],
)
def test_what_is_missing_is_told(server: Server, sent: bytes, error: str) -> None:
    reply = server.ask("POST", "/proxies", sent)
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize(
    "sent",
    [b"[]", b"3", b"x", b'{"name":"q",}', b'{"name":NaN}', b'{"name":3,"upstream":"u:1"}', b'{"name":"x","enabled":1}'],
)
@pytest.mark.difference("words")
def test_what_cannot_be_read_is_refused(server: Server, sent: bytes) -> None:
    reply = server.ask("POST", "/proxies", sent)
    assert reply.status == 400
    assert reply.error.startswith("bad request body: ")
    go = "json: cannot unmarshal" in reply.error or "invalid character" in reply.error
    if server.ours:
        assert not go
    else:
        assert go


def test_keys_are_taken_in_any_case_and_unknown_ones_tolerated(server: Server, name: str) -> None:
    sent = {"NAME": name, "Upstream": UP, "LISTEN": "127.0.0.1:0", "ENABLED": False, "Logger": {}, "older": [1]}
    reply = server.ask("POST", "/proxies", sent)
    assert (reply.status, reply.text) == (201, body(name, "127.0.0.1:0", enabled=False))


def test_what_follows_the_first_value_is_not_read(server: Server, name: str) -> None:
    sent = json.dumps({"name": name, "upstream": UP, "enabled": False}).encode() + b' {"name": "other"} or junk'
    reply = server.ask("POST", "/proxies", sent)
    assert (reply.status, reply.text) == (201, body(name, "", enabled=False))


def test_bytes_that_are_no_text_and_signs_of_markup(server: Server, name: str) -> None:
    sent = b'{"name":"%s-\xff\\ud800<&>","upstream":"%s","enabled":false}' % (name.encode(), UP.encode())
    reply = server.ask("POST", "/proxies", sent)
    assert (reply.status, reply.text) == (201, body(name + "-\ufffd\ufffd\\u003c\\u0026\\u003e", "", enabled=False))
    assert server.ask("DELETE", f"/proxies/{name}-%EF%BF%BD%EF%BF%BD%3C&%3E").status == 204


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        ("127.0.0.1:0", "127.0.0.1:"),
        ("127.0.0.1:", "127.0.0.1:"),
        ("localhost:0", "127.0.0.1:"),
        ("[127.0.0.1]:0", "127.0.0.1:"),
        ("[::1]:0", "[::1]:"),
        (":0", "[::]:"),
        ("", "[::]:"),
        ("[::]:0", "[::]:"),
    ],
)
def test_addresses_to_listen_at(server: Server, name: str, listen: str, shown: str) -> None:
    if "::1" in listen and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    made = str(make(server, name, listen=listen)["listen"])
    assert made.startswith(shown)
    port = int(made.removeprefix(shown))
    for host in {"127.0.0.1:": ["127.0.0.1"], "[::1]:": ["::1"], "[::]:": ["127.0.0.1", "::1"]}[shown]:
        socket.create_connection((host, port), timeout=5).close()


@pytest.mark.parametrize(
    ("listen", "error"),
    [
        ("127.0.0.1", "address 127.0.0.1: missing port in address"),
        ("bad", "address bad: missing port in address"),
        ("::1:0", "address ::1:0: too many colons in address"),
        ("tcp://127.0.0.1:0", "address tcp://127.0.0.1:0: too many colons in address"),
        ("[::1:0", "address [::1:0: missing ']' in address"),
        ("127.0.0.1:99999", "address 99999: invalid port"),
        ("127.0.0.1:-1", "address -1: invalid port"),
        ("127.0.0.1:8a", "lookup tcp/8a: unknown port"),
        ("*:0", "lookup *: no such host"),
        ("127.1:0", "lookup 127.1: no such host"),
    ],
)
def test_addresses_that_are_none(server: Server, name: str, listen: str, error: str) -> None:
    reply = server.ask("POST", "/proxies", {"name": name, "upstream": UP, "listen": listen})
    assert (reply.status, reply.error) == (500, f"listen tcp: {error}")
    assert server.ask("GET", f"/proxies/{name}").status == 404


def test_a_port_in_use(server: Server, name: str, far: socket.socket) -> None:
    port = far.getsockname()[1]
    reply = server.ask("POST", "/proxies", {"name": name, "upstream": UP, "listen": f"localhost:{port}"})
    assert (reply.status, reply.error) == (500, f"listen tcp 127.0.0.1:{port}: bind: address already in use")
    assert server.ask("GET", f"/proxies/{name}").status == 404


@pytest.mark.parametrize("listen", ["127.0.0.1:{}", "0.0.0.0:{}", ":{}", "localhost:{}"])
def test_a_port_that_another_proxy_has(server: Server, link: Link, name: str, listen: str) -> None:
    where = listen.format(link.port)
    reply = server.ask("POST", "/proxies", {"name": name, "upstream": UP, "listen": where})
    assert reply.status == 500
    assert reply.error.endswith(": bind: address already in use")
    assert server.ask("GET", f"/proxies/{name}").status == 404


def test_the_port_on_another_address_is_free(server: Server, link: Link, name: str) -> None:
    listen = f"127.0.0.2:{link.port}"
    assert make(server, name, listen=listen)["listen"] == listen


@pytest.mark.difference("wildcard")
def test_all_interfaces(server: Server, name: str) -> None:
    listen = f"0.0.0.0:{free_port()}"
    assert make(server, name, listen=listen)["listen"] == (listen if server.ours else listen.replace("0.0.0.0", "[::]"))
    server.ask("POST", f"/proxies/{name}/toxics", {"type": "noop"})
    reply = server.ask("POST", "/populate", [{"name": name, "listen": listen, "upstream": UP}])
    if server.ours:
        assert reply.status == 201
        assert "noop" in reply.text
    else:
        assert "noop" not in reply.text


def test_populate_keeps_what_is_equal(server: Server, link: Link, name: str) -> None:
    server.ask("POST", f"/proxies/{link.name}/toxics", {"type": "noop"})
    upstream = f"127.0.0.1:{link.far.getsockname()[1]}"
    with link.pair() as (near, far):
        for listen in (f"127.0.0.1:{link.port}", f"localhost:{link.port}"):
            same = {"name": link.name, "listen": listen, "upstream": upstream, "enabled": False, "toxics": []}
            new = {"name": name, "listen": "127.0.0.1:0", "upstream": UP}
            reply = server.ask("POST", "/populate", [same, new])
            assert reply.status == 201
            assert reply.headers["content-type"] == "application/json"
            told = reply.json
            assert isinstance(told, dict)
            kept, made = told["proxies"]
            assert [toxic["name"] for toxic in kept["toxics"]] == ["noop_downstream"]
            assert kept["enabled"] is True
            assert made["name"] == name
        near.sendall(b"still")
        assert far.recv(5) == b"still"


def test_populate_replaces_what_differs(server: Server, link: Link) -> None:
    server.ask("POST", f"/proxies/{link.name}/toxics", {"type": "noop"})
    with link.pair() as (near, _):
        listen = f"127.0.0.1:{link.port}"
        reply = server.ask("POST", "/populate", [{"name": link.name, "listen": listen, "upstream": UP}])
        assert (reply.status, reply.text) == (201, f'{{"proxies":[{body(link.name, listen)}]}}')
        assert near.recv(1) == b""


def test_populate_tells_what_it_had_made_before_an_error(server: Server, name: str) -> None:
    good = {"name": name, "listen": f"127.0.0.1:{free_port()}", "upstream": UP}
    reply = server.ask("POST", "/populate", [good, {"name": "b", "listen": "bad", "upstream": UP}])
    assert reply.headers["content-type"] == "application/json"
    error = '"error":"listen tcp: address bad: missing port in address","status":500'
    assert (reply.status, reply.text) == (500, f'{{{error},"proxies":[{body(name, good["listen"])}]}}')
    assert server.ask("GET", f"/proxies/{name}").status == 200


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "bad request body: EOF"),
        (b"[null]", "missing required field: name at proxy 1"),
        (b'[{"name":"a","upstream":"u:1"},{"name":"b"}]', "missing required field: upstream at proxy 2"),
    ],
)
def test_populate_makes_nothing_of_a_list_that_is_wrong(server: Server, sent: bytes, error: str) -> None:
    before = server.ask("GET", "/proxies").body
    reply = server.ask("POST", "/populate", sent)
    assert (reply.status, reply.text) == (400, f'{{"error":"{error}","status":400,"proxies":null}}')
    assert server.ask("GET", "/proxies").body == before


@pytest.mark.parametrize("sent", [b"[]", b"null", b"[] trailing"])
def test_populating_nothing(server: Server, sent: bytes) -> None:
    reply = server.ask("POST", "/populate", sent)
    assert (reply.status, reply.text) == (201, '{"proxies":null}')


def test_reset_enables_and_removes_toxics(server: Server, name: str) -> None:
    made = make(server, name)
    server.ask("POST", f"/proxies/{name}/toxics", {"type": "noop"})
    server.ask("POST", f"/proxies/{name}", {"enabled": False})
    reply = server.ask("POST", "/reset", b"not even JSON")
    assert (reply.status, reply.body) == (204, b"")
    assert server.ask("GET", f"/proxies/{name}").json == made
