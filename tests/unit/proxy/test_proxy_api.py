"""The API as Toxiproxy 2.12 answers it, taken from the server itself, and our own additions."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.unit.proxy.support import WAIT_S, ProxyProcess, start_proxy, until

UP = "127.0.0.1:9"


class Asker:
    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, object]:
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        answer = self._session.request(
            method, f"http://{self._address}{path}", data=data, headers=headers, timeout=WAIT_S
        )
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text


@pytest.fixture
def ask(proxy: ProxyProcess) -> Asker:
    return Asker(proxy.api)


def error(status: int, message: str) -> tuple[int, object]:
    return status, {"error": message, "status": status}


def test_a_proxy_is_created_shown_changed_and_deleted(ask: Asker) -> None:
    status, made = ask("POST", "/proxies", {"name": "life", "upstream": UP, "listen": "127.0.0.1:0"})
    assert status == 201
    assert isinstance(made, dict)
    listen = made["listen"]
    assert made == {
        "name": "life",
        "listen": listen,
        "upstream": UP,
        "enabled": True,
        "Logger": {},
        "toxics": [],
    }
    assert not listen.endswith(":0")
    assert ask("GET", "/proxies/life") == (200, made)
    assert ask("GET", "/proxies")[1]["life"] == made
    assert ask("POST", "/proxies", {"name": "life", "upstream": UP}) == error(409, "proxy already exists")
    assert ask("PATCH", "/proxies/life", {"enabled": False}) == (200, made | {"enabled": False})
    assert ask("POST", "/proxies/life", {"enabled": True}) == (200, made)
    assert ask("DELETE", "/proxies/life") == (204, "")
    assert ask("GET", "/proxies/life") == error(404, "proxy not found")


def test_toxics_are_created_updated_and_deleted_with_toxiproxys_bodies(ask: Asker) -> None:
    ask("POST", "/proxies", {"name": "tox", "upstream": UP, "listen": "127.0.0.1:0"})
    shown = {
        "attributes": {"latency": 100, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }
    assert ask("POST", "/proxies/tox/toxics", {"type": "latency", "attributes": {"latency": 100}}) == (200, shown)
    assert ask("POST", "/proxies/tox/toxics", {"type": "latency"}) == error(409, "toxic already exists")
    assert ask("PATCH", "/proxies/tox/toxics/latency_downstream", {"toxicity": 0.1}) == (200, shown | {"toxicity": 0.1})
    shown |= {"toxicity": 0.1, "attributes": {"latency": 100, "jitter": 5}}
    assert ask("POST", "/proxies/tox/toxics/latency_downstream", {"attributes": {"jitter": 5}}) == (200, shown)
    assert ask("GET", "/proxies/tox/toxics") == (200, [shown])
    assert ask("GET", "/proxies/tox/toxics/none") == error(404, "toxic not found")
    assert ask("DELETE", "/proxies/tox/toxics/latency_downstream") == (204, "")
    assert ask("DELETE", "/proxies/tox/toxics/latency_downstream") == error(404, "toxic not found")
    assert ask("POST", "/proxies/tox/toxics", {"type": "timeout", "attributes": None})[0] == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"type": "latncy"}, "invalid toxic type: unknown type 'latncy'. Did you mean 'latency'?"),
        ({"type": "latency", "stream": "sideways"}, "stream was invalid, can be either upstream or downstream"),
        ({"type": "latency", "attributes": {"latncy": 1}}, "unknown attribute of latency 'latncy'. Did you mean"),
        ({"type": "latency", "attributes": {"latency": -1}}, "latency -1 is out of range: legal are 0 to"),
        ({"type": "latency", "attributes": {"latency": "1"}}, "bad request body: latency must be a whole number"),
        ({"type": "latency", "attributes": {"latency": 1.5}}, "bad request body: latency must be a whole number"),
        ({"type": "latency", "attributes": [1]}, "bad request body: attributes must be an object"),
        ({"type": "latency", "toxicity": 7}, "toxicity 7 is out of range: legal are 0 to 1"),
        ({"type": "latency", "toxicty": 0.5}, "unknown field 'toxicty'. Did you mean 'toxicity'?"),
        ([], "bad request body: the body must be an object"),
        (b"{bad", "bad request body: "),
        (b"", "bad request body: EOF"),
        (b"[" * 100_000, "bad request body: "),
    ],
)
def test_a_wrong_toxic_is_refused_and_nothing_is_added(ask: Asker, body: object, says: str) -> None:
    ask("POST", "/proxies", {"name": "wrong", "upstream": UP, "listen": "127.0.0.1:0"})
    status, told = ask("POST", "/proxies/wrong/toxics", body)
    assert status == 400
    assert isinstance(told, dict)
    assert told["error"].startswith(says)
    assert ask("GET", "/proxies/wrong/toxics") == (200, [])


def test_populate_keeps_what_is_equal_and_tells_what_it_made_before_an_error(ask: Asker) -> None:
    entry = {"name": "pop", "upstream": UP, "listen": "127.0.0.1:0", "toxics": [], "Logger": {}, "older": 1}
    status, first = ask("POST", "/populate", [entry])
    assert status == 201
    assert isinstance(first, dict)
    listen = first["proxies"][0]["listen"]
    ask("POST", "/proxies/pop/toxics", {"type": "latency"})
    status, second = ask("POST", "/populate", [entry | {"listen": listen}])
    assert isinstance(second, dict)
    assert [toxic["name"] for toxic in second["proxies"][0]["toxics"]] == ["latency_downstream"]
    status, third = ask(
        "POST", "/populate", [entry | {"listen": listen}, {"name": "b", "upstream": UP, "listen": "bad"}]
    )
    assert status == 500
    assert isinstance(third, dict)
    assert third["error"] == "listen tcp: address bad: missing port in address"
    assert [made["name"] for made in third["proxies"]] == ["pop"]
    assert ask("POST", "/populate", [{"name": "q"}]) == (
        400,
        {"error": "missing required field: upstream at proxy 1", "status": 400, "proxies": None},
    )
    assert ask("POST", "/populate", []) == (201, {"proxies": None})


def test_a_port_that_someone_listens_on_is_refused(ask: Asker) -> None:
    made = ask("POST", "/proxies", {"name": "first", "upstream": UP, "listen": "127.0.0.1:0"})[1]
    assert isinstance(made, dict)
    status, told = ask("POST", "/proxies", {"name": "second", "upstream": UP, "listen": made["listen"]})
    assert (status, told) == error(500, f"listen tcp {made['listen']}: bind: address already in use")
    assert ask("GET", "/proxies/second")[0] == 404


def test_a_port_that_is_reserved_but_not_listened_on_is_taken(ask: Asker) -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{reserved.getsockname()[1]}"
        status, made = ask("POST", "/proxies", {"name": "reserved", "upstream": UP, "listen": listen})
        assert status == 201
        assert isinstance(made, dict)
        assert made["listen"] == listen


def test_reset_enables_and_removes_toxics(ask: Asker) -> None:
    ask("POST", "/proxies", {"name": "res", "upstream": UP, "listen": "127.0.0.1:0"})
    ask("POST", "/proxies/res/toxics", {"type": "latency"})
    ask("POST", "/proxies/res", {"enabled": False})
    assert ask("POST", "/reset") == (204, "")
    shown = ask("GET", "/proxies/res")[1]
    assert isinstance(shown, dict)
    assert (shown["enabled"], shown["toxics"]) == (True, [])


def test_browsers_unknown_paths_and_methods_are_answered_as_by_toxiproxy(ask: Asker) -> None:
    assert ask("GET", "/version", **{"User-Agent": "Mozilla/5.0"}) == (403, "User agent not allowed\n")
    assert ask("GET", "/nope") == (404, "404 page not found\n")
    assert ask("PUT", "/version") == (405, "")
    assert ask("GET", "/version") == (200, {"version": "2.12.0"})


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"\x16\x03\x01\x02\x00 no HTTP\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /version HTTP/1.1\r\nX: " + b"x" * 200_000, b"HTTP/1.1 431 "),
        (b"POST /reset HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n", b"HTTP/1.1 413 "),
        (
            b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%s\r\n" % (b"x" * 65536) * 20,
            b"HTTP/1.1 413 ",
        ),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"HTTP/1.1 404 "),
        (b"GET /proxies/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /version HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
    ],
)
def test_junk_on_the_api_port_is_answered_and_harms_nothing(
    ask: Asker, proxy: ProxyProcess, sent: bytes, answer: bytes
) -> None:
    host, _, port = proxy.api.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as sock:
        with contextlib.suppress(ConnectionError):  # it may answer and close before all was sent
            sock.sendall(sent)
        assert sock.recv(200).startswith(answer)
    assert ask("GET", "/version")[0] == 200


def test_a_restart_finds_its_proxies_in_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{reserved.getsockname()[1]}"
        config.write_text(json.dumps([{"name": "a", "upstream": UP, "listen": listen, "toxics": []}]))
        for _ in range(2):
            started = start_proxy(config=config)
            try:
                assert started.proxies == {"a": listen}
            finally:
                assert started.end() == 0


def test_a_configuration_that_cannot_be_had_whole_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text('[{"name": "a"}]')
    command = [sys.executable, "-m", "harness.proxy", "--port", "0", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert "missing required field: upstream at proxy 1" in done.stderr


def test_a_lease_that_is_not_renewed_takes_its_toxic_with_it(ask: Asker) -> None:
    ask("POST", "/proxies", {"name": "leased", "upstream": UP, "listen": "127.0.0.1:0"})
    toxic = {"type": "latency", "lease": "mine"}
    assert ask("POST", "/proxies/leased/toxics", toxic) == error(404, "lease not found")
    assert ask("POST", "/leases", {"id": "mine", "ttl_ms": 60_000}) == (
        201,
        {"id": "mine", "ttl_ms": 60_000, "new": True},
    )
    assert ask("POST", "/proxies/leased/toxics", toxic)[0] == 200
    assert ask("POST", "/proxies/leased", {"enabled": False, "lease": "mine"})[0] == 200
    assert ask("POST", "/leases", {"id": "mine", "ttl_ms": 50})[1] == {"id": "mine", "ttl_ms": 50, "new": False}
    until(lambda: ask("GET", "/leases") == (200, {"leases": []}))
    shown = ask("GET", "/proxies/leased")[1]
    assert isinstance(shown, dict)
    assert (shown["enabled"], shown["toxics"]) == (True, [])
    assert ask("DELETE", "/leases/mine") == error(404, "lease not found")


def test_populate_with_toxics_updates_those_that_are_there(ask: Asker) -> None:
    entry = {"name": "with", "upstream": UP, "listen": "127.0.0.1:0", "toxics": [{"type": "latency"}]}
    made = ask("POST", "/populate?toxics=1", [entry])[1]
    assert isinstance(made, dict)
    entry["listen"] = made["proxies"][0]["listen"]
    entry["toxics"] = [{"type": "latency", "attributes": {"latency": 5}}, {"type": "timeout"}]
    told = ask("POST", "/populate?toxics=1", [entry])[1]
    assert isinstance(told, dict)
    toxics = told["proxies"][0]["toxics"]
    assert [toxic["name"] for toxic in toxics] == ["latency_downstream", "timeout_downstream"]
    assert toxics[0]["attributes"]["latency"] == 5
    entry["toxics"] = [{"type": "latency", "toxicity": 7}]
    status, wrong = ask("POST", "/populate?toxics=1", [entry])
    assert isinstance(wrong, dict)
    assert status == 400
    assert wrong["error"].startswith("proxy 'with', toxic 1 'latency_downstream': toxicity 7 is out of range")
    assert [proxy["name"] for proxy in wrong["proxies"]] == ["with"]
