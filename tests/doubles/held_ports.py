"""Ports for tests that must know one before its server listens.

A port that was found free and let go again is anybody's until the server has it; so each is kept by a bound socket that
never listens, for as long as this process lives. Connections to it are refused, and a server that sets SO_REUSEADDR or
SO_REUSEPORT binds beside it.
"""

from __future__ import annotations

import socket

_held: list[socket.socket] = []


def free_port() -> int:
    """One that nobody listens on, and that nobody else is given."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    # Only now: before the binding it would let us in beside somebody else.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _held.append(sock)
    return int(sock.getsockname()[1])
