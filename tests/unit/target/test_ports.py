"""Reserved ports: kept over restarts, shared with the service that they are for, and with nobody else."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from harness.target.embedded.ports import HOST, reserve, reserve_all


def number(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def service(port: int, *, options: tuple[int, ...] = (socket.SO_REUSEADDR,)) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for option in options:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind((HOST, port))
    sock.listen()
    return sock


@pytest.mark.parametrize("options", [(socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)])
def test_the_service_binds_beside_its_reservation_again_and_again(*, options: tuple[int, ...]) -> None:
    with reserve() as held:
        port = number(held)
        for _ in range(3):
            with (
                service(port, options=options) as listening,
                socket.create_connection((HOST, port), timeout=2.0),
            ):
                listening.accept()[0].close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), timeout=2.0)
    reserve(port).close()  # what its connections left behind is no hindrance


def test_a_server_that_sets_neither_option_does_not_get_its_port() -> None:
    """As docs/targets.md tells."""
    with reserve() as held, pytest.raises(OSError, match="in use"):
        service(number(held), options=())


def test_a_port_on_which_another_instance_listens_is_taken() -> None:
    with reserve() as theirs, service(number(theirs)), pytest.raises(OSError, match="in use"):
        reserve(number(theirs))


def test_of_old_numbers_all_or_none_come_back() -> None:
    with ExitStack() as stack:
        before = reserve_all({"a": 0, "b": 0})
        wanted = {name: number(sock) for name, sock in before.items()}
        for sock in before.values():
            sock.close()
        again = reserve_all(wanted)
        assert {name: number(sock) for name, sock in again.items()} == wanted
        stack.enter_context(service(wanted["b"]))
        for sock in again.values():
            sock.close()
        others = reserve_all(wanted)
        for sock in others.values():
            stack.enter_context(sock)
        assert not {number(sock) for sock in others.values()} & set(wanted.values())
