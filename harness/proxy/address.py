"""`host:port` as Toxiproxy writes it, and listening sockets that share their port with a supervisor's reservation.

Every listener is bound with SO_REUSEADDR and SO_REUSEPORT, so that a supervisor may keep the port reserved by a bound
socket that never listens. The kernel would then let two *listeners* share a port too, and deal connections out
between them; `listen` refuses that by looking for one first, since a half-proxied link would be a silent lie.
"""

from __future__ import annotations

import socket
from pathlib import Path

from harness.proxy.refusal import Refusal

BACKLOG = 1024
TCP_LISTEN = "0A"

Address = tuple[str, int]


def parse(text: str) -> Address:
    """`127.0.0.1:80`, `localhost:0`, `[::1]:80`, `:80` (all interfaces)."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise Refusal(f"listen tcp: address {text[:100]}: missing port in address", status=500)
    if not port.isdigit() or int(port) > 65535:
        raise Refusal(f"listen tcp: address {text[:100]}: invalid port", status=500)
    return host.strip("[]"), int(port)


def show(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The first address of a name. Raises OSError when there is none."""
    host, port = address
    found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[0]
    return socket.AddressFamily(family), (str(where[0]), int(where[1]))


def reserve(text: str) -> socket.socket:
    """A socket bound to `text` that doesn't listen: the port stays ours, and connections to it are refused."""
    try:
        family, where = resolve(parse(text))
    except OSError as error:
        raise Refusal(f"listen tcp: lookup {text[:100]}: {error.strerror or 'no such host'}", status=500) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        if where[1] and _someone_listens(where[1], family):
            raise Refusal(f"listen tcp {text[:100]}: bind: address already in use", status=500)
        sock.bind(where)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise Refusal(f"listen tcp {text[:100]}: bind: {reason}", status=500) from None
    except Refusal:
        sock.close()
        raise
    return sock


def listen(text: str) -> socket.socket:
    sock = reserve(text)
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise Refusal(f"listen tcp {text[:100]}: {(error.strerror or str(error)).lower()}", status=500) from None
    return sock


def _someone_listens(port: int, family: socket.AddressFamily) -> bool:
    # The kernel lists this network namespace only; where there is no such file, the bind alone has to tell.
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp")
    ending = f":{port:04X}"
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return False
    return any(parts[1].endswith(ending) and parts[3] == TCP_LISTEN for parts in map(str.split, lines))
