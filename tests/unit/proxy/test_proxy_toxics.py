"""What each toxic does, on connections that were open before it and on those that come after."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

import pytest

from harness.proxy.client import Affected, ProxyClient
from tests.unit.proxy.support import Pair, TestLink, join, receive, until

HOUR_MS = 3_600_000


def add(pair: Pair | TestLink, kind: str, *, lease: str = "", toxicity: float = 1.0, **attributes: int) -> None:
    link = pair.link if isinstance(pair, Pair) else pair
    link.client.add_toxic(link.name, name=kind, type=kind, toxicity=toxicity, attributes=attributes, lease=lease)


def passes(pair: Pair) -> bool:
    """Whether a byte gets through from server to client. One that doesn't fails the test by its time limit."""
    pair.server.sendall(b"!")
    return pair.client.recv(1) == b"!"


def test_latency_takes_effect_at_once_on_an_open_connection_and_goes_as_it_came(pair: Pair) -> None:
    assert passes(pair)
    add(pair, "latency", latency=150)
    began_s = time.monotonic()
    pair.server.sendall(b"late")
    assert receive(pair.client, 4) == b"late"
    assert time.monotonic() - began_s >= 0.149  # a bound from below: no load can make a delay shorter
    pair.client.sendall(b"other direction")
    assert receive(pair.server, 15) == b"other direction"
    pair.link.client.remove_toxic(pair.link.name, "latency")
    assert passes(pair)


def test_what_latency_holds_is_given_on_in_order_when_it_is_removed(pair: Pair) -> None:
    add(pair, "latency", latency=HOUR_MS)
    pair.server.sendall(b"held")
    until(lambda: pair.link.client.affected(pair.link.name, "latency") == Affected(connections=1, chunks=1))
    pair.link.client.remove_toxic(pair.link.name, "latency")
    pair.server.sendall(b" back")
    assert receive(pair.client, 9) == b"held back"


def test_shortening_a_latency_shortens_the_wait_of_what_is_held(pair: Pair) -> None:
    add(pair, "latency", latency=HOUR_MS)
    pair.server.sendall(b"held")
    until(lambda: pair.link.client.affected(pair.link.name, "latency").chunks == 1)
    pair.link.client.update_toxic(pair.link.name, "latency", attributes={"latency": 1})
    assert receive(pair.client, 4) == b"held"


def test_the_end_of_a_stream_is_delayed_behind_its_bytes(pair: Pair) -> None:
    add(pair, "latency", latency=50, jitter=50)
    pair.server.sendall(b"last")
    pair.server.shutdown(socket.SHUT_WR)
    assert receive(pair.client, 4) == b"last"
    assert pair.client.recv(1) == b""


def test_timeout_zero_hangs_and_removal_closes_who_lost_bytes(pair: Pair, listener: socket.socket) -> None:
    idle = join(pair.link, listener)
    add(pair, "timeout", timeout=0)
    pair.server.sendall(b"!")
    until(lambda: pair.link.client.affected(pair.link.name, "timeout") == Affected(connections=1, chunks=1))
    pair.link.client.remove_toxic(pair.link.name, "timeout")
    assert pair.client.recv(1) == b"", "its stream has a hole"
    assert passes(idle), "it lost nothing"
    idle.close()


def test_timeout_closes_a_connection_that_keeps_talking(pair: Pair) -> None:
    add(pair, "timeout", timeout=200)

    def refused() -> bool:
        try:
            pair.server.sendall(b"talk")
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    until(refused)
    assert pair.client.recv(1) == b""


def test_timeout_closes_an_idle_connection_too(pair: Pair) -> None:
    add(pair, "timeout", timeout=20)
    assert pair.client.recv(1) == b""


def test_reset_peer_resets_both_ends_once_they_speak(pair: Pair, listener: socket.socket) -> None:
    idle = join(pair.link, listener)
    add(pair, "reset_peer", timeout=0)
    pair.server.sendall(b"x")
    for sock in (pair.client, pair.server):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    pair.link.client.remove_toxic(pair.link.name, "reset_peer")
    assert passes(idle)
    idle.close()


def test_removing_a_long_reset_peer_does_not_wait_for_it(pair: Pair) -> None:
    add(pair, "reset_peer", timeout=HOUR_MS)
    pair.server.sendall(b"x")
    until(lambda: pair.link.client.affected(pair.link.name, "reset_peer").connections == 1)
    pair.link.client.remove_toxic(pair.link.name, "reset_peer")
    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)


def test_toxicity_is_drawn_once_per_connection_and_survives_updates(
    link_to: Callable[[int], TestLink], listener: socket.socket
) -> None:
    link = link_to(listener.getsockname()[1])
    add(link, "timeout", toxicity=0.5, timeout=0)
    pairs = [join(link, listener) for _ in range(40)]
    came = [b""] * len(pairs)
    for pair in pairs:
        pair.client.setblocking(False)

    def hit() -> int:
        return link.client.affected(link.name, "timeout").connections

    def all_but_the_hit_have(sent: bytes) -> bool:
        for n, pair in enumerate(pairs):
            with contextlib.suppress(BlockingIOError):
                came[n] += pair.client.recv(10)
        return came.count(sent) + hit() >= len(pairs)

    for pair in pairs:
        pair.server.sendall(b"x")
    until(lambda: all_but_the_hit_have(b"x"))
    link.client.update_toxic(link.name, "timeout", toxicity=0.5)
    for pair in pairs:
        pair.server.sendall(b"y")
    until(lambda: all_but_the_hit_have(b"xy"))
    passed = len(pairs) - came.count(b"")
    assert passed + hit() == 40, "a redraw at the update would hit other connections too"
    assert 8 <= passed <= 32
    for pair in pairs:
        pair.close()


def test_toxicity_zero_affects_none_and_says_so(pair: Pair) -> None:
    add(pair, "timeout", toxicity=0.0, timeout=0)
    assert passes(pair)
    assert pair.link.client.affected(pair.link.name, "timeout") == Affected(connections=0, chunks=0)


def test_toxics_work_in_a_row(pair: Pair) -> None:
    pair.link.client.add_toxic(pair.link.name, name="a", type="latency", attributes={"latency": 60})
    pair.link.client.add_toxic(pair.link.name, name="b", type="latency", attributes={"latency": 60})
    began_s = time.monotonic()
    pair.server.sendall(b"twice")
    assert receive(pair.client, 5) == b"twice"
    assert time.monotonic() - began_s >= 0.119


# leases


def test_an_expired_lease_removes_what_stands_under_it_and_nothing_else(pair: Pair, client: ProxyClient) -> None:
    assert client.renew_lease("dies", ttl_ms=HOUR_MS)
    assert not client.renew_lease("dies", ttl_ms=HOUR_MS)
    add(pair, "timeout", lease="dies", timeout=0)
    pair.link.client.add_toxic(pair.link.name, name="stays", type="latency", attributes={"latency": 1})
    client.renew_lease("dies", ttl_ms=10)
    until(lambda: "dies" not in client.leases())
    assert [toxic.name for toxic in client.proxy(pair.link.name).toxics] == ["stays"]
    assert passes(pair)
    assert client.renew_lease("dies", ttl_ms=HOUR_MS), "who renews too late learns it"
    client.drop_lease("dies")


def test_an_expired_lease_enables_again_on_the_same_port(
    pair: Pair, client: ProxyClient, listener: socket.socket
) -> None:
    client.renew_lease("down", ttl_ms=HOUR_MS)
    client.set_enabled(pair.link.name, False, lease="down")
    assert client.proxy(pair.link.name).lease == "down"
    client.renew_lease("down", ttl_ms=10)
    until(lambda: client.proxy(pair.link.name).enabled)
    again = join(pair.link, listener)
    assert passes(again)
    again.close()


def test_a_lease_that_is_renewed_in_time_holds(pair: Pair, client: ProxyClient) -> None:
    ttl_s = 0.5

    def was_held_in_time() -> bool:
        """False where a renewal came too late, because this was held up: then nothing is told by what became of it."""
        last_s = began_s = time.monotonic()
        client.renew_lease("held", ttl_ms=HOUR_MS)
        add(pair, "latency", lease="held", latency=1)
        ttl_ms = round(1000 * ttl_s)
        while last_s < began_s + 2 * ttl_s:
            now_s = time.monotonic()
            is_new = client.renew_lease("held", ttl_ms=ttl_ms)
            shown = [toxic.lease for toxic in client.proxy(pair.link.name).toxics]
            if time.monotonic() - last_s >= ttl_s:
                client.renew_lease("held", ttl_ms=HOUR_MS)
                client.drop_lease("held")
                return False
            assert (is_new, shown) == (False, ["held"])
            last_s = now_s
            time.sleep(0.05)
        return True

    until(was_held_in_time)
    client.renew_lease("held", ttl_ms=HOUR_MS)
    client.drop_lease("held")
    assert client.proxy(pair.link.name).toxics == ()


def test_a_link_disabled_for_good_is_not_enabled_by_a_lease(pair: Pair, client: ProxyClient) -> None:
    client.renew_lease("short", ttl_ms=HOUR_MS)
    client.set_enabled(pair.link.name, False, lease="short")
    client.set_enabled(pair.link.name, False)
    client.drop_lease("short")
    assert not client.proxy(pair.link.name).enabled
