"""Ports that stay ours while nobody listens.

A service's port is reserved by a socket that is bound and never listens: the kernel refuses connections, as it
should while the service is dead, and gives the number to nobody else; the service binds it too (SO_REUSEPORT) and
listens. Rejected: to choose a free port and close the socket again, which loses the port to any program in the
meantime.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def reserve(port: int = 0) -> socket.socket:
    """A bound socket that holds the port; 0: one that is free. Raises OSError when the port is taken."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((HOST, port))
    except OSError:
        held.close()
        raise
    return held


def reserve_all(wanted: dict[str, int]) -> dict[str, socket.socket]:
    """One socket per name, at the number it had before where that is still free (0: any)."""
    held: dict[str, socket.socket] = {}
    for name, port in wanted.items():
        try:
            held[name] = reserve(port)
        except OSError:
            held[name] = reserve()
    return held
