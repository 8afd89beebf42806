"""A proxy in Toxiproxy's sense: a listener, an upstream, the toxics and taps between them, and the connections.

While a link that once listened is disabled, its port stays bound without listening: connections are refused, and no
other program can take the port, so that enabling it again can't fail for that.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence

from harness.proxy import address
from harness.proxy.address import Address
from harness.proxy.connection import Connection, Flow
from harness.proxy.loop import READ, Loop, Timer
from harness.proxy.refusal import PROXY_NOT_FOUND, TAP_EXISTS, TAP_NOT_FOUND, TOXIC_EXISTS, TOXIC_NOT_FOUND, refuse
from harness.proxy.room import Room
from harness.proxy.stage import Owner
from harness.proxy.tap import Tap
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.toxic import Toxic
from harness.proxy.upstream import Connecting, Lookups, Upstream, tune

STREAMS = ("upstream", "downstream")
ACCEPTS_PER_ROUND_MAX = 64
ACCEPT_PAUSE_NS = 100_000_000
TOXICS_MAX = 64
MASK_LOGS_MAX = 64


class Link:
    """`listen` is the real address once it listens. All changes take effect on existing connections at once.

    `compat`: toxics behave as Toxiproxy's where they differ on purpose (harness.proxy.toxic says where).
    """

    def __init__(
        self,
        loop: Loop,
        lookups: Lookups,
        room: Room,
        name: str,
        listen: str,
        upstream: str,
        seed: int,
        *,
        compat: bool = False,
    ) -> None:
        self.loop = loop
        self._lookups = lookups
        self.room = room
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.seed = seed
        self.compat = compat
        self.enabled = False
        self.down_lease = ""
        self.toxics: list[Toxic] = []
        self.taps: list[Tap] = []
        self.masks: dict[str, MaskLog] = {}  # by tap name; they outlive their tap
        self.connections: set[Connection] = set()
        self.counters = {"accepted": 0, "upstream_failed": 0, "cut_by_disabling": 0, "circles": 0}
        self.flows = {stream: Flow() for stream in STREAMS}
        self._connecting: set[Connecting] = set()
        self._listener: socket.socket | None = None
        self._reservation: socket.socket | None = None
        self._ordinal = 0
        self._port = 0
        self._where = Upstream(loop, lookups, upstream)
        self._accept_again: Timer | None = None

    # listening

    def start(self) -> None:
        """Raises Refusal when the port can't be had; the link then stays disabled."""
        if self.enabled:
            return
        self._listener = address.listen(self.listen)
        tune(self._listener)  # what is accepted has it from there
        self.listen = address.show(self._listener)
        self._port = self._listener.getsockname()[1]
        self.room.listening(self._port)
        self._release()
        self.enabled = True
        self.down_lease = ""
        self.loop.watch(self._listener, READ, self)

    def stop(self, *, keep_port: bool) -> None:
        """Cuts all connections and refuses new ones."""
        if self._listener is not None:
            if keep_port:
                self._listener.listen(0)
                self._reservation = self._bind_beside(self._listener)
            self.loop.forget(self._listener)
            self._listener.close()  # now, not at the end of the round: refused means refused when we answer
            self._listener = None
            self.room.silent(self._port)
        self.enabled = False
        if self._accept_again is not None:
            self._accept_again.cancel()
        self.counters["cut_by_disabling"] += len(self.connections)
        for connecting in list(self._connecting):
            connecting.abandon()
        for connection in list(self.connections):
            connection.close()
        if not keep_port:
            self._release()

    def drain(self) -> None:
        """Accepts nothing more and gives on what is held; the connections stay open."""
        if self._listener is not None:
            self.loop.close(self._listener)
            self._listener = None
            self.room.silent(self._port)
        self.clear()

    @property
    def drained(self) -> bool:
        return not self._connecting and all(c.up.drained and c.down.drained for c in self.connections)

    def _bind_beside(self, listener: socket.socket) -> socket.socket | None:
        sock = socket.socket(listener.family, socket.SOCK_STREAM)
        try:
            # Not SO_REUSEADDR: whoever has that too could take a port on which nobody listens.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(listener.getsockname()[:2])
        except OSError:
            sock.close()  # a courtesy only: without it another program could take the port meanwhile
            return None
        return sock

    def _release(self) -> None:
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def move(self, listen: str, upstream: str) -> None:
        """To another address or upstream: connections are cut, as in Toxiproxy."""
        if listen == self.listen and upstream == self.upstream:
            return
        self.stop(keep_port=listen == self.listen)
        self.listen = listen
        self.upstream = upstream
        self._where = Upstream(self.loop, self._lookups, upstream)

    # connections

    def on_event(self, events: int) -> None:
        del events
        for _ in range(ACCEPTS_PER_ROUND_MAX):
            if self._listener is None:
                return
            if self.room.full:
                self._pause_accepting(self._listener)
                return
            try:
                client, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._pause_accepting(self._listener)
                return
            self._accepted(client, peer[:2])

    def _pause_accepting(self, listener: socket.socket) -> None:
        # Out of descriptors, or of room: the backlog would report itself again and again.
        self.loop.forget(listener)

        def again() -> None:
            if self._listener is listener:
                self.loop.watch(listener, READ, self)

        self._accept_again = self.loop.at(time.monotonic_ns() + ACCEPT_PAUSE_NS, again)

    def _accepted(self, client: socket.socket, peer: Address) -> None:
        self.counters["accepted"] += 1
        passed = self.room.passed(peer)
        if self.name in passed:
            self.counters["circles"] += 1
            client.close()
            return
        client.setblocking(False)
        self.room.connections += 1
        connecting = Connecting(self, self._where, client, passed)
        self._connecting.add(connecting)
        connecting.start()

    def connected(self, connecting: Connecting, client: socket.socket, upstream: socket.socket) -> None:
        self._connecting.discard(connecting)
        connection = Connection(self, client, upstream, self._ordinal, connecting.own)
        self._ordinal += 1
        self.connections.add(connection)
        connection.start()

    def given_up(self, connecting: Connecting) -> None:
        self.counters["upstream_failed"] += 1
        self._connecting.discard(connecting)
        self.room.connections -= 1

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.room.connections -= 1
        if connection.own is not None:
            self.room.gone(connection.own)

    @property
    def bytes_received(self) -> dict[str, int]:
        """By stream, since the link was made."""
        return {stream: flow.received for stream, flow in self.flows.items()}

    @property
    def bytes_sent(self) -> dict[str, int]:
        """By stream; less than was received while bytes are held, or were lost with their receiver."""
        return {stream: flow.sent for stream, flow in self.flows.items()}

    # toxics and taps

    def owners(self, stream: str) -> Sequence[Owner]:
        """Taps and watchers come first: they look for messages in what arrives, not in what toxics made of it. Taps stand
        in reverse on the way back: one that answers by itself is heard by those who saw the request, and no others."""
        owners: list[Owner] = []
        for tap in self.taps if stream == "upstream" else reversed(self.taps):
            owner = tap.owner(stream)
            if owner is not None:
                owners.append(owner)
        for toxic in self.toxics:
            watcher = toxic.watcher(stream)
            if watcher is not None:
                owners.append(watcher)
        owners.extend(toxic for toxic in self.toxics if toxic.stream == stream)
        return owners

    def _rechain(self) -> None:
        for connection in list(self.connections):
            connection.chain()
            connection.refresh()

    def toxic(self, name: str) -> Toxic:
        for toxic in self.toxics:
            if toxic.name == name:
                return toxic
        raise refuse(TOXIC_NOT_FOUND)

    def add_toxic(self, toxic: Toxic) -> None:
        if any(other.name == toxic.name for other in self.toxics):
            raise refuse(TOXIC_EXISTS)
        self.toxics.append(toxic)
        self._rechain()

    def toxic_updated(self, toxic: Toxic) -> None:
        self._rechain()
        for connection in list(self.connections):
            connection.updated(toxic)

    def remove_toxic(self, toxic: Toxic) -> None:
        self.toxics.remove(toxic)
        self._rechain()

    def tap(self, name: str) -> Tap:
        for tap in self.taps:
            if tap.name == name:
                return tap
        raise refuse(TAP_NOT_FOUND)

    def mask_log(self, tap: str) -> MaskLog:
        if tap not in self.masks:
            raise refuse(TAP_NOT_FOUND)
        return self.masks[tap]

    def log_for(self, tap: str) -> MaskLog:
        """The log of a tap of this name, old or new; readings of a new tap go behind those of the old."""
        if any(other.name == tap for other in self.taps):
            raise refuse(TAP_EXISTS)
        live = {other.name for other in self.taps}
        if tap not in self.masks and len(self.masks) >= MASK_LOGS_MAX:
            oldest = next((name for name in self.masks if name not in live), None)
            if oldest is not None:
                del self.masks[oldest]
        return self.masks.setdefault(tap, MaskLog())

    def add_tap(self, tap: Tap) -> None:
        self.taps.append(tap)
        self._rechain()

    def remove_tap(self, tap: Tap) -> None:
        self.taps.remove(tap)
        self._rechain()

    def clear(self, *, lease: str | None = None) -> None:
        """Removes all toxics and taps, or those under `lease`."""
        self.toxics = [toxic for toxic in self.toxics if lease is not None and toxic.lease != lease]
        self.taps = [tap for tap in self.taps if lease is not None and tap.lease != lease]
        self._rechain()

    def reset(self) -> None:
        self.start()
        self.clear()
        self.masks.clear()

    def shown(self, *, counters: bool) -> dict[str, object]:
        """In Toxiproxy 2.12's order of keys, with the empty `Logger` that it leaks."""
        body: dict[str, object] = {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "Logger": {},
            "toxics": self.toxics_shown(counters=counters),
        }
        if self.down_lease:
            body["lease"] = self.down_lease
        if counters:
            body["affected"] = {**self.counters, "connections": len(self.connections)}
        return body

    def toxics_shown(self, *, counters: bool) -> list[dict[str, object]]:
        return [toxic.shown(counters=counters) for stream in STREAMS for toxic in self.toxics if toxic.stream == stream]


class Links:
    """All links by name."""

    def __init__(self, loop: Loop, seed: int, *, compat: bool = False) -> None:
        self.loop = loop
        self._lookups = Lookups(loop)
        self._room = Room()
        self.seed = seed
        self.compat = compat
        self.by_name: dict[str, Link] = {}

    def get(self, name: str) -> Link:
        link = self.by_name.get(name)
        if link is None:
            raise refuse(PROXY_NOT_FOUND)
        return link

    def make(self, name: str, listen: str, upstream: str) -> Link:
        return Link(self.loop, self._lookups, self._room, name, listen, upstream, self.seed, compat=self.compat)

    def add(self, link: Link, *, start: bool) -> None:
        if start:
            link.start()
        self.by_name[link.name] = link

    def remove(self, name: str) -> None:
        self.get(name).stop(keep_port=False)
        del self.by_name[name]

    def lift(self, lease: str) -> list[str]:
        """Undoes what stands under `lease`. Gives the names of links that could not be enabled again."""
        failed: list[str] = []
        for link in self.by_name.values():
            link.clear(lease=lease)
            if link.down_lease == lease:
                try:
                    link.start()
                except Exception as error:  # the others must be healed all the same
                    failed.append(f"{link.name}: {error}")
        return failed
