"""The server as a program: its flags, its configuration, its metrics, its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.proxy.peers import Link, quiet, receive, rest, round_trip_s
from tests.conformance.proxy.servers import WAIT_S, Server, launch, until
from tests.doubles.held_ports import free_port

UP = "127.0.0.1:9"
HOUR_MS = 3_600_000


def entry(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "listen": f"127.0.0.1:{free_port()}", "upstream": UP, "enabled": True, **fields}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], str]:
    def written(what: object) -> str:
        path = tmp_path / "proxies.json"
        path.write_text(what if isinstance(what, str) else json.dumps(what))
        return str(path)

    return written


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_a_configuration(own: Callable[..., Server], write: Callable[[object], str], dashes: str) -> None:
    entries = [entry("a"), entry("b", enabled=False)]
    started = own(f"{dashes}config", write(entries))
    shown = started.ask("GET", "/proxies").json
    assert shown == {one["name"]: one | {"Logger": {}, "toxics": []} for one in entries}


def test_a_configuration_in_the_form_that_the_api_shows(
    own: Callable[..., Server], write: Callable[[object], str]
) -> None:
    started = own("-config", write([entry("a")]))
    shown = started.ask("GET", "/proxies").json
    assert isinstance(shown, dict)
    started.end()
    assert own(f"-config={write(list(shown.values()))}").ask("GET", "/proxies").json == shown


def gives_up_or_runs_on(server: Server, *words: str) -> str:
    """What it said, if it ended with code 2 at once; else it runs, and is ended here."""
    process = launch(server.kind, *words)
    try:
        if server.ours:
            said, _ = process.communicate(timeout=WAIT_S)
            assert process.returncode == 2
            return said
        time.sleep(0.5)  # it has no way to say that it goes on
        assert process.poll() is None
        return ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("{bad", "bad request body"),
        ([{"name": "a"}], "missing required field: upstream at proxy 1"),
        ([entry("a", listen="bad")], "missing port in address"),
        ([entry("a", toxcis=[])], "Did you mean 'toxics'?"),
        ([entry("a", toxics=[{"type": "latncy"}])], "proxy 'a', toxic 1 'latncy_downstream': invalid toxic type"),
        ([entry("a", toxics=[{"type": "latency", "attributes": {"latncy": 1}}])], "Did you mean 'latency'?"),
        ([entry("a", toxics=[{"type": "latency", "lease": "x"}])], "a lease can't be named in a file"),
        ([entry("a", lease="x")], "a lease can't be named in a file"),
        ([entry("a"), entry("a")], "proxy 'a' is there twice"),
    ],
)
@pytest.mark.difference("configuration")
def test_a_configuration_that_cannot_be_had(
    own: Callable[..., Server], server: Server, write: Callable[[object], str], wrong: object, says: str
) -> None:
    path = write(wrong)
    if server.ours:
        said = gives_up_or_runs_on(server, "-port", str(free_port()), "-config", path)
        assert path in said
        assert says in said
    else:
        assert own("-config", path).ask("GET", "/version").status == 200


@pytest.mark.difference("configuration")
def test_a_configuration_that_is_not_there(own: Callable[..., Server], server: Server, tmp_path: Path) -> None:
    path = str(tmp_path / "none.json")
    if server.ours:
        assert path in gives_up_or_runs_on(server, "-port", str(free_port()), "-config", path)
    else:
        assert own("-config", path).ask("GET", "/proxies").text == "{}"


@pytest.mark.difference("configuration-toxics")
def test_toxics_in_a_configuration(
    own: Callable[..., Server], server: Server, far: socket.socket, write: Callable[[object], str]
) -> None:
    upstream = f"127.0.0.1:{far.getsockname()[1]}"
    latency = 600 if server.ours else HOUR_MS  # one that is seen; one from behind which nothing would come back
    slow = {"name": "slow", "type": "latency", "stream": "upstream", "attributes": {"latency": latency}}
    one = entry("a", upstream=upstream, toxics=[slow])
    started = own("-config", write([one]))
    link = Link(started, "a", int(str(one["listen"]).rpartition(":")[2]), far)
    with link.pair() as (near, far_end):
        took_s = round_trip_s(near, far_end)
    assert not server.ours or took_s > 0.5


@pytest.mark.parametrize("path", ["/populate", "/populate?toxics=1"])
@pytest.mark.difference("configuration-toxics")
def test_toxics_in_populate(server: Server, name: str, path: str) -> None:
    one = {"name": name, "listen": "127.0.0.1:0", "upstream": UP, "toxics": [{"type": "noop"}]}
    told = server.ask("POST", path, [one]).json
    assert isinstance(told, dict)
    names = [toxic["name"] for toxic in told["proxies"][0]["toxics"]]
    if server.ours and path.endswith("1"):
        assert names == ["noop_downstream"]
        again = one | {"listen": told["proxies"][0]["listen"]}
        assert server.ask("POST", path, [again]).json == told
    else:
        assert names == []


@pytest.mark.difference("api-port")
def test_an_api_port_that_is_taken(server: Server, far: socket.socket) -> None:
    if server.process is None:
        pytest.skip("a server that was given can't be started again")
    port = far.getsockname()[1]
    said = gives_up_or_runs_on(server, "-host", "127.0.0.1", "-port", str(port))
    assert ("address already in use" in said) if server.ours else (said == "")


def test_it_tells_its_version_and_ends(server: Server) -> None:
    if server.process is None:
        pytest.skip("a server that was given can't be started again")
    for flag in ("-version", "--version"):
        process = launch(server.kind, flag)
        said, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0
        assert re.search(r"toxiproxy-server version (2\.12\.0|git)\n", said)


def test_a_flag_that_is_none_ends_with_2(server: Server) -> None:
    if server.process is None:
        pytest.skip("a server that was given can't be started again")
    process = launch(server.kind, "-prot", "8474")
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 2


@pytest.mark.parametrize("level", ["trace", "info", "nonsense", ""])
def test_any_log_level_is_tolerated(own: Callable[..., Server], level: str) -> None:
    assert own(env={"LOG_LEVEL": level}).ask("GET", "/version").status == 200


def test_metrics_are_only_there_when_asked_for(server: Server, own: Callable[..., Server]) -> None:
    assert server.ask("GET", "/metrics").status == 404
    assert own("-proxy-metrics=false").ask("GET", "/metrics").status == 404


def test_metrics_of_the_process(own: Callable[..., Server]) -> None:
    reply = own("-runtime-metrics").ask("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4; charset=utf-8")
    for series in ("cpu_seconds_total", "open_fds", "resident_memory_bytes", "start_time_seconds"):
        assert re.search(rf"^process_{series} [0-9.e+]+$", reply.text, re.MULTILINE)
    assert "toxiproxy_proxy" not in reply.text


@pytest.mark.difference("metrics")
def test_metrics_of_proxies(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    link = joined(own("-proxy-metrics"))

    def total(what: str, direction: str) -> float | None:
        text = link.server.ask("GET", "/metrics").text
        upstream = f"127.0.0.1:{link.far.getsockname()[1]}"
        labels = f'direction="{direction}",listener="127.0.0.1:{link.port}",proxy="{link.name}",upstream="{upstream}"'
        found = re.search(
            rf"^toxiproxy_proxy_{what}_bytes_total{{{re.escape(labels)}}} ([0-9.e+]+)$", text, re.MULTILINE
        )
        return None if found is None else float(found[1])

    with link.pair() as (near, far):
        near.sendall(bytes(1_000))
        receive(far, 1_000)
        far.sendall(bytes(70))
        receive(near, 70)
        live = [total("received", "upstream"), total("sent", "downstream")]
        assert live == ([1_000, 70] if link.server.ours else [None, None])
    until(lambda: total("received", "upstream") == 1_000)
    until(lambda: total("received", "downstream") == 70)
    until(lambda: total("sent", "upstream") == 1_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_with_0_and_peers_see_the_end(
    own: Callable[..., Server], joined: Callable[[Server], Link], number: int
) -> None:
    link = joined(own())
    with link.pair() as (near, far):
        round_trip_s(near, far)
        assert link.server.end(number) == 0
        assert near.recv(1) == b""
        assert far.recv(1) == b""


@pytest.mark.difference("drain")
def test_told_to_end_while_it_holds_bytes(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    link = joined(own())
    link.toxic("latency", latency=60_000)
    with link.pair() as (near, far):
        far.sendall(b"held")
        assert quiet(near)
        if link.server.ours:
            until(lambda: link.holds("latency"))
        assert link.server.end() == 0
        assert rest(near) == (b"held" if link.server.ours else b"")


def test_killed_its_peers_see_the_end(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    link = joined(own())
    with link.pair() as (near, far):
        link.server.end(signal.SIGKILL)
        assert rest(near) == b""
        assert rest(far) == b""
    with pytest.raises(ConnectionRefusedError):
        link.connect()
