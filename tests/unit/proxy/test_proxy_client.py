"""The client: its own address per instance, a limit on every call, typed errors, cheap to import."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from harness.errors import HarnessError
from harness.proxy.client import ProxyClient, ProxyInfo, ToxicInfo
from harness.proxy.errors import ProxyRefused, ProxyUnreachable
from tests.unit.proxy.support import WAIT_S, ProxyProcess, TestLink, start_proxy


def test_two_instances_speak_to_two_servers(client: ProxyClient) -> None:
    other = start_proxy()
    try:
        second = ProxyClient(other.api)
        second.populate([{"name": "only-there", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
        assert "only-there" in second.proxies()
        assert "only-there" not in client.proxies()
        assert client.wait_ready() == second.version() == "2.12.0"
    finally:
        assert other.end() == 0


def test_what_it_reads_is_typed(client: ProxyClient, link_to: Callable[[int], TestLink]) -> None:
    link = link_to(9)
    toxic = client.add_toxic(link.name, name="slow", type="latency", stream="upstream", attributes={"latency": 1})
    expected = ToxicInfo(
        name="slow", type="latency", stream="upstream", toxicity=1, attributes={"latency": 1, "jitter": 0}
    )
    assert toxic == expected
    assert client.proxy(link.name) == ProxyInfo(
        name=link.name,
        listen=f"127.0.0.1:{link.port}",
        upstream="127.0.0.1:9",
        enabled=True,
        toxics=(expected,),
    )
    client.remove_toxic(link.name, "slow")
    client.drop_lease("never was")


@pytest.mark.parametrize(
    ("kind", "link_name", "status", "says"),
    [
        ("latency", "none", 404, "proxy not found"),
        ("latncy", "", 400, "Did you mean 'latency'"),
        ("timeout", "", 409, "toxic already exists"),
    ],
)
def test_a_refusal_has_status_and_message(
    client: ProxyClient, link_to: Callable[[int], TestLink], kind: str, link_name: str, status: int, says: str
) -> None:
    name = link_name or link_to(9).name
    if status == 409:
        client.add_toxic(name, name="twice", type=kind)
    with pytest.raises(ProxyRefused, match=says) as refused:
        client.add_toxic(name, name="twice", type=kind)
    assert refused.value.status == status
    assert isinstance(refused.value, HarnessError)


def test_names_are_quoted(client: ProxyClient) -> None:
    name = "odd name?&#%"
    client.populate([{"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
    assert client.proxy(name).name == name


def test_nobody_there_and_nobody_answering_are_unreachable() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(ProxyUnreachable, match="refused"):
            ProxyClient(address).version()
        with pytest.raises(ProxyUnreachable):
            ProxyClient(address).wait_ready(within_s=0.05)
        sock.listen(1)
        with pytest.raises(ProxyUnreachable, match="no answer in time"):
            ProxyClient(address, timeout_s=0.1).version()


def test_the_environments_http_proxy_is_not_for_it(proxy: ProxyProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = ProxyClient(proxy.api)
    assert client.version() == "2.12.0"
    client.populate([])


def test_the_users_own_client_drives_it(proxy: ProxyProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    from toxiproxy import Toxiproxy
    from toxiproxy.api import APIConsumer

    host, _, port = proxy.api.rpartition(":")
    monkeypatch.setattr(APIConsumer, "host", host)
    monkeypatch.setattr(APIConsumer, "port", int(port))
    server = Toxiproxy()
    assert server.running()
    made = server.create(upstream="127.0.0.1:9", name="users")
    made.add_toxic(type="latency", attributes={"latency": 5})
    assert made.get_toxic("latency_downstream").attributes == {"latency": 5, "jitter": 0}
    assert made.destroy_toxic("latency_downstream")
    with made.down():
        assert not server.get_proxy("users").enabled
    assert server.get_proxy("users").enabled
    assert server.destroy(made)
    assert server.get_proxy("users") is None


def test_importing_it_loads_no_library() -> None:
    code = (
        "import sys, harness.proxy.client; print([m for m in ('requests', 'toxiproxy', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert done.stdout.strip() == "[]"
