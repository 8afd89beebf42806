"""What each toxic does to those who send and receive, and that it is gone when it is removed.

Times are bounded from below only, since no load makes anything faster. That something is not delayed any more is told by
its coming at all, where the toxic would have held it for an hour.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable

import pytest

from tests.conformance.proxy.peers import Link, quiet, receive, rest, round_trip_s, sending, was_reset
from tests.conformance.proxy.servers import Server, holds_for, until

HOUR_MS = 3_600_000


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_one_direction_and_is_updated_and_removed(link: Link, stream: str) -> None:
    with link.pair() as (near, far):
        link.toxic("latency", stream=stream, latency=600)
        assert round_trip_s(near, far) > 0.5
        link.change("latency", attributes={"latency": HOUR_MS})
        link.change("latency", attributes={"latency": 0})
        round_trip_s(near, far)
        link.change("latency", attributes={"latency": HOUR_MS})
        link.remove("latency")
        round_trip_s(near, far)
    with link.pair() as (near, far):
        round_trip_s(near, far)


def test_latency_holds_for_connections_to_come_and_keeps_the_order(link: Link) -> None:
    link.toxic("latency", latency=600, jitter=100)
    with link.pair() as (near, far):
        began_s = time.monotonic()
        for n in range(50):
            far.sendall(b"%04d" % n)
        assert receive(near, 200) == b"".join(b"%04d" % n for n in range(50))
        assert time.monotonic() - began_s > 0.4


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
        assert time.monotonic() - began_s > 0.7
        near.sendall(b"other way")
        assert receive(far, 9) == b"other way"


def test_removing_bandwidth_gives_on_what_it_holds(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("bandwidth", rate=1)
        with sending(far, bytes(300_000)):
            assert receive(near, 1) == b"\0"
            link.remove("bandwidth")
            assert receive(near, 299_999, within_s=60) == bytes(299_999)  # 5 minutes were left


@pytest.mark.difference("rate-zero")
def test_a_bandwidth_of_nothing(link: Link) -> None:
    body = {"type": "bandwidth", "attributes": {"rate": 0}}
    with link.pair() as (near, far):
        reply = link.server.ask("POST", f"/proxies/{link.name}/toxics", body)
        if link.server.ours:
            assert reply.status == 400
            assert "rate" in reply.error
            round_trip_s(near, far)
        else:
            assert reply.status == 200
            far.sendall(b"lost")
            assert quiet(near, s=1.0)


def test_slow_close_delays_the_end_and_not_the_bytes(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("slow_close", delay=700)
        far.sendall(b"bytes")
        began_s = time.monotonic()
        far.close()
        assert receive(near, 5) == b"bytes"
        assert rest(near) == b""
        assert time.monotonic() - began_s > 0.5


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_timeout_lets_nothing_through_and_then_closes(link: Link, stream: str) -> None:
    with link.pair() as (near, far):
        began_s = time.monotonic()
        link.toxic("timeout", stream=stream, timeout=700)
        sender = near if stream == "upstream" else far
        with contextlib.suppress(ConnectionError):  # where this was held up until it had closed
            sender.sendall(b"lost")
        assert rest(near) == b""
        assert rest(far) == b""
        assert time.monotonic() - began_s > 0.6


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
        round_trip_s(near, far)


def talks(near: socket.socket, far: socket.socket) -> bool:
    """The far end says something, and the near end hears neither that nor an end."""
    try:
        far.sendall(b".")
    except ConnectionError:
        return False
    return quiet(near, s=0.05)


def outlives_its_timeout(link: Link) -> bool:
    """Whether a connection that keeps talking lives for twice as long as it may be idle.

    One of several must: where the talker or the server is held up for that long, it was idle.
    """
    link.toxic("timeout", timeout=600)
    for _ in range(10):
        with link.pair() as (near, far):
            if holds_for(functools.partial(talks, near, far), s=1.5):
                return True
    return False


@pytest.mark.difference("timeout")
def test_timeout_of_a_connection_that_keeps_talking(link: Link) -> None:
    if link.server.ours:
        link.toxic("timeout", timeout=600)
        with link.pair() as (near, far):
            until(lambda: not talks(near, far))
    else:
        assert outlives_its_timeout(link)


@pytest.mark.difference("timeout-removal")
def test_removing_timeout_from_a_connection_that_lost_nothing(link: Link) -> None:
    with link.pair() as (near, far):
        link.toxic("timeout", timeout=0)
        link.remove("timeout")
        if link.server.ours:
            round_trip_s(near, far)
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
    link.toxic("reset_peer", timeout=HOUR_MS if link.server.ours else 2_500)
    with link.pair() as (near, far):
        began_s = time.monotonic()
        far.sendall(b"lost")
        assert quiet(near)
        link.remove("reset_peer")  # theirs answers once it was due
        assert link.server.ours or time.monotonic() - began_s > 2.4
        assert rest(near) == b""


def test_slicer_cuts_and_keeps_every_byte(link: Link) -> None:
    data = bytes(range(256)) * 2
    with link.pair() as (near, far):
        link.toxic("slicer", average_size=64, size_variation=8, delay=50_000)

        def is_cut() -> bool:
            """Whether it comes in pieces: where this reader is held up, the system has joined them again."""
            far.sendall(data)
            pieces: list[bytes] = []
            while sum(map(len, pieces)) < len(data):
                pieces.append(near.recv(65536))
                assert pieces[-1]
            assert b"".join(pieces) == data
            return len(pieces) >= 3

        until(is_cut)
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
    link.change("latency", attributes={"latency": HOUR_MS})
    assert link.server.ask("POST", "/reset").status == 204
    with link.pair() as (near, far):
        round_trip_s(near, far, size=1_000)


def closed(link: Link, *, connections: int) -> list[bool]:
    """Which of so many connections, made in a row, `timeout` closed: those whose byte never comes, but the end."""
    fates = []
    for _ in range(connections):
        with link.pair() as (near, far):
            with contextlib.suppress(ConnectionError):
                far.sendall(b"x")
            fates.append(rest_of_one(near) == b"")
    return fates


def rest_of_one(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1)
    except ConnectionError:
        return b""


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
        came = b""
        for n in range(16):
            link.change("timeout", toxicity=0.5)
            far.sendall(b"%c" % n)
            if not quiet(near, s=0.1):
                came += near.recv(65536)
        link.remove("timeout")
        far.close()
        came += rest(near)
        assert (len(came) in (0, 16)) is link.server.ours


@pytest.mark.difference("seed")
def test_servers_of_one_seed_and_of_another(own: Callable[..., Server], joined: Callable[[Server], Link]) -> None:
    fates = []
    for seed in ("11", "11", "12"):
        link = joined(own("-seed", seed))
        # The draws belong to the names of proxy and toxic.
        upstream = f"127.0.0.1:{link.far.getsockname()[1]}"
        named = {"name": "seeded", "listen": "127.0.0.1:0", "upstream": upstream}
        made = link.server.ask("POST", "/proxies", named).json
        assert isinstance(made, dict)
        link = Link(link.server, "seeded", int(made["listen"].rpartition(":")[2]), link.far)
        link.toxic("timeout", toxicity=0.5, timeout=1)
        fates.append(closed(link, connections=24))
    assert (fates[0] == fates[1]) is link.server.ours
    assert fates[0] != fates[2]


# --- with --compat ours does as theirs ---------------------------------------------------------------------------------


@pytest.fixture
def compat(own: Callable[..., Server], joined: Callable[[Server], Link], server: Server) -> Link:
    """A link on a server that behaves like Toxiproxy: ours with its switch, theirs as it is."""
    return joined(own("--compat") if server.ours else own())


def test_in_compat_a_timeout_never_closes_who_keeps_talking(compat: Link) -> None:
    assert outlives_its_timeout(compat)


def test_in_compat_the_removal_of_a_timeout_closes(compat: Link) -> None:
    with compat.pair() as (near, _):
        compat.toxic("timeout", timeout=0)
        compat.remove("timeout")
        assert rest(near) == b""


@pytest.mark.parametrize(
    "fields",
    [{"toxicity": 7}, {"attributes": {"latency": -1}}, {"attributes": {"latncy": 1}}, {"toxicty": 0.5}],
)
def test_in_compat_what_is_wrong_is_taken(compat: Link, fields: dict[str, object]) -> None:
    sent = {"name": "wrong", "type": "latency", **fields}
    assert compat.server.ask("POST", f"/proxies/{compat.name}/toxics", sent).status == 200
    with compat.pair() as (near, far):
        round_trip_s(near, far)
