"""`host:port` as Toxiproxy reads and writes it, and listening sockets that share their port with a reservation.

Every listener is bound with SO_REUSEADDR and SO_REUSEPORT, so that a supervisor may keep the port reserved by a bound
socket that never listens. The kernel would then let two *listeners* share a port too, and deal connections out
between them; `listen` refuses that by looking for one first, since a half-proxied link would be a silent lie.

An address without a host is all interfaces, of both protocols, and is shown as `[::]:port`; a name prefers IPv4. Rejected:
showing `0.0.0.0:port` as `[::]:port` too, as Toxiproxy does: populating the same file again would then replace the proxy.
"""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

from harness.proxy.refusal import Refusal

BACKLOG = 1024
TCP_LISTEN = "0A"
DOTTED = re.compile(r"\d+\.\d+\.\d+\.\d+")

Address = tuple[str, int]


def parse(text: str) -> Address:
    """`127.0.0.1:80`, `localhost:0`, `[::1]:80`, `:80` and nothing at all. Raises Refusal in Go's words."""
    if not text:
        return "", 0
    host, colon, port = text.rpartition(":")
    problem = ""
    if host.startswith("[") and "]" not in host:
        problem = "missing ']' in address"
    elif not colon or text.endswith("]"):
        problem = "missing port in address"
    elif ":" in host and not (host.startswith("[") and host.endswith("]")):
        problem = "too many colons in address"
    if problem:
        raise Refusal(f"address {text[:100]}: {problem}", status=500)
    return host.strip("[]"), _port(port)


def _port(text: str) -> int:
    if not text:
        return 0
    if re.fullmatch(r"[-+]?[0-9]{1,9}", text):
        if 0 <= int(text) <= 65535:
            return int(text)
        raise Refusal(f"address {text}: invalid port", status=500)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise Refusal(f"lookup tcp/{text[:50]}: unknown port", status=500) from None


def show(sock: socket.socket) -> str:
    return _text(sock.getsockname()[:2])


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settled(text: str) -> str:
    """The address as `show` would give it, had it been listened on: `localhost:80` is `127.0.0.1:80`."""
    host, port = parse(text)
    if not host:
        return _text(("::", port))
    return _text(_listen_at((host, port))[1])


def _found(address: Address) -> list[tuple[socket.AddressFamily, Address]]:
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    return [(socket.AddressFamily(family), (str(where[0]), int(where[1]))) for family, _, _, _, where in found]


def resolve(address: Address) -> tuple[socket.AddressFamily, Address]:
    """The first address of a name. Raises OSError when there is none."""
    return _found(address)[0]


def _listen_at(address: Address) -> tuple[socket.AddressFamily, Address]:
    host, port = address
    if not host:
        return (socket.AF_INET6, ("::", port)) if socket.has_dualstack_ipv6() else (socket.AF_INET, ("0.0.0.0", port))
    # libc takes "127.1" and "*" for addresses, too; Go doesn't.
    odd = not host.strip("*") or (re.fullmatch(r"[\d.]+", host) and not DOTTED.fullmatch(host))
    try:
        found = [] if odd else _found(address)
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise Refusal(f"lookup {host[:100]}: no such host", status=500)
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def reserve(text: str) -> socket.socket:
    """A socket bound to `text` that doesn't listen: the port stays ours, and connections to it are refused."""
    try:
        family, where = _listen_at(parse(text))
    except Refusal as refusal:
        raise Refusal(f"listen tcp: {refusal.message}", status=refusal.status) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        sock.setblocking(False)
        if where[1] and _someone_listens(family, where):
            raise Refusal(f"listen tcp {_text(where)}: bind: address already in use", status=500)
        sock.bind(where)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise Refusal(f"listen tcp {_text(where)}: bind: {reason}", status=500) from None
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


def _someone_listens(family: socket.AddressFamily, where: Address) -> bool:
    """On this address, or on all; on an address of its own nobody is in our way."""
    host, port = where
    taken = _listening("/proc/net/tcp6", port)
    everywhere = {bytes(16)}
    if family == socket.AF_INET6:
        ours = socket.inet_pton(socket.AF_INET6, host)
        if ours == bytes(16):
            return bool(taken | _listening("/proc/net/tcp", port))
        return bool(taken & {ours, *everywhere})
    # A listener on all of IPv6 nearly always has all of IPv4 as well; the table doesn't tell.
    ours = socket.inet_pton(socket.AF_INET, host)
    four = _listening("/proc/net/tcp", port)
    return bool(four) if ours == bytes(4) else bool(four & {ours, bytes(4)} or taken & everywhere)


def _listening(table: str, port: int) -> set[bytes]:
    # The kernel lists this network namespace only; where there is no such file, the bind alone has to tell.
    ending = f":{port:04X}"
    try:
        lines = Path(table).read_text().splitlines()[1:]
    except OSError:
        return set()
    found = set()
    for parts in map(str.split, lines):
        if parts[1].endswith(ending) and parts[3] == TCP_LISTEN:
            raw = bytes.fromhex(parts[1].partition(":")[0])
            words = [raw[n : n + 4] for n in range(0, len(raw), 4)]  # each in the machine's byte order
            found.add(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words))
    return found
