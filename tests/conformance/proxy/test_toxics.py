"""What each toxic does to those who send and receive, and that it is gone when it is removed.

Bounds on time only tell an effect from none: a busy machine must not fail them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conformance.proxy.peers import Link, quiet, receive, rest, round_trip_s, sending, was_reset
from tests.conformance.proxy.servers import Server, holds_for

LONG_S = 0.5
"""Longer than anything takes that isn't made to wait."""


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_one_direction_and_is_updated_and_removed(link: Link, stream: str) -> None:
    with link.pair() as (near, far):
        link.toxic("latency", stream=stream, latency=600)
        assert round_trip_s(near, far) > LONG_S
        link.change("latency", attributes={"latency": 0})
        assert round_trip_s(near, far) < LONG_S
        link.change("latency", attributes={"latency": 600})
        link.remove("latency")
        assert round_trip_s(near, far) < LONG_S
    with link.pair() as (near, far):
        assert round_trip_s(near, far) < LONG_S


def test_latency_holds_for_connections_to_come_and_keeps_the_order(link: Link) -> None:
    link.toxic("latency", latency=600, jitter=100)
    with link.pair() as (near, far):
        began_s = time.monotonic()
        for n in range(50):
            far.sendall(b"%04d" % n)
        assert receive(near, 200) == b"".join(b"%04d" % n for n in range(50))
        assert time.monotonic() - began_s > LONG_S - 0.1


def test_removing_latency_gives_on_what_it_holds(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("latency", latency=60_000)
        far.sendall(b"held")
        assert quiet(near)
        link.remove("latency")
        assert receive(near, 4) == b"held"


def test_bandwidth_limits(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("bandwidth", rate=200)
        began_s = time.monotonic()
        with sending(far, bytes(200_000)):
            assert receive(near, 200_000) == bytes(200_000)
        assert 0.7 < time.monotonic() - began_s < 10
        near.sendall(b"other way")
        assert receive(far, 9) == b"other way"


def test_removing_bandwidth_gives_on_what_it_holds(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("bandwidth", rate=1)
        with sending(far, bytes(20_000)):
            assert receive(near, 1) == b"\0"
            link.remove("bandwidth")
            began_s = time.monotonic()
            assert receive(near, 19_999) == bytes(19_999)
            assert time.monotonic() - began_s < 10  # 20 s were left


@pytest.mark.difference("rate-zero")
def test_a_bandwidth_of_nothing(link: Link) -> None:
    body = {"type": "bandwidth", "attributes": {"rate": 0}}
    with link.pair() as (near, far):
        reply = link.server.ask("POST", f"/proxies/{link.name}/toxics", body)
        if link.server.ours:
            assert reply.status == 400
            assert "rate" in reply.error
            assert round_trip_s(near, far) < LONG_S
        else:
            assert reply.status == 200
            far.sendall(b"lost")
            assert quiet(near, s=1.0)


def test_slow_close_delays_the_end_and_not_the_bytes(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("slow_close", delay=700)
        far.sendall(b"bytes")
        far.close()
        assert receive(near, 5) == b"bytes"
        began_s = time.monotonic()
        assert rest(near) == b""
        assert time.monotonic() - began_s > LONG_S


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_timeout_lets_nothing_through_and_then_closes(link: Link, stream: str) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", stream=stream, timeout=700)
        sender, receiver = (near, far) if stream == "upstream" else (far, near)
        sender.sendall(b"lost")
        assert quiet(receiver)
        assert rest(near) == b""
        assert rest(far) == b""


def test_timeout_of_nothing_never_closes(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", timeout=0)
        far.sendall(b"lost")
        assert quiet(near, s=1.0)
        near.sendall(b"other way")
        assert receive(far, 9) == b"other way"
        link.remove("timeout")
        assert rest(near) == b""  # bytes were lost, so that the stream has a hole
    with link.pair() as (near, far):
        assert round_trip_s(near, far) < LONG_S


@pytest.mark.difference("timeout")
def test_timeout_of_a_connection_that_keeps_talking(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", timeout=600)

        def talks() -> bool:
            try:
                far.sendall(b".")
            except ConnectionError:
                return False
            return quiet(near, s=0.05)

        assert holds_for(talks, s=2.5) is not link.server.ours


@pytest.mark.difference("timeout-removal")
def test_removing_timeout_from_a_connection_that_lost_nothing(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", timeout=0)
        link.remove("timeout")
        if link.server.ours:
            assert round_trip_s(near, far) < LONG_S
        else:
            assert rest(near) == b""


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_peer_resets_once_bytes_came(link: Link, stream: str) -> None:
    with link.pair() as (near, far):
        link.toxic("reset_peer", stream=stream, timeout=0)
        assert quiet(near)
    with link.pair() as (near, far):
        (near if stream == "upstream" else far).sendall(b"first")
        assert was_reset(near)
        assert was_reset(far)


@pytest.mark.difference("removal")
def test_removing_a_reset_that_is_due(link: Link) -> None:
    link.toxic("reset_peer", timeout=2_500)
    with link.pair() as (near, far):
        far.sendall(b"lost")
        assert quiet(near)
        assert (link.remove("reset_peer") < 1.0) is link.server.ours
        assert rest(near) == b""


def test_slicer_cuts_and_keeps_every_byte(link: Link) -> None:
    data = bytes(range(256)) * 2
    with link.pair() as (near, far):
        link.toxic("slicer", average_size=64, size_variation=8, delay=50_000)
        far.sendall(data)
        pieces = []
        while sum(map(len, pieces)) < len(data):
            pieces.append(near.recv(65536))
            assert pieces[-1]
        assert b"".join(pieces) == data
        assert len(pieces) >= 3
        link.remove("slicer")
        far.sendall(data)
        assert receive(near, len(data)) == data


@pytest.mark.difference("slicer-zero")
def test_slicer_without_a_size(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    link = joined(own())
    process = link.server.process
    assert process is not None
    reply = link.server.ask("POST", f"/proxies/{link.name}/toxics", {"type": "slicer"})
    with link.pair() as (_, far):
        if link.server.ours:
            assert reply.status == 400
            assert "average_size" in reply.error
        else:
            assert reply.status == 200
            far.sendall(b"slice this")
            assert process.communicate(timeout=60)
            assert process.returncode == 2


def test_limit_data_closes_behind_what_it_let_through(link: Link) -> None:
    link.toxic("limit_data", bytes=10)
    with link.pair() as (near, far):
        far.sendall(b"12345")
        assert receive(near, 5) == b"12345"
        far.sendall(b"6789012345")
        assert rest(near) == b"67890"
    link.remove("limit_data")
    with link.pair() as (near, far):
        far.sendall(bytes(20))
        assert receive(near, 20) == bytes(20)


def test_toxics_of_both_directions_and_several_in_a_row(link: Link) -> None:
    link.toxic("latency", latency=400)
    link.toxic("slicer", average_size=10, size_variation=2, delay=0)
    link.toxic("bandwidth", stream="upstream", rate=100_000)
    with link.pair() as (near, far):
        assert round_trip_s(near, far, size=1_000) > 0.35
    assert link.server.ask("POST", "/reset").status == 204
    with link.pair() as (near, far):
        assert round_trip_s(near, far, size=1_000) < LONG_S


def closed(link: Link, *, connections: int) -> list[bool]:
    """Which of so many connections, made in a row, `timeout` closed."""
    fates = []
    for _ in range(connections):
        with link.pair() as (near, _far):
            fates.append(not quiet(near, s=0.15))
    return fates


def test_toxicity_is_a_share_of_connections(link: Link) -> None:
    link.toxic("timeout", toxicity=0.5, timeout=1)
    assert 5 <= sum(closed(link, connections=40)) <= 35
    link.change("timeout", toxicity=0)
    assert not any(closed(link, connections=5))
    link.change("timeout", toxicity=1)
    assert all(closed(link, connections=5))


@pytest.mark.difference("toxicity-draw")
def test_an_update_of_toxicity(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", toxicity=0.5, timeout=0)
        fates = set()
        for n in range(16):
            link.change("timeout", toxicity=0.5)
            far.sendall(b"%c" % n)
            fates.add(quiet(near, s=0.1))
            if not quiet(near, s=0.01):
                near.recv(65536)
        assert (len(fates) == 1) is link.server.ours


@pytest.mark.difference("seed")
def test_two_servers_of_one_seed(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    fates = []
    name = ""
    for _ in range(2):
        link = joined(own("-seed", "11"))
        name = name or link.name
        upstream = f"127.0.0.1:{link.far.getsockname()[1]}"
        # The draws belong to the names of proxy and toxic.
        again = {"name": "seeded", "listen": "127.0.0.1:0", "upstream": upstream}
        made = link.server.ask("POST", "/proxies", again).json
        assert isinstance(made, dict)
        link = Link(link.server, "seeded", int(made["listen"].rpartition(":")[2]), link.far)
        link.toxic("timeout", toxicity=0.5, timeout=1)
        fates.append(closed(link, connections=30))
    assert (fates[0] == fates[1]) is link.server.ours
