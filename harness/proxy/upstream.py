"""From a link's upstream, as it is written, to a connected socket; the loop never waits for either step.

An upstream by name is another address whenever its container comes back. So a name is looked up again once what is known
of it is a quarter of a second old (in a container a lookup takes 0.2 ms in the middle and 13 ms at the worst of 200), and
at once when the address that is known can't be connected to. Each lookup has a thread of its own, for the C library's
call blocks, for many seconds where a resolver is silent, and one silent name must not hold up the others. Rejected:
connecting to what was known while the lookup is under way, since somebody else may have that address by now.

Always true: an upstream has one lookup under way at most, and a client is looked after for ten seconds at most.
"""

from __future__ import annotations

import errno
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from harness.proxy import address
from harness.proxy.address import Address
from harness.proxy.loop import WRITE, Loop, Timer, Wake

if TYPE_CHECKING:
    from harness.proxy.link import Link

FRESH_NS = 250_000_000
CONNECT_NS_MAX = 10_000_000_000
LOOKUPS_MAX = 64
KEEPALIVE_IDLE_S = 60
KEEPALIVE_EVERY_S = 15
KEEPALIVE_TRIES = 4
LOCALHOST = "127.0.0.1"
PORT_MAX = 65535


class Where(NamedTuple):
    """An address, and when it was asked for."""

    family: socket.AddressFamily
    address: tuple[str, int]
    asked_ns: int


Found = Callable[[Where | None], None]


class Lookups:
    """Looks names up in threads and answers in the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._wake = Wake(loop, self._answer)
        self._answers: queue.SimpleQueue[tuple[Found, Where | None]] = queue.SimpleQueue()
        self._under_way = 0

    def start(self, host: str, port: int, found: Found) -> None:
        """Calls `found` from the loop, later, with None where there is no such name or nobody can be asked."""
        thread = threading.Thread(target=self._look, args=(host, port, found), daemon=True, name="lookup")
        try:
            if self._under_way >= LOOKUPS_MAX:
                raise RuntimeError("too many lookups")
            thread.start()
        except RuntimeError:  # or the system gives no more threads
            self._loop.at(self._loop.now_ns, partial(found, None))
        else:
            self._under_way += 1

    def _look(self, host: str, port: int, found: Found) -> None:
        asked_ns = time.monotonic_ns()
        try:
            family, where = address.resolve((host, port))
        except (OSError, UnicodeError):
            self._answers.put((found, None))
        else:
            self._answers.put((found, Where(family, where, asked_ns)))
        self._wake.wake()

    def _answer(self) -> None:
        while True:
            try:
                found, where = self._answers.get_nowait()
            except queue.Empty:
                return
            self._under_way -= 1
            self._loop.at(
                self._loop.now_ns, partial(found, where)
            )  # one that fails must not keep the others from theirs


class Upstream:
    """Where a link leads. Numbers are taken as they are; a name is looked up whenever what is known of it is old."""

    def __init__(self, loop: Loop, lookups: Lookups, text: str) -> None:
        self._loop, self._lookups = loop, lookups
        host, _, port = text.rpartition(":")
        self._host = host.strip("[]") or LOCALHOST
        self._numbers = _numbers(self._host)
        self._port = int(port) if port.isdigit() and int(port) <= PORT_MAX else None
        self._known: Where | None = None
        self._waiting: set[Connecting] = set()
        self._looking = False

    def find(self, asker: Connecting) -> None:
        """Answers by `asker.found`: now where the address is known, else later, unless it has left by then."""
        if self._port is None:
            asker.found(None)
            return
        if self._numbers is not None:
            asker.found(Where(self._numbers, (self._host, self._port), self._loop.now_ns))
        elif self._known is not None and self._loop.now_ns - self._known.asked_ns <= FRESH_NS:
            asker.found(self._known)
        else:
            self._waiting.add(asker)
            if not self._looking:
                self._looking = True
                self._lookups.start(self._host, self._port, self._found)

    def leave(self, asker: Connecting) -> None:
        """It wants no answer any more."""
        self._waiting.discard(asker)

    def stale(self) -> None:
        """What is known can't be connected to."""
        self._known = None

    def _found(self, where: Where | None) -> None:
        self._looking = False
        self._known = where
        waiting, self._waiting = self._waiting, set()
        for asker in waiting:
            asker.found(where)


def _numbers(host: str) -> socket.AddressFamily | None:
    """The family of an address in numbers; None for a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6


def tune(sock: socket.socket) -> None:
    """For both ends of a link: nothing small waits for more, and a peer that has vanished is noticed in two minutes
    (a proxy would else hold the half of the connection that is left for good)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)


def _is_connected(sock: socket.socket) -> bool:
    """On this machine a connection is there when `connect` returns, which saves waiting for it to be told."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


class Connecting:
    """A client whose upstream isn't connected yet. Nothing is read from it meanwhile."""

    def __init__(self, link: Link, upstream: Upstream, client: socket.socket, passed: frozenset[str]) -> None:
        self._link, self._upstream, self._client = link, upstream, client
        self._passed = passed | {link.name}
        self.own: Address | None = None
        self._socket: socket.socket | None = None
        self._where: Where | None = None
        self._began_ns = link.loop.now_ns
        self._over = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Sooner or later it calls `connected` or `given_up` of the link, maybe at once."""
        self._upstream.find(self)
        if not self._over:
            self._timer = self._link.loop.at(self._began_ns + CONNECT_NS_MAX, self.abandon)

    def found(self, where: Where | None) -> None:
        """Connects to it; None: there is no such name."""
        if where is None:
            self.abandon()
            return
        self._where = where
        try:
            self._socket = socket.socket(where.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self.abandon()
            return
        tune(self._socket)
        code = self._socket.connect_ex(where.address)
        if code not in (0, errno.EINPROGRESS):
            self._failed()
            return
        if self._link.room.may_be_own(where.address[1]):
            self.own = self._socket.getsockname()[:2]
            self._link.room.opened(self.own, self._passed)
        if code == 0 or _is_connected(self._socket):
            self._connected(self._socket)
        else:
            self._link.loop.watch(self._socket, WRITE, self)

    def on_event(self, events: int) -> None:
        del events
        assert self._socket is not None
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self._failed()
        else:
            self._link.loop.forget(self._socket)
            self._connected(self._socket)

    def _connected(self, upstream: socket.socket) -> None:
        self._end()
        self._link.connected(self, self._client, upstream)

    def _failed(self) -> None:
        """An address that was known before this client came may be an old one: looked up again, once."""
        assert self._where is not None
        self._upstream.stale()
        if self._where.asked_ns >= self._began_ns:
            self.abandon()
            return
        self._close_socket()
        self._upstream.find(self)

    def abandon(self) -> None:
        """Toxiproxy's answer to an upstream that can't be reached: the client is closed."""
        if self._over:
            return
        self._end()
        self._upstream.leave(self)
        self._close_socket()
        self._link.loop.close(self._client)
        self._link.given_up(self)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _close_socket(self) -> None:
        if self.own is not None:
            self._link.room.gone(self.own)
            self.own = None
        if self._socket is not None:
            self._link.loop.close(self._socket)
            self._socket = None
