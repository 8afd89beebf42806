"""HTTP itself: headers, paths, methods, what is junk, and who is not let in."""

from __future__ import annotations

import http.client
import json
import re
import socket

import pytest

from tests.conformance.proxy.servers import Server, until

PLAIN = "text/plain; charset=utf-8"


def test_the_version(server: Server) -> None:
    reply = server.ask("GET", "/version?whatever=1")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json;charset=utf-8"
    # A server that `go install` built calls itself "git".
    assert re.fullmatch(r'\{"version": "(2\.12\.0|git)"\}\n', reply.text)


def test_every_call_has_a_number_of_its_own(server: Server) -> None:
    paths = ("/version", "/proxies", "/proxies/none", "/version")
    numbers = [server.ask("GET", path).headers["x-toxiproxy-request-id"] for path in paths]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch("[0-9a-v]{20}", number) for number in numbers)
    assert "x-toxiproxy-request-id" not in server.ask("GET", "/nope").headers


def test_errors_are_json_that_calls_itself_text(server: Server) -> None:
    reply = server.ask("GET", "/proxies/none")
    assert reply.headers["content-type"] == PLAIN
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.text == '{"error":"proxy not found","status":404}\n'


@pytest.mark.parametrize("path", ["/", "/nope", "/version/", "/proxies/", "/proxies/a/b", "/proxies/a%2Fb", "/reset/"])
def test_paths_that_are_none(server: Server, path: str) -> None:
    for method in ("GET", "POST"):
        reply = server.ask(method, path)
        assert (reply.status, reply.text) == (404, "404 page not found\n")
        assert reply.headers["content-type"] == PLAIN


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/version"),
        ("OPTIONS", "/version"),
        ("HEAD", "/version"),
        ("GET", "/reset"),
        ("GET", "/populate"),
        ("DELETE", "/proxies"),
        ("PUT", "/proxies/a"),
        ("PATCH", "/proxies/a/toxics"),
        ("PUT", "/proxies/a/toxics/b"),
    ],
)
def test_methods_that_are_none(server: Server, method: str, path: str) -> None:
    reply = server.ask(method, path)
    assert (reply.status, reply.body) == (405, b"")
    assert "allow" not in reply.headers


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("//version", "/version"),
        ("/proxies/../version", "/version"),
        ("/proxies//a", "/proxies/a"),
        ("/proxies/.", "/proxies"),
        ("/proxies/%2E", "/proxies"),
    ],
)
def test_paths_that_are_tidied(server: Server, path: str, clean: str) -> None:
    reply = server.ask("GET", path)
    assert (reply.status, reply.headers["location"], reply.body) == (301, clean, b"")


@pytest.mark.parametrize("path", ["/proxies/%zz", "/proxies/a%", "/proxies/a%2"])
def test_escapes_that_are_none(server: Server, path: str) -> None:
    assert server.ask("GET", path).status == 400


def test_a_name_is_found_by_its_escapes(server: Server, name: str) -> None:
    odd = f"{name} <&>+;ü"
    made = server.ask("POST", "/proxies", {"name": odd, "upstream": "u:1", "enabled": False})
    assert made.status == 201
    path = f"/proxies/{name}%20%3C&%3E+;%C3%BC"
    assert server.ask("GET", path).body == made.body
    assert server.ask("GET", path.replace("%20", "+")).status == 404
    assert server.ask("DELETE", path).status == 204


@pytest.mark.parametrize("kind", ["", "text/html", "application/x-www-form-urlencoded"])
def test_any_type_of_content_is_read_as_json(server: Server, kind: str) -> None:
    headers = {"Content_Type": kind} if kind else {}
    assert server.ask("POST", "/populate", b"[]", **headers).status == 201


def test_a_connection_is_kept(server: Server) -> None:
    connection = http.client.HTTPConnection(*server.where, timeout=10)
    connection.connect()
    sock = connection.sock
    for _ in range(3):
        connection.request("GET", "/version")
        assert connection.getresponse().read()
        assert connection.sock is sock
    connection.close()


def test_a_body_may_come_in_chunks_and_requests_in_a_row(server: Server) -> None:
    chunked = (
        b"POST /populate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"
    )
    last = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = server.raw(chunked + last)
    assert got.count(b"HTTP/1.1 201 ") == 1
    assert got.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00 no HTTP\r\n\r\n",
        b"GET /version HTTP/1.1\r\n\r\n",
        b"GET /proxies/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_junk_is_answered_and_harms_nothing(server: Server, sent: bytes) -> None:
    assert server.raw(sent).startswith(b"HTTP/1.1 400 ")
    assert server.ask("GET", "/version").status == 200


def test_a_client_that_says_nothing_does_not_hold_up_others(server: Server) -> None:
    with socket.create_connection(server.where, timeout=10) as idle, socket.create_connection(server.where) as slow:
        slow.sendall(b"POST /populate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[")
        assert server.ask("GET", "/version").status == 200
        slow.sendall(b"]")
        slow.settimeout(10)
        assert slow.recv(12) == b"HTTP/1.1 201"
        assert idle.fileno() >= 0


@pytest.mark.difference("bounds")
def test_a_large_body(server: Server) -> None:
    body = b" " * 2_000_000 + b"[]"
    if server.ours:
        head = b"POST /populate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n"
        assert server.raw(head).startswith(b"HTTP/1.1 413 ")
    else:
        assert server.ask("POST", "/populate", body).status == 201


@pytest.mark.difference("bounds")
def test_a_long_name(server: Server) -> None:
    name = "n" * 201
    reply = server.ask("POST", "/proxies", {"name": name, "upstream": "u:1", "enabled": False})
    if server.ours:
        assert reply.status == 400
    else:
        assert reply.status == 201
        server.ask("DELETE", f"/proxies/{name}")


def test_a_browser_is_known_by_its_user_agent(server: Server) -> None:
    reply = server.ask("GET", "/version", User_Agent="Mozilla/5.0 (X11)")
    assert (reply.status, reply.text) == (403, "User agent not allowed\n")
    assert server.ask("GET", "/nope", User_Agent="Mozilla/5.0 (X11)").status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Host": "evil.example:8474"},
        {"Host": "localhost.evil.example"},
    ],
)
@pytest.mark.difference("pages")
def test_a_page_of_somebody_else(server: Server, headers: dict[str, str]) -> None:
    status = server.ask("GET", "/version", **headers).status
    assert status == (403 if server.ours else 200)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8474", "[::1]:8474", "proxy", "proxy:8474", "LOCALHOST:1"])
def test_hosts_that_can_only_be_ours(server: Server, host: str) -> None:
    assert server.ask("GET", "/version", Host=host).status == 200
    assert server.ask("GET", "/version", Host=host, Origin=f"http://{host}", Sec_Fetch_Site="none").status == 200


@pytest.mark.difference("additions")
def test_what_only_ours_has(server: Server) -> None:
    leases = server.ask("GET", "/leases")
    taps = server.ask("GET", "/proxies/none/taps")
    if server.ours:
        assert (leases.text, taps.error) == ('{"leases":[]}', "proxy not found")
    else:
        assert leases.text == taps.text == "404 page not found\n"


def test_many_clients_at_once_do_not_lock_out_the_next(server: Server) -> None:
    idle = [socket.create_connection(server.where, timeout=10) for _ in range(400)]
    try:
        until(lambda: server.ask("GET", "/version").status == 200)
        assert json.loads(server.ask("GET", "/version").body)
    finally:
        for sock in idle:
            sock.close()
