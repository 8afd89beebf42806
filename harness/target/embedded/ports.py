"""Ports that stay ours while nobody listens.

A service's port is reserved by a socket that is bound and never listens: the kernel refuses connections, as it
should while the service is dead, and gives the number to nobody else; the service binds it too (SO_REUSEPORT) and
listens. Rejected: to choose a free port and close the socket again, which loses the port to any program in the
meantime.

An instance comes back to its old numbers only where nobody has any of them by now: two instances of one user could share a
port otherwise, and the kernel would deal their requests out between the two pipelines.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def reserve(port: int = 0) -> socket.socket:
    """A bound socket that holds the port; 0: one that is free. Raises OSError when somebody listens there."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, port))
        # Only now: before the binding it would let us in beside a listener.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        held.close()
        raise
    return held


def reserve_all(wanted: dict[str, int]) -> dict[str, socket.socket]:
    """One socket per name, all at the numbers wanted (0: any); where one of those is taken, all at other ones."""
    held: dict[str, socket.socket] = {}
    try:
        for name, port in wanted.items():
            held[name] = reserve(port)
    except OSError:
        for sock in held.values():
            sock.close()
        return {name: reserve() for name in wanted}
    return held
