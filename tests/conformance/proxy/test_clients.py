"""Clients that people have drive both servers alike: toxiproxy-python, and Toxiproxy's own command line where it is built."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import toxiproxy.api
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, ProxyExists

from tests.conformance.proxy.servers import ROOT, WAIT_S, Server

UP = "127.0.0.1:9"


def test_toxiproxy_python(own: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = own().where
    monkeypatch.setattr(toxiproxy.api.APIConsumer, "host", host)
    monkeypatch.setattr(toxiproxy.api.APIConsumer, "port", port)
    client = Toxiproxy()
    assert client.running()
    proxy = client.create(name="py", listen="127.0.0.1:0", upstream=UP)
    assert (proxy.name, proxy.enabled, proxy.upstream) == ("py", True, UP)
    with pytest.raises(ProxyExists):
        client.create(name="py", listen="127.0.0.1:0", upstream=UP)
    proxy.add_toxic(type="latency", attributes={"latency": 100, "jitter": 10})
    proxy.add_toxic(name="bw", type="bandwidth", stream="upstream", attributes={"rate": 100}, toxicity=0.5)
    assert {name: (toxic.type, toxic.toxicity) for name, toxic in proxy.toxics().items()} == {
        "latency_downstream": ("latency", 1),
        "bw": ("bandwidth", 0.5),
    }
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="nope", attributes={})
    with proxy.down():
        assert not client.get_proxy("py").enabled
    assert client.get_proxy("py").enabled
    proxy.destroy_toxic("bw")
    assert list(proxy.toxics()) == ["latency_downstream"]
    client.populate([{"name": "other", "listen": "127.0.0.1:0", "upstream": UP}])
    assert sorted(client.proxies()) == ["other", "py"]
    client.reset()
    assert client.get_proxy("py").toxics() == {}
    client.destroy_all()
    assert client.proxies() == {}


def command_line() -> str | None:
    named = os.environ.get("TOXIPROXY_CLI")
    built = ROOT / "build" / "bin" / "toxiproxy-cli"
    return named or (str(built) if built.exists() else None)


@pytest.mark.skipif(
    command_line() is None, reason="no toxiproxy-cli: `.ci/toxiproxy` builds it, TOXIPROXY_CLI names one"
)
def test_the_command_line(own: Callable[..., Server], tmp_path: Path) -> None:
    server = own()

    def typed(*words: str) -> tuple[int, str]:
        found = command_line()
        assert found is not None
        line = [found, "--host", f"http://{server.address}", *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=WAIT_S, check=False, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    assert typed("create", "-l", "127.0.0.1:0", "-u", UP, "shop") == (0, "Created new proxy shop\n")
    assert "proxy already exists" in typed("create", "-l", "127.0.0.1:0", "-u", UP, "shop")[1]
    added = typed(
        "toxic", "add", "-t", "latency", "-n", "slow", "-a", "latency=500", "--tox", "0.5", "--upstream", "shop"
    )
    assert added == (0, "Added upstream latency toxic 'slow' on proxy 'shop'\n")
    assert typed("toxic", "update", "-n", "slow", "-a", "latency=5", "shop")[0] == 0
    code, shown = typed("inspect", "shop")
    assert code == 0
    # An update without --tox means 1 to it.
    assert (
        " ".join(shown.split()) == "slow type=latency stream=upstream toxicity=1.00 attributes=[ jitter=0 latency=5 ]"
    )
    assert typed("toggle", "shop") == (0, "Proxy shop is now disabled\n")
    assert "disabled" in typed("list")[1]
    assert typed("toggle", "shop") == (0, "Proxy shop is now enabled\n")
    assert typed("toxic", "remove", "-n", "slow", "shop") == (0, "Removed toxic 'slow' on proxy 'shop'\n")
    code, shown = typed("toxic", "add", "-t", "nope", "shop")
    assert code == 1
    assert "HTTP 400: invalid toxic type" in shown
    assert typed("delete", "shop") == (0, "Deleted proxy shop\n")
    code, shown = typed("inspect", "shop")
    assert code == 1
    assert "HTTP 404: proxy not found" in shown
