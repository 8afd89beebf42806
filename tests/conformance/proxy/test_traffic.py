"""What passes through a proxy without a toxic, and what a proxy that is moved or disabled does to it."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from tests.conformance.proxy.peers import RESET, Link, quiet, receive, rest, sending, was_reset
from tests.conformance.proxy.servers import Server, until
from tests.doubles.held_ports import free_port


def test_bytes_pass_in_both_directions_unharmed(link: Link) -> None:
    there, back = os.urandom(3_000_000), os.urandom(2_000_000)
    with link.pair() as (near, far):
        with sending(near, there):
            assert receive(far, len(there)) == there
        with sending(far, back):
            assert receive(near, len(back)) == back


def test_the_end_of_one_peer_reaches_the_other(link: Link) -> None:
    with link.pair() as (near, far):
        near.sendall(b"last words")
        near.close()
        assert rest(far) == b"last words"
    with link.pair() as (near, far):
        far.sendall(b"last words")
        far.close()
        assert rest(near) == b"last words"


@pytest.mark.difference("half-close")
def test_one_direction_ends_by_itself(link: Link) -> None:
    with link.pair() as (near, far):
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert rest(far) == b"question"
        if link.server.ours:
            far.sendall(b"answer")
            far.close()
            assert rest(near) == b"answer"
        else:
            assert rest(near) == b""  # the far side has not answered yet, and its way is gone


@pytest.mark.difference("reset")
def test_a_reset_of_a_peer(link: Link) -> None:
    with link.pair() as (near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        near.close()
        assert was_reset(far) is link.server.ours


def test_without_an_upstream_connections_are_ended(server: Server, name: str) -> None:
    made = server.ask(
        "POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{free_port()}"}
    ).json
    assert isinstance(made, dict)
    with socket.create_connection(("127.0.0.1", int(made["listen"].rpartition(":")[2])), timeout=10) as near:
        assert rest(near) == b""


def test_a_slow_reader_holds_up_the_sender(link: Link) -> None:
    with link.pair() as (near, far):
        near.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200_000_000:
                sent += near.send(bytes(1_000_000))
        assert sent < 100_000_000
        assert receive(far, sent) == bytes(sent)


def test_disabled_it_cuts_and_refuses_and_enabled_it_serves(link: Link) -> None:
    path = f"/proxies/{link.name}"
    with link.pair() as (near, far):
        assert link.server.ask("POST", path, {"enabled": False}).status == 200
        assert rest(near) == b""
        assert rest(far) == b""
    with pytest.raises(ConnectionRefusedError):
        link.connect()
    assert link.server.ask("POST", path, {"enabled": True}).status == 200
    with link.pair() as (near, far):
        near.sendall(b"back")
        assert receive(far, 4) == b"back"


def test_another_upstream_cuts_and_serves(link: Link) -> None:
    with link.pair() as (near, _), socket.create_server(("127.0.0.1", 0)) as other:
        upstream = f"127.0.0.1:{other.getsockname()[1]}"
        assert link.server.ask("POST", f"/proxies/{link.name}", {"upstream": upstream}).status == 200
        assert rest(near) == b""
        with link.connect() as again:
            far, _ = other.accept()
            again.sendall(b"new")
            assert receive(far, 3) == b"new"
            far.close()


def test_a_deleted_proxy_cuts_and_refuses(link: Link) -> None:
    with link.pair() as (near, _):
        assert link.server.ask("DELETE", f"/proxies/{link.name}").status == 204
        assert rest(near) == b""
    with pytest.raises(ConnectionRefusedError):
        link.connect()


def test_many_connections_at_once(link: Link) -> None:
    pairs = []
    try:
        for n in range(100):
            near = link.connect()
            far, _ = link.far.accept()
            pairs.append((near, far))
            near.sendall(b"%03d" % n)
        for n, (_, far) in enumerate(pairs):
            assert receive(far, 3) == b"%03d" % n
    finally:
        for near, far in pairs:
            near.close()
            far.close()


def test_an_upstream_that_comes_later_is_found(server: Server, name: str) -> None:
    port = free_port()
    made = server.ask("POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": f"localhost:{port}"}).json
    assert isinstance(made, dict)
    where = ("127.0.0.1", int(made["listen"].rpartition(":")[2]))
    with socket.create_connection(where, timeout=10) as near:
        assert rest(near) == b""
    with socket.create_server(("127.0.0.1", port)) as far_listener:
        far_listener.settimeout(0.5)

        def served() -> bool:
            with socket.create_connection(where, timeout=10) as near:
                try:
                    far, _ = far_listener.accept()
                except TimeoutError:
                    return False
                with far:
                    return quiet(near, s=0.05)

        until(served)
